/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way of converted write fragments to the lower device, for spin: who submits what.
 *
 * What is modelled, and where it is in the module:
 *
 *	submitter		the task of a bio, inside map: write_converted(), or it leaves the fragment
 *				to a worker. It may have a plug: ca_writers_expect(), unplugged()
 *	worker			write_converted() in a worker, which converts reads as well
 *	add			ca_writers_add()
 *	wake, hold		the same of writers.c: mod_delayed_work(). That more is expected may be so
 *				or not at any time
 *	take			take() of writers.c
 *	hand_on			hand_on(): to the writer of the fragment's control group
 *	work			first_work() and group_work()
 *	wait_for_disk		ca_submit_write(): may sleep as long as the lower device likes
 *	disk			the lower device: ends bios in any order; complete_write(), for a bio
 *				that it refused
 *	init			removal: the device mapper waits for the bios, ca_writers_exit() for
 *				plugs, destroy_workqueue() for work that is queued or runs, but not
 *				for a timer. Then the writers are gone
 *
 * Writer number 0 is the first one, number 1 the overflow, those from 2 on are memory for writers
 * of groups. Group 0 is the root group; each fragment is the only one of its base. Lists are sets,
 * since a writer sorts.
 *
 * The lower device has room for ROOM bios. With BLOCKED it takes none of group 1 until all others
 * have ended, and the read: so neither waits for group 1.
 *
 * Checked: assertions here; no invalid end state (a fragment that never ends leaves "init" waiting,
 * which is one). Steps that touch shared state stand alone, also while the lock is held. The model
 * is sequentially consistent: what the lock makes visible is in litmus/.
 *
 * Faults, to see that the checker can fail, each by -DNAME:
 *
 *	LOST_WAKE		a writer says that it is idle after it has dropped the lock
 *	FREE_WITHOUT_LOCK	a group's writer leaves the list of groups after that
 *	NOT_UNLINKED		it stays in that list
 *	WORKER_SUBMITS		a worker submits what it has converted
 *	ONE_WRITER		the first writer submits the bios of all groups
 *	NO_DRAIN		removal does not wait for work that has ended the last base
 *	NO_PLUG_WAIT		nor for plugs
 *	NO_LAST_LOCK		nor for the thread that has taken away the last plug
 *	NO_CANCEL		nor for the timer
 */

#ifndef FRAGS
#define FRAGS	3
#endif
#ifndef OWN
#define OWN	1	/* so many of them, the first ones, have their submitters here */
#endif
#ifndef PLUGS
#define PLUGS	0	/* 1: these submitters have a plug each */
#endif
#ifndef HOLDS
#define HOLDS	1	/* 1: the first writer may be held, since more is expected */
#endif
#ifndef GROUPS
#define GROUPS	2	/* control groups, with the root group */
#endif
#ifndef SLOTS
#define SLOTS	1	/* memory for writers of groups */
#endif
#ifndef NOMEM
#define NOMEM	1	/* 1: there may be none even then */
#endif
#ifndef THREADS
#define THREADS	(2 + SLOTS)	/* of the writers' queue: 1 is its rescuer alone */
#endif
#ifndef DISKS
#define DISKS	2	/* completions at the same time */
#endif
#ifndef ROOM
#define ROOM	1
#endif
#ifndef BLOCKED
#define BLOCKED	0
#endif

#define FIRST		0
#define OVERFLOW	1
#define WRITERS		(2 + SLOTS)
#define READ		FRAGS	/* its number among the jobs */

/* Where a fragment is. */
#define CONVERTED	0	/* in the hands of the thread that has converted it, or of a completion */
#define LISTED		1	/* on its writer's list */
#define TAKEN		2	/* on a list of the writer's own */
#define WRITING		3	/* the lower device has it */
#define REFUSED		4	/* the lower device is about to say so */
#define ENDED		5

typedef fragment {
	byte state;
	byte writer;	/* if LISTED or TAKEN */
};

