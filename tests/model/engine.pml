/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fragment engine's write path, for spin.
 *
 * What is modelled, and where it is in the module:
 *
 *	map_write		ca_map(), with ca_write_start(): never waits
 *	split_worker		split_work() of write.c, on split_wq and on meta_wq: may wait for
 *				pools
 *	map_read, recheck	a read whose tag does not match: ca_read_start(), and recheck_work()
 *	start_fragment		ca_split_take(), then ca_split_dispatch(): a worker converts it,
 *				or the splitter. The last one takes over the splitter's reference,
 *				unless map goes on
 *	dispatch		share_out(): of a fragment's conversion, shares are handed out
 *	dequeue_own		ca_split_help_out(), with ca_dequeue_own(): map converts what no
 *				worker has begun
 *	convert			ca_convert()
 *	again, in convert	go_on_in_sleeper()
 *	request_done, _moved	request_done(): the cipher's callback
 *	kick			kick(): wakes a parked converter
 *	settle			settle(), and the fragment's converted() when the last unit is over
 *	end_share		share_converted()
 *	pass_on, go_on		write_converted(): a fragment goes to the lower device, by map for its
 *				own base, or to the writer
 *	writer			a writer of writers.c; how it gets its work is in writers.pml
 *	fragment_worker		a worker of workers.c
 *	give_back, drop_base	end_write() of submit.c, with ca_fragment_end()
 *	base_put		ca_base_put(): the last reference ends the base
 *	end_base		ca_base_end()
 *	cipher			a crypto driver: a queue, a backlog, any order, errors
 *	disk			the lower device: any order, errors; it may refuse what map submits
 *
 * A page holds UPP units; a fragment owns pages first … first + count - 1 of its base.
 * Fragment numbers below BASES are the first fragments, each part of its base; those
 * from BASES on are the objects of the pool, for further fragments and for shares. Request
 * number f is the one embedded in fragment f, request FRAGS + f another one that f was
 * lucky to allocate.
 *
 * Pools are plain counters, so a "pool" is its reserve: the allocator behind it
 * never helps. That is the worst case for deadlocks.
 *
 * Checked: assertions here; no invalid end state (a base that never ends leaves
 * "all_ended" waiting, which is one). Steps that touch shared state stand alone;
 * only what an atomic instruction or a lock makes one step is in an atomic block.
 * The model is sequentially consistent: where the code needs a full barrier for
 * that, a comment says "barrier".
 *
 * Faults, to see that the checker can fail, each by -DNAME:
 *
 *	SHARED_CONTEXT		fragments of one base share its convert context
 *	EARLY_ERROR_READ	the dropper reads base.error before its decrement
 *	LATE_ERROR_RECORD	a fragment records its error after its decrement
 *	HOLD_AND_WAIT		a splitter keeps its pages while it waits for more
 *	ONE_QUEUE		bases that have their page for metadata wait behind ones that have
 *				none, for the same thread
 *	HANDED_OVER		map leaves what it holds to the splitter, instead of giving it back
 *	NO_RECHECK		no second look at the embedded request before parking
 *	KICK_ONCE		kick tries PARKED, then RUNNING, and does not look again
 *	LATE_KICK		request_done drops its unit before the kick
 *	NO_OWN_REFERENCE	map dequeues its own fragments without a reference on the base
 *	SHARE_EARLY		a share is counted when it has been handed out: its fragment may go on
 *				before it is converted
 *	LATE_SHARE_ERROR	a share records its error when it has been counted off
 *	SHARE_WAITS		a splitter waits for the object of a share
 */

#ifndef BASES
#define BASES	1	/* writes, one base each */
#endif
#ifndef PAGES
#define PAGES	2	/* pages of a base */
#endif
#ifndef UPP
#define UPP	2	/* units of a page */
#endif
#ifndef POOL_OBJECTS
#define POOL_OBJECTS 1
#endif
#ifndef POOL_CLONES
#define POOL_CLONES 1
#endif
#ifndef POOL_PAGES
#define POOL_PAGES 1
#endif
#ifndef META
#define META	0	/* pages for metadata; 0: a device without */
#endif
#ifndef RECHECKS
#define RECHECKS 0	/* 1: there is a read, too, that has to be read again */
#endif
#ifndef SPLITTERS
#define SPLITTERS 1	/* threads of a splitters' queue: 1 is its rescuer alone */
#endif
#ifndef WORKERS
#define WORKERS	1	/* threads of the fragments' queue */
#endif
#ifndef DEPTH
#define DEPTH	1	/* the cipher's queue */
#endif
#ifndef CPUS
#define CPUS	2	/* callbacks that may run at the same time */
#endif
#ifndef EXTRA
#define EXTRA	1	/* 1: more requests than the embedded one, when lucky */
#endif
#ifndef ERRORS
#define ERRORS	1	/* 1: cipher and disk may fail */
#endif
#ifndef TRIM
#define TRIM	1	/* 1: a fragment may get fewer pages than the pool has */
#endif
#ifndef NOMEM
#define NOMEM	1	/* 1: the cipher may want to sleep for memory */
#endif
#ifndef QUEUE
#define QUEUE	1	/* 1: the splitter may leave a fragment to a worker and go on splitting */
#endif
#ifndef SHARES
#define SHARES	0	/* 1: a fragment's conversion may be handed out in shares, of a unit each */
#endif
#ifndef BUSY
#define BUSY	1	/* 1: the lower device has room for one; map is refused, the writer waits */
#endif
#ifndef SYNC
#define SYNC	1	/* 1: the cipher may finish a request at once */
#endif