/* writer.state */
#define IDLE		0
#define HELD		1
#define BUSY		2

typedef writer_t {
	bit is_there;	/* ghost: its memory is not free */
	bit is_linked;	/* in the list of groups */
	byte state;
	byte group;
	bit has_timer;	/* its work will be queued */
	bit is_queued;	/* its work is */
	bit runs;
};

fragment frag[FRAGS];
writer_t writer[WRITERS];
bit is_locked;
byte plugs;
bit is_gone;	/* ghost: the device is */
bit is_read;	/* the read is converted */
bit is_blocked = BLOCKED;
byte room = ROOM;
byte threads = THREADS;
chan jobs = [FRAGS + 1] of { byte };

#define GROUP(f)	((f) % GROUPS)

/* ------------------------------------------------------------------------------ the list */

inline lock()
{
	atomic { !is_locked -> assert(!is_gone); is_locked = 1 }
}

inline unlock()
{
	d_step { assert(is_locked && !is_gone); is_locked = 0 }
}

/* The caller has the lock, here and in what follows. */
inline put_on(w, f)
{
	d_step {
		assert(!is_gone && writer[w].is_there);
		assert(frag[f].state == CONVERTED);
		frag[f].state = LISTED;
		frag[f].writer = w
	}
}

/* The work may be running, and have been queued, or be about to be, for another time. */
inline wake(w)
{
	if
	:: writer[w].state == BUSY
	:: writer[w].state != BUSY ->
		writer[w].state = BUSY;
		d_step {
			assert(!is_gone && writer[w].is_there);
			writer[w].has_timer = 0;
			writer[w].is_queued = 1
		}
	fi
}

inline hold(w)
{
	if
	:: writer[w].state != IDLE
	:: writer[w].state == IDLE ->
		writer[w].state = HELD;
		d_step {
			assert(!is_gone && writer[w].is_there);
			writer[w].is_queued = 0;
			writer[w].has_timer = 1
		}
	fi
}

inline add(f)
{
	lock();
	put_on(FIRST, f);
	if
#if HOLDS
	:: hold(FIRST)
#endif
	:: wake(FIRST)
	fi;
	unlock()
}

inline unlink(w)
{
	d_step {
		assert(w < 2 || writer[w].is_linked);
#ifndef NOT_UNLINKED
		writer[w].is_linked = 0
#endif
	}
}

/* All that has come, or none: then the writer is idle, and nobody finds that of a group. */
inline take(w)
{
	lock();
	d_step {
		s = 0;
		any = 0;
		do
		:: s == FRAGS -> break
		:: s < FRAGS ->
			if
			:: frag[s].state == LISTED && frag[s].writer == w ->
				frag[s].state = TAKEN;
				any = 1
			:: else
			fi;
			s++
		od;
		s = 0
	};
#ifdef LOST_WAKE
	writer[w].state = BUSY;
#else
	writer[w].state = (any -> BUSY : IDLE);
#endif
#ifndef FREE_WITHOUT_LOCK
	if
	:: !any && w >= 2 -> unlink(w)
	:: else
	fi;
#endif
	unlock();
#ifdef LOST_WAKE
	if
	:: !any -> writer[w].state = IDLE
	:: any
	fi;
#endif
#ifdef FREE_WITHOUT_LOCK
	if
	:: !any && w >= 2 -> unlink(w)
	:: else
	fi
#endif
}

/* ------------------------------------------------------------------------ control groups */

/* s is the group's writer, or a new one, or the overflow. The caller has the lock. */
inline find_or_make(f)
{
	d_step {
		s = 2;
		do
		:: s == WRITERS -> break
		:: s < WRITERS ->
			if
			:: writer[s].is_linked && writer[s].group == GROUP(f) -> break
			:: else -> s++
			fi
		od
	};
	if
	:: s < WRITERS
	:: s == WRITERS ->
		d_step {
			s = 2;
			do
			:: s == WRITERS || !writer[s].is_there -> break
			:: else -> s++
			od
		};
		if
		:: s < WRITERS ->
			d_step {
				writer[s].is_there = 1;
				writer[s].is_linked = 1;
				writer[s].state = IDLE;
				writer[s].group = GROUP(f)
			}
#if NOMEM
		:: s < WRITERS -> s = OVERFLOW
#endif
		:: s == WRITERS -> s = OVERFLOW
		fi
	fi
}