#define FRAGS	(BASES + POOL_OBJECTS)
#define HELPS	(QUEUE && (PAGES > 1 || SHARES)) /* map converts what it has handed out */
#define REQUESTS (FRAGS * (1 + EXTRA))
#define UNITS	(PAGES * UPP)
#define NONE	255

/* context.go */
#define RUNNING	0	/* a thread converts, or is about to */
#define PARKED	1	/* no thread; the thread that makes it RUNNING queues the work */
#define KICKED	2	/* the event that the converter would park for has happened */

/* fragment.state */
#define FREE		0
#define TAKEN		1	/* somebody's, not yet started */
#define CONVERTING	2
#define CONVERTED	3	/* pending was zero, the clone not yet submitted */
#define LISTED		4	/* the same, left to the writer */
#define SUBMITTED	5
#define REFUSED		6	/* the lower device is about to say that it has no room */
#define ENDED		7	/* only the base stays in this state */

/* request.state, the driver's view */
#define IDLE		0
#define QUEUED		1	/* has a slot in the queue */
#define BACKLOG		2	/* accepted with -EBUSY */
#define MOVED		3	/* has a slot, -EINPROGRESS not yet said */
#define TALKING		4	/* a callback is under way */

typedef context {
	byte pos;	/* next unit of the base to convert */
	byte end;	/* first unit that is not the fragment's */
	byte pending;	/* units not settled + 1 for the converter */
	byte awaited;	/* the request whose callback may wake us */
	byte go;		/* ctx->run in the code */
};

typedef fragment {
	byte state;
	byte base;
	byte first;	/* page */
	byte count;	/* pages */
	bit error;
	bit busy;	/* the embedded request is the driver's */
	bit queued;	/* its work is pending */
#if SHARES
	byte whole;	/* the fragment that it is a share of, or NONE */
	byte unconverted;	/* shares, with its own last one */
	bit share_error;
#endif
};

typedef request {
	byte state;
	byte unit;
};

typedef base_io {
	byte next;	/* page that the next fragment starts at */
	byte refs;	/* 1 for the splitter, 1 for each fragment in flight */
	bit error;
	bit ended;
#if META
	bit has_meta;	/* its page for metadata, until it ends */
#endif
	bit failed;	/* ghost: some fragment met an error */
	byte flying;	/* ghost: fragments not ended */
};

context ctx[FRAGS];
fragment frag[FRAGS];
request req[REQUESTS];
base_io io[BASES];
byte converted[BASES * UNITS];	/* ghost: how often each unit was */
byte written[BASES * PAGES];	/* ghost: how many fragments ended with each page */

byte objects = POOL_OBJECTS;
byte clones = POOL_CLONES;
byte pages = POOL_PAGES;
#if META
byte metas = META;
#endif

byte in_queue;
#if BUSY
byte room = 1;
#endif
#ifdef IN_ORDER
chan order = [REQUESTS] of { byte };
#endif
chan split_queue = [BASES + RECHECKS] of { byte };
#if META
#ifdef ONE_QUEUE
#define meta_queue	split_queue
#else
chan meta_queue = [BASES + RECHECKS] of { byte };
#endif
#endif
chan work_queue = [FRAGS] of { byte };

#ifdef SHARED_CONTEXT
#define CTX(f)	frag[f].base
#else
#define CTX(f)	(f)
#endif
#define FRAGMENT_OF(r)	((r) % FRAGS)
#define UNIT_OF(f, u)	(frag[f].base * UNITS + (u))
#define ALIVE(f)	(frag[f].state != FREE && !io[frag[f].base].ended)

/* What the inlines need as locals of their caller. */
#if SHARES
#define SHARE_LOCALS		byte over = NONE; byte whole = NONE;
#else
#define SHARE_LOCALS
#endif
#define LOCALS			\
	SHARE_LOCALS		\
	byte c = 0;		\
	byte r = NONE;		\
	byte settled = 0;	\
	byte b2 = 0;		\
	byte i = 0;		\
	bit park = 0;		\
	bit again = 0;		\
	bit failed = 0;		\
	bit ended = 0;		\
	bit late = 0

inline forget(f)
{
	frag[f].base = 0;
	frag[f].first = 0;
	frag[f].count = 0;
	frag[f].error = 0;
	frag[f].state = FREE;
#if SHARES
	frag[f].whole = 0;
	frag[f].unconverted = 0;
	frag[f].share_error = 0;
#endif
	ctx[f].pos = 0;
	ctx[f].end = 0;
	ctx[f].awaited = 0;
	ctx[f].go = RUNNING
}

/* ---- base io ------------------------------------------------------------- */

/* bio_endio(base_bio). Nothing of the base means anything from here on. */
inline end_base(b, err)
{
	assert(!io[b].ended);
	assert(io[b].refs == 0 && io[b].flying == 0 && io[b].next == PAGES);
	assert(err == io[b].failed);
#if META
	assert(io[b].has_meta);
	io[b].has_meta = 0;
	metas++;
	assert(metas <= META);
#endif
	io[b].ended = 1;
	io[b].error = 0;
	io[b].failed = 0;
	forget(b);
	i = 0;
	do
	:: i < PAGES ->
		assert(written[b * PAGES + i] == 1);
		written[b * PAGES + i] = 0;
		i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < UNITS ->
		converted[b * UNITS + i] = 0;
		i++
	:: else -> break
	od;
	i = 0
}

/*
 * ca_base_put(): only the last reference looks at the error, and after its decrement.
 * One step: once the count is zero, no other thread has the base.
 */
inline base_put(b)
{
#ifdef EARLY_ERROR_READ
	failed = io[b].error;
#endif
	atomic {
		assert(io[b].refs > 0);
		io[b].refs--;
		if
		:: io[b].refs == 0 ->
#ifndef EARLY_ERROR_READ
			failed = io[b].error;
#endif
			end_base(b, failed)
		:: else
		fi;
		failed = 0
	}
}

/* ---- fragments ----------------------------------------------------------- */

/*
 * The end of a fragment, in two parts. First: record the error, free pages, clone and
 * object. Freeing never waits, so that it is one step hides no deadlock.
 */
inline give_back(f)
{
	assert(ALIVE(f));
	assert(!frag[f].busy && !frag[f].queued);
	assert(ctx[CTX(f)].pending == 0);
	b2 = frag[f].base;
	ended = 1;
#ifdef LATE_ERROR_RECORD
	late = frag[f].error;
#else
	if
	:: frag[f].error -> io[b2].error = 1
	:: else
	fi;
#endif
	/* However it ended, its pages were dealt with; whether well is io.failed's matter. */
	i = 0;
	do
	:: i < frag[f].count ->
		written[b2 * PAGES + frag[f].first + i]++;
		assert(written[b2 * PAGES + frag[f].first + i] == 1);
		i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < frag[f].count * UPP ->
		converted[b2 * UNITS + frag[f].first * UPP + i] = 1;
		i++
	:: else -> break
	od;
	i = 0;
	pages = pages + frag[f].count;
	clones++;
	assert(pages <= POOL_PAGES && clones <= POOL_CLONES);
	io[b2].flying--;
	if
	:: f >= BASES ->
		objects++;
		assert(objects <= POOL_OBJECTS);
		forget(f)
	:: else -> frag[f].state = ENDED
	fi
}

/* Then: drop the base. */
inline drop_base()
{
	if
	:: ended ->
		ended = 0;
		base_put(b2);
#ifdef LATE_ERROR_RECORD
		if
		:: late -> io[b2].error = 1
		:: else
		fi;
		late = 0;
#endif
		b2 = 0
	:: else
	fi
}

/*
 * Every unit was encrypted once, none has an error. Map submits its own, and may be refused, or
 * leaves it to the writer, as all others do.
 */
inline pass_on(f, is_own)
{
	assert(ALIVE(f) && frag[f].state == CONVERTED && !frag[f].error);
	i = frag[f].first * UPP;
	do
	:: i < (frag[f].first + frag[f].count) * UPP ->
		assert(converted[UNIT_OF(f, i)] == 1);
		i++
	:: else -> break
	od;
	i = 0;
	if
#if BUSY
	:: is_own && room > 0 -> submit_clone(f)
	:: is_own -> frag[f].state = REFUSED
#else
	:: is_own -> submit_clone(f)
#endif
	:: true -> frag[f].state = LISTED
	fi
}

inline submit_clone(f)
{
#if BUSY
	room--;
#endif
	frag[f].state = SUBMITTED
}

inline queue_work(f)
{
	d_step {
		assert(ALIVE(f) && !frag[f].queued);
		frag[f].queued = 1;
		work_queue!f
	}
}