inline hand_on(f)
{
	frag[f].state = CONVERTED;
	lock();
	find_or_make(f);
	put_on(s, f);
	wake(s);
	unlock();
	s = 0
}

/* Any fragment on the writer's own list. */
#define IS_TAKEN(f, w)	(f < FRAGS && frag[(f) % FRAGS].state == TAKEN && \
			 frag[(f) % FRAGS].writer == w)

inline pick_taken(w, f)
{
	if
	:: IS_TAKEN(0, w) -> f = 0
	:: IS_TAKEN(1, w) -> f = 1
	:: IS_TAKEN(2, w) -> f = 2
	:: IS_TAKEN(3, w) -> f = 3
	:: else -> f = FRAGS
	fi
}

/* The next one there that is of a group. */
inline pick_of_group(f)
{
	d_step {
		f = 0;
		do
		:: f == FRAGS -> break
		:: f < FRAGS ->
			if
			:: IS_TAKEN(f, FIRST) && GROUP(f) -> break
			:: else -> f++
			fi
		od
	}
}

inline give_to_disk(f)
{
	room--;
	frag[f].state = WRITING;
	frag[f].writer = 0
}

/* Sleeps until there is room, and until the group may go on. */
inline wait_for_disk(f)
{
	atomic { room > 0 && !(is_blocked && GROUP(f) == 1) -> give_to_disk(f) }
}

proctype work(byte w)
{
	byte f = 0;
	byte s = 0;
	bit any = 0;

end:	do
	:: atomic { writer[w].is_queued && threads > 0 ->
		assert(!is_gone && writer[w].is_there && !writer[w].runs);
		writer[w].is_queued = 0;
		writer[w].runs = 1;
		threads-- };
		do
		:: take(w);
			if
			:: !any -> break
			:: any
			fi;
#ifndef ONE_WRITER
			do
			:: w == FIRST ->
				pick_of_group(f);
				if
				:: f == FRAGS -> break
				:: f < FRAGS -> hand_on(f)
				fi
			:: w != FIRST -> break
			od;
#endif
			do
			:: pick_taken(w, f);
				if
				:: f == FRAGS -> break
				:: f < FRAGS -> wait_for_disk(f)
				fi
			od;
			atomic { f = 0; any = 0 }
		od;
		atomic {
			assert(!is_gone && writer[w].is_there);
			if
			:: w >= 2 ->
				assert(!writer[w].is_queued && !writer[w].has_timer);
				writer[w].is_there = 0;
				writer[w].group = 0
			:: else
			fi;
			writer[w].runs = 0;
			threads++
		}
	od
}

#define HAS_LISTED(f)	(f < FRAGS && frag[(f) % FRAGS].state == LISTED && \
			 frag[(f) % FRAGS].writer == FIRST)

/* ----------------------------------------------------------------- those who have converted */

/* A moment has passed. */
active proctype timer()
{
end:	do
	:: atomic { writer[FIRST].has_timer ->
		assert(!is_gone);
		writer[FIRST].has_timer = 0;
		writer[FIRST].is_queued = 1 }
	od
}

/* That the first writer has something to do is a guess; so is that it had to wait lately. */
inline convert_own(f)
{
	d_step { assert(!is_gone); is_busy = writer[FIRST].state != IDLE };
	if
	:: !is_busy ->
		atomic {
			if
			:: room > 0 && !(is_blocked && GROUP(f) == 1) -> give_to_disk(f)
			:: frag[f].state = REFUSED
			fi
		}
	:: !is_busy -> wait_for_disk(f)	/* it cannot refuse: the task sleeps for its own bio */
	:: true -> add(f)
	fi;
	is_busy = 0
}