/* The thread is the fragment's sole owner: it passes the clone on, or ends the fragment. */
inline go_on(f, is_own)
{
	assert(frag[f].state == CONVERTING);
	frag[f].state = CONVERTED;
	if
	:: frag[f].error -> give_back(f)
	:: else -> pass_on(f, is_own)
	fi
}

#if SHARES
/* A share ends, never as the last of its base, since the whole has a reference, too. */
inline end_share()
{
	d_step {
		assert(ALIVE(over) && !frag[over].busy && !frag[over].queued);
		i = frag[over].whole;
		assert(ALIVE(i));
#ifdef LATE_SHARE_ERROR
		late = frag[over].error;
#else
		frag[i].share_error = frag[i].share_error || frag[over].error;
#endif
		io[frag[over].base].refs--;
		assert(io[frag[over].base].refs > 0);
		objects++;
		assert(objects <= POOL_OBJECTS);
		forget(over);
		over = i;
		i = 0
	}
}

/* All of a fragment is converted, also by others. */
inline go_on_whole(is_own)
{
	frag[over].error = frag[over].error || frag[over].share_error;
	frag[over].unconverted = 0;
	go_on(over, is_own)
}

/* A share less. The thread that takes the last one off goes on, or finds itself the only one. */
inline count_off(is_own)
{
	if
	:: atomic { frag[over].unconverted == 1 -> go_on_whole(is_own) }
	:: frag[over].unconverted != 1 ->
		atomic {
			assert(ALIVE(over) && frag[over].unconverted > 0);
			frag[over].unconverted--;
			if
			:: frag[over].unconverted == 0 -> go_on_whole(is_own)
			:: else
			fi
		}
	fi;
#ifdef LATE_SHARE_ERROR
	if
	:: late -> frag[over].share_error = 1
	:: else
	fi;
	late = 0;
#endif
	over = NONE
}
#endif

/*
 * Settles n units. The thread that settles the last one ends a share, and goes on with a fragment
 * of which no share is left.
 */
inline settle(f, c, n, is_own)
{
	atomic {
		assert(ALIVE(f) && ctx[c].pending >= n);
		ctx[c].pending = ctx[c].pending - (n);
		if
		:: ctx[c].pending == 0 ->
#if SHARES
			over = f;
			if
			:: frag[over].whole != NONE -> end_share()
			:: else
			fi
#else
			go_on(f, is_own)
#endif
		:: else
		fi
	};
#if SHARES
	if
	:: over != NONE -> count_off(is_own)
	:: over == NONE
	fi;
#endif
	drop_base()
}

/* ---- ca_convert ---------------------------------------------------------- */

/* The embedded request, or with luck another one, or NONE. */
inline get_request(f, r)
{
	if
	:: !frag[f].busy -> r = f
#if EXTRA
	:: frag[f].busy && req[FRAGS + f].state == IDLE -> r = FRAGS + f
#endif
	:: frag[f].busy -> r = NONE
	fi
}

inline hand_over(f, c, r, new_state)
{
	assert(req[r].state == IDLE);
	req[r].state = new_state;
	req[r].unit = ctx[c].pos;
	ctx[c].pos++;
#ifdef IN_ORDER
	order!r;
#endif
	if
	:: r < FRAGS -> frag[r].busy = 1
	:: else
	fi
}

/* One answer of the driver, whichever it likes. */
inline submit_request(f, c, r, may_sleep)
{
	if
#if NOMEM
	:: !may_sleep -> again = 1	/* -ENOMEM: a worker tries again */
#endif
	:: in_queue < DEPTH ->
		hand_over(f, c, r, QUEUED);
		in_queue++
	:: in_queue >= DEPTH ->	/* -EBUSY */
		hand_over(f, c, r, BACKLOG);
		park = 1
#if SYNC
	:: in_queue < DEPTH ->	/* finished at once */
		converted[UNIT_OF(f, ctx[c].pos)]++;
		assert(converted[UNIT_OF(f, ctx[c].pos)] == 1);
		settled++;
		ctx[c].pos++
#endif
#if ERRORS
	:: true ->		/* refused: no more of this fragment */
		io[frag[f].base].failed = 1;
		frag[f].error = 1;
		settled = settled + (ctx[c].end - ctx[c].pos);
		ctx[c].pos = ctx[c].end
#endif
	fi
}

/* Never to zero: the converter's own 1 is still in it. */
inline subtract_settled(c)
{
	d_step {
		ctx[c].pending = ctx[c].pending - settled;
		settled = 0;
		assert(ctx[c].pending > 0)
	}
}

/*
 * Runs in map, which may not sleep, in the splitter, or in the fragment's work. Ends with
 * the converter's own count dropped, or parked; from then on the thread does not own the
 * fragment.
 */
inline convert(f, may_sleep)
{
	c = CTX(f);
	do
	:: ctx[c].pos >= ctx[c].end ->
		settle(f, c, settled + 1, !may_sleep);
		settled = 0;
		break
	:: atomic { ctx[c].pos < ctx[c].end ->
		assert(ALIVE(f));
		get_request(f, r) };
		/*
		 * The request to wait for is named before the driver can answer, or, with
		 * none at hand, before the second look (barrier).
		 */
		ctx[c].awaited = (r == NONE -> f : r);
		ctx[c].go = RUNNING;
		atomic {
			if
			:: r == NONE ->
#ifdef NO_RECHECK
				park = 1
#else
				park = frag[f].busy
#endif
			:: else -> submit_request(f, c, r, may_sleep)
			fi;
			r = NONE
		};
		if
		:: again ->
			again = 0;
			subtract_settled(c);
			queue_work(f);
			break
		:: park ->
			park = 0;
			/*
			 * Nothing stays with this thread: after the exchange another one may own
			 * the fragment. (The code keeps what was settled in the context.)
			 */
			subtract_settled(c);
			if
			:: atomic { ctx[c].go == RUNNING -> ctx[c].go = PARKED };
				break
			:: ctx[c].go != RUNNING
			fi
		:: else
		fi
	od;
	c = 0
}

/* ---- request_done -------------------------------------------------------- */

/*
 * The thread that turns PARKED into RUNNING queues the work. RUNNING is tried
 * first: when that fails, the converter has parked, or it will look again by itself.
 */
inline kick(f, c)
{
#ifdef KICK_ONCE
	if
	:: atomic { ctx[c].go == PARKED -> ctx[c].go = RUNNING };
		queue_work(f)
	:: ctx[c].go != PARKED;
		if
		:: atomic { ctx[c].go == RUNNING -> ctx[c].go = KICKED }
		:: ctx[c].go != RUNNING
		fi
	fi
#else
	if
	:: atomic { ctx[c].go == RUNNING -> ctx[c].go = KICKED }
	:: ctx[c].go != RUNNING;
		if
		:: atomic { ctx[c].go == PARKED -> ctx[c].go = RUNNING };
			queue_work(f)
		:: ctx[c].go != PARKED
		fi
	fi
#endif
}

/* The driver is done with a request, for the last time. */
inline request_done(r)
{
	/* The driver's last access to the data, then the callback's to the request (barrier). */
	atomic {
		f = FRAGMENT_OF(r);
		assert(ALIVE(f));
		c = CTX(f);
		if
#if ERRORS
		:: io[frag[f].base].failed = 1;
			frag[f].error = 1
#endif
		:: i = UNIT_OF(f, req[r].unit);
			converted[i]++;
			assert(converted[i] == 1);
			i = 0
		fi;
		req[r].state = IDLE;
		req[r].unit = 0;
		if
		:: r < FRAGS ->
			assert(frag[f].busy);
			frag[f].busy = 0
		:: else
		fi
	};
#ifdef LATE_KICK
	settle(f, c, 1, 0);
#endif
	if
	:: ctx[c].awaited == r -> kick(f, c)
	:: ctx[c].awaited != r
	fi;
#ifndef LATE_KICK
	settle(f, c, 1, 0);
#else
	assert(ALIVE(f));
#endif
	atomic { f = 0; c = 0 }
}

/* The backlog moved, -EINPROGRESS. The request stays the driver's. */
inline request_moved(r)
{
	d_step {
		f = FRAGMENT_OF(r);
		assert(ALIVE(f));
		c = CTX(f)
	};
	if
	:: ctx[c].awaited == r -> kick(f, c)
	:: ctx[c].awaited != r
	fi;
	atomic { f = 0; c = 0 }
}

/* ---- splitting ----------------------------------------------------------- */

/* Takes an object that is there. */
inline take_object(f)
{
	objects--;
	f = BASES;
	do
	:: frag[f].state == FREE -> break
	:: else -> f++
	od;
	frag[f].state = TAKEN
}

inline give_object(f)
{
	if
	:: f >= BASES ->
		objects++;
		frag[f].state = FREE
	:: else
	fi
}

/* As many pages as are wanted and there; fewer, where an allocation fails. */
inline more_pages(b, got)
{
	do
	:: io[b].next + got < PAGES && pages > 0 ->
		pages--;
		got++
	:: io[b].next + got == PAGES || pages == 0 -> break
#if TRIM
	:: got > 0 -> break
#endif
	od
}