proctype submitter(byte f)
{
	bit is_busy = 0;

#if PLUGS
	lock();
	plugs++;
	unlock();
	if
	:: convert_own(f)
	:: jobs!f
	fi;
	lock();
	plugs--;
	if
	:: HAS_LISTED(0) || HAS_LISTED(1) || HAS_LISTED(2) || HAS_LISTED(3) -> wake(FIRST)
	:: else
	fi;
	unlock()
#else
	convert_own(f)
#endif
}

active proctype worker()
{
	byte f = 0;

end:	do
	:: jobs?f;
		if
		:: f == READ -> is_read = 1
		:: f != READ ->
#ifdef WORKER_SUBMITS
			wait_for_disk(f)
#else
			add(f)
#endif
		fi;
		f = 0
	od
}

#define IS_IN(f, s)	(f < FRAGS && frag[(f) % FRAGS].state == s)

inline pick(s, f)
{
	if
	:: IS_IN(0, s) -> f = 0
	:: IS_IN(1, s) -> f = 1
	:: IS_IN(2, s) -> f = 2
	:: IS_IN(3, s) -> f = 3
	fi
}

/* Any number of them at the same time. */
active [DISKS] proctype disk()
{
	byte f = 0;

end:	do
	:: atomic { pick(WRITING, f);
		frag[f].state = ENDED;
		room++;
		assert(room <= ROOM && !is_gone);
		f = 0 }
	:: atomic { pick(REFUSED, f);
		frag[f].state = CONVERTED };
		add(f);	/* in any context */
		f = 0
	od
}

/* -------------------------------------------------------------------------------- the device */

#define HAS_ENDED(f)	(f >= FRAGS || frag[(f) % FRAGS].state == ENDED)
#define MAY_WAIT(f)	(GROUP(f) == 1 || HAS_ENDED(f))
#define IS_IDLE(w)	(w >= WRITERS || \
			 (!writer[(w) % WRITERS].is_queued && !writer[(w) % WRITERS].runs))

init
{
	byte f = 0;
	byte w = 0;

	atomic {
		writer[FIRST].is_there = 1;
		writer[OVERFLOW].is_there = 1;
		do
		:: w == WRITERS -> break
		:: w < WRITERS -> run work(w); w++
		od;
		do
		:: f == FRAGS -> break
		:: f < FRAGS ->
			if
			:: f < OWN -> run submitter(f)
			:: f >= OWN -> jobs!f
			fi;
			f++
		od;
		jobs!READ;
		f = 0;
		w = 0
	};
	atomic { is_read && MAY_WAIT(0) && MAY_WAIT(1) && MAY_WAIT(2) && MAY_WAIT(3);
		is_blocked = 0 };
	atomic { HAS_ENDED(0) && HAS_ENDED(1) && HAS_ENDED(2) && HAS_ENDED(3) };
#ifndef NO_PLUG_WAIT
	plugs == 0;
#endif
#ifndef NO_LAST_LOCK
	lock();
	unlock();
#endif
#ifndef NO_CANCEL
	writer[FIRST].has_timer = 0;
#endif
#ifdef NO_DRAIN
	is_gone = 1;
#else
	atomic { IS_IDLE(0) && IS_IDLE(1) && IS_IDLE(2) && IS_IDLE(3);
		is_gone = 1;
		assert(!is_locked && room == ROOM && threads == THREADS);
		assert(writer[FIRST].state == IDLE && writer[OVERFLOW].state == IDLE);
		assert(!writer[FIRST].has_timer && plugs == 0);
		do
		:: w == WRITERS -> break
		:: w < WRITERS ->
			assert(w < 2 || (!writer[w].is_there && !writer[w].is_linked));
			w++
		od }
#endif
}