inline start_fragment(b, f, got)
{
	d_step {
		assert(frag[f].state == TAKEN);
		assert(!frag[f].busy && !frag[f].queued);
		frag[f].state = CONVERTING;
		frag[f].base = b;
		frag[f].first = io[b].next;
		frag[f].count = got;
		ctx[CTX(f)].pos = io[b].next * UPP;
		ctx[CTX(f)].end = (io[b].next + got) * UPP;
		ctx[CTX(f)].pending = got * UPP + 1;
		ctx[CTX(f)].go = RUNNING;
		ctx[CTX(f)].awaited = NONE;
		io[b].flying++;
		io[b].next = io[b].next + got;
		last = io[b].next == PAGES;
		io[b].refs = io[b].refs + !last;
#if SHARES
		frag[f].whole = NONE;
		frag[f].unconverted = 1;
#endif
		got = 0
	}
}

#if SHARES
#define CAN_SHARE	(ctx[whole].end - ctx[whole].pos > 1)

/* One unit of the fragment "whole"; the caller has taken an object for it. */
inline take_share(f)
{
	d_step {
		assert(frag[f].state == TAKEN && !frag[f].busy && !frag[f].queued);
		frag[f].state = CONVERTING;
		frag[f].base = frag[whole].base;
		frag[f].whole = whole;
		ctx[f].pos = ctx[whole].pos;
		ctx[f].end = ctx[whole].pos + 1;
		ctx[f].pending = 2;
		ctx[f].go = RUNNING;
		ctx[f].awaited = NONE;
		ctx[whole].pos++;
		ctx[whole].pending--;
		io[frag[f].base].refs++;
#ifndef SHARE_EARLY
		frag[whole].unconverted++
#endif
	}
}
#endif

inline dispatch_piece(f, may_sleep)
{
	if
#if QUEUE
	:: queue_work(f)
#endif
	:: convert(f, may_sleep)
	fi
}

/* Hands out a fragment's conversion in shares, as far as there are objects, then what is left. */
inline dispatch(f, may_sleep)
{
#if SHARES
	whole = f;
	do
	:: whole == NONE -> break
	:: atomic { whole != NONE ->
		if
		:: CAN_SHARE && objects > 0 ->
			take_object(f);
			take_share(f)
#ifdef SHARE_WAITS
		:: !CAN_SHARE ->
#else
		:: true ->
#endif
			f = whole;
			whole = NONE
		fi };
		dispatch_piece(f, may_sleep);
#ifdef SHARE_EARLY
		if
		:: whole != NONE -> frag[whole].unconverted++
		:: else
		fi
#endif
	od
#else
	dispatch_piece(f, may_sleep)
#endif
}

#define FIRST(b)	(io[b].next == 0)	/* its fragment is part of the base */

/* A fragment of the base that waits for a worker, or NONE. */
inline dequeue_own(b, f)
{
	d_step {
		assert(!io[b].ended);
		f = 0;
		do
		:: f == FRAGS -> f = NONE; break
		:: f < FRAGS ->
			if
			:: frag[f].queued && frag[f].base == b ->
				work_queue??eval(f);
				frag[f].queued = 0;
				break
			:: else -> f++
			fi
		od
	}
}

/* ca_map(): every step has a way on at once. */
proctype map_write(byte b)
{
	LOCALS;
	byte f = 0;
	byte got = 0;
	bit last = 0;

#ifndef NO_OWN_REFERENCE
	io[b].refs = io[b].refs + HELPS;
#endif
#if META
	atomic {
		if
		:: metas > 0 -> metas--; io[b].has_meta = 1
		:: else -> goto miss
		fi
	};
#endif
	do
	:: last -> break
	:: atomic { !last ->
		if
		:: FIRST(b) -> f = b
		:: !FIRST(b) && objects > 0 -> take_object(f)
		:: else -> goto miss
		fi };
		atomic {
			if
			:: clones > 0 -> clones--
			:: else ->
#ifdef HANDED_OVER
				if
				:: f >= BASES ->
					split_queue!(BASES + f * BASES + b);
					goto out
				:: else
				fi;
#endif
				give_object(f);
				goto miss
			fi
		};
		atomic {
			more_pages(b, got);
			if
			:: got > 0
			:: else ->
				clones++;
				give_object(f);
				goto miss
			fi;
			start_fragment(b, f, got)
		};
		dispatch(f, 0);
		f = 0
	od;
	if
	:: HELPS ->
		do
		:: dequeue_own(b, f);
			if
			:: f == NONE -> break
			:: else
			fi;
			convert(f, 0);
			f = 0
		od;
		f = 0;
#ifndef NO_OWN_REFERENCE
		base_put(b)
#endif
	:: !HELPS
	fi;
	goto out;
miss:
#ifndef NO_OWN_REFERENCE
	io[b].refs = io[b].refs - HELPS;
#endif
#if META
	if
	:: io[b].has_meta -> meta_queue!b; goto out
	:: else
	fi;
#endif
	split_queue!b;
out:
	skip
}

#if RECHECKS
#define READ	BASES	/* its number in the queues */
bit read_has_meta;
bit read_ended;

/*
 * A read whose tag does not match. That it is read, by a clone, and that it is converted, ends by
 * itself and is left out; so is a read that no splitter has to do anything for.
 */
proctype map_read()
{
	atomic {
		if
		:: metas > 0 -> metas--; read_has_meta = 1
		:: else
		fi
	};
	if
	:: read_has_meta -> meta_queue!READ
	:: else -> split_queue!READ
	fi
}

inline recheck()
{
	if
	:: read_has_meta ->
		atomic { clones > 0 -> clones-- };
		atomic { pages > 0 -> pages-- };
		d_step {
			pages++;
			clones++;
			metas++;
			assert(metas <= META);
			read_has_meta = 0;
			read_ended = 1
		}
	:: else ->
		atomic { metas > 0 -> metas--; read_has_meta = 1 };
		meta_queue!READ
	fi
}
#endif

#define SPLITTER_LOCALS		\
	LOCALS;			\
	byte b = 0;		\
	byte f = 0;		\
	byte got = 0;		\
	bit last = 0

/* A splitter: may wait, with only earlier resources in hand. */
inline split_base()
{
	last = 0;
#if META
	if
	:: io[b].has_meta
	:: else -> atomic { metas > 0 -> metas--; io[b].has_meta = 1 }
	fi;
#endif
#ifdef HANDED_OVER
	if
	:: b >= BASES ->
		atomic { f = b / BASES - 1; b = b % BASES };
		goto has_object
	:: else
	fi;
#endif
	do
	:: last -> break
	:: atomic { !last && (FIRST(b) || objects > 0) ->
		if
		:: FIRST(b) -> f = b
		:: else -> take_object(f)
		fi };
#ifdef HANDED_OVER
has_object:
#endif
		atomic { clones > 0 -> clones-- };
#ifdef HOLD_AND_WAIT
		do
		:: atomic { io[b].next + got < PAGES && pages > 0 ->
			pages--;
			got++ }
		:: io[b].next + got == PAGES -> break
		od;
		start_fragment(b, f, got);
#else
		atomic { pages > 0 ->
			more_pages(b, got);
			start_fragment(b, f, got) };
#endif
		dispatch(f, 1);
		f = 0
	od;
}

#if RECHECKS
inline work_on_base()
{
	if
	:: b == READ -> recheck()
	:: else -> split_base()
	fi;
	b = 0
}
#else
inline work_on_base()
{
	split_base();
	b = 0
}
#endif

active [SPLITTERS] proctype split_worker()
{
	SPLITTER_LOCALS;

end:	do
	:: split_queue?b;
		work_on_base()
	od
}

#if META && !defined(ONE_QUEUE)
active proctype meta_worker()
{
	SPLITTER_LOCALS;

end:	do
	:: meta_queue?b;
		work_on_base()
	od
}
#endif

/* A worker: never waits for a pool, nor for the lower device. */
active [WORKERS] proctype fragment_worker()
{
	LOCALS;
	byte f = 0;

end:	do
	:: atomic { work_queue?f;
		assert(ALIVE(f) && frag[f].queued && frag[f].state == CONVERTING);
		frag[f].queued = 0 };
		convert(f, 1);
		f = 0
	od
}

/* ---- crypto driver and lower device -------------------------------------- */

/* Any x for which a request is in the given state; blocks where there is none. */
inline pick_request(s, x)
{
	if
	:: req[0].state == s -> x = 0
#if REQUESTS > 1
	:: req[1].state == s -> x = 1
#endif
#if REQUESTS > 2
	:: req[2].state == s -> x = 2
#endif
#if REQUESTS > 3
	:: req[3].state == s -> x = 3
#endif
#if REQUESTS > 4
	:: req[4].state == s -> x = 4
#endif
#if REQUESTS > 5
	:: req[5].state == s -> x = 5
#endif
#if REQUESTS > 6
	:: req[6].state == s -> x = 6
#endif
#if REQUESTS > 7
	:: req[7].state == s -> x = 7
#endif
#if REQUESTS > 8
	:: req[8].state == s -> x = 8
#endif
#if REQUESTS > 9
	:: req[9].state == s -> x = 9
#endif
	fi
}

/* A slot became free: any request of the backlog moves into it. */
inline move_backlog()
{
	in_queue--;
	if
	:: req[0].state == BACKLOG -> req[0].state = MOVED; in_queue++
#if REQUESTS > 1
	:: req[1].state == BACKLOG -> req[1].state = MOVED; in_queue++
#endif
#if REQUESTS > 2
	:: req[2].state == BACKLOG -> req[2].state = MOVED; in_queue++
#endif
#if REQUESTS > 3
	:: req[3].state == BACKLOG -> req[3].state = MOVED; in_queue++
#endif
#if REQUESTS > 4
	:: req[4].state == BACKLOG -> req[4].state = MOVED; in_queue++
#endif
#if REQUESTS > 5
	:: req[5].state == BACKLOG -> req[5].state = MOVED; in_queue++
#endif
#if REQUESTS > 6
	:: req[6].state == BACKLOG -> req[6].state = MOVED; in_queue++
#endif
#if REQUESTS > 7
	:: req[7].state == BACKLOG -> req[7].state = MOVED; in_queue++
#endif
#if REQUESTS > 8
	:: req[8].state == BACKLOG -> req[8].state = MOVED; in_queue++
#endif
#if REQUESTS > 9
	:: req[9].state == BACKLOG -> req[9].state = MOVED; in_queue++
#endif
	:: else
	fi
}

#ifdef IN_ORDER

/* A queue of one, first in, first out; the backlog moves before the result. */
active proctype cipher()
{
	LOCALS;
	byte f = 0;
	byte x = NONE;

end:	do
	:: atomic { order?x ->
		assert(req[x].state == QUEUED);
		req[x].state = TALKING;
		in_queue--;
		if
		:: nempty(order) ->
			order?<r>;
			assert(req[r].state == BACKLOG);
			req[r].state = TALKING;
			in_queue++
		:: else
		fi };
		if
		:: r != NONE ->
			request_moved(r);
			atomic { req[r].state = QUEUED; r = NONE }
		:: else
		fi;
		request_done(x);
		x = NONE
	od
}

#else

/*
 * CPUS of them share one queue of DEPTH, in any order. A request that leaves the
 * queue makes room for one of the backlog, which hears -EINPROGRESS before its
 * own result, but from any CPU and at any time.
 */
active [CPUS] proctype cipher()
{
	LOCALS;
	byte f = 0;
	byte x = NONE;

end:	do
	:: atomic { pick_request(QUEUED, x);
		req[x].state = TALKING;
		move_backlog() };
		request_done(x);
		x = NONE
	:: atomic { pick_request(MOVED, x);
		req[x].state = TALKING };
		request_moved(x);
		d_step { req[x].state = QUEUED; x = NONE }
	od
}

#endif

/* Any x that is the number of a fragment in the given state; blocks where there is none. */
inline pick_fragment(s, x)
{
	if
	:: frag[0].state == s -> x = 0
#if FRAGS > 1
	:: frag[1].state == s -> x = 1
#endif
#if FRAGS > 2
	:: frag[2].state == s -> x = 2
#endif
#if FRAGS > 3
	:: frag[3].state == s -> x = 3
#endif
#if FRAGS > 4
	:: frag[4].state == s -> x = 4
#endif
#if FRAGS > 5
	:: frag[5].state == s -> x = 5
#endif
	fi
}

/* Submits what others have converted, in any order, and sleeps until there is room. */
active proctype writer()
{
	byte f = 0;

end:	do
	:: atomic { pick_fragment(LISTED, f);
		frag[f].state = CONVERTED;
#if BUSY
		room > 0 ->
#endif
		submit_clone(f);
		f = 0 }
	od
}

/*
 * The lower device: any clone that was submitted ends, in any order. One that was refused goes to
 * the writer, from any context.
 */
active proctype disk()
{
	LOCALS;
	byte f = 0;

end:	do
	:: atomic {
		pick_fragment(SUBMITTED, f);
#if BUSY
		room++;
#endif
		if
#if ERRORS
		:: io[frag[f].base].failed = 1;
			frag[f].error = 1
#endif
		:: true
		fi;
		give_back(f);
		f = 0 };
		drop_base()
#if BUSY
	:: atomic { pick_fragment(REFUSED, f);
		frag[f].state = LISTED;
		f = 0 }
#endif
	od
}

#define IS_ENDED(n)	(n >= BASES || io[n % BASES].ended)

init
{
	byte b = 0;

	atomic {
		do
		:: b < BASES ->
			io[b].refs = 1;
			frag[b].base = b;
			frag[b].state = TAKEN;
			run map_write(b);
			b++
		:: else -> break
		od;
#if RECHECKS
		run map_read();
#endif
		b = 0
	};
all_ended:
	atomic { IS_ENDED(0) && IS_ENDED(1) && IS_ENDED(2);
#if RECHECKS
		read_ended;
#endif
#if META
		assert(metas == META && empty(meta_queue));
#endif
		assert(objects == POOL_OBJECTS && clones == POOL_CLONES && pages == POOL_PAGES);
		assert(in_queue == 0 && empty(split_queue) && empty(work_queue)) }
}
