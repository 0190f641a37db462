/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory of many devices, for spin.
 *
 * What is modelled, and where it is in the module:
 *
 *	get_first, get_further	ca_account_get(), then the reserve: mempool_alloc()
 *	charge			charge() of account.c: an atomic addition, a look, perhaps back again
 *	put_page		put_page_back() of pages.c, with mempool_free() and ca_magazine_put()
 *	writer			a splitter that waits for the first page of a fragment, and takes a
 *				second one if it is at hand
 *	disk			the lower device; the one of a stuck device ends nothing
 *	keeper			somebody who holds a page when its write has ended, for a while
 *	lingering		linger_work()
 *	tending			tend_work() and the shrinker
 *
 * Device 0 is stuck if STUCK is set. Its ceiling is its reserve, what is its own and its share; that
 * of another one may be anything from there up to all, as look() finds it. There is one CPU's
 * magazine and credit; that others have more of them changes nothing, as all are found when pages or
 * credit are short. All pages are single ones, and the allocator may fail whenever it is asked.
 *
 * Checked: no more pages than the budget are ever taken from the allocator; a stuck device holds no
 * more than its share; what is charged is what is held; no writer of another device waits for ever
 * (an invalid end state); when all have ended, each device holds its reserve.
 *
 * Faults, to see that the checker can fail, each by -DNAME:
 *
 *	MAGAZINE_FIRST		a page goes to the magazine while the reserve is not full
 *	LOSE_KEPT		a page of the reserve that somebody holds is given up for nothing
 *	NO_SHARES		a stuck device may hold what a fast one may
 *	CACHE_UNCOUNTED		cached pages are not part of the budget
 *	CHARGE_LATE		the common account is charged only if the device may hold the page
 *	NO_CREDIT_BACK		credit of a device that wants more is not looked for
 */

#ifndef DEVICES
#define DEVICES	2
#endif
#ifndef WRITERS
#define WRITERS	2	/* of each device */
#endif
#ifndef WRITES
#define WRITES	1	/* of each writer */
#endif
#ifndef COMMON
#define COMMON	2	/* pages that all share */
#endif
#ifndef SHARE
#define SHARE	0	/* of it, which each may always have */
#endif
#ifndef RESERVE
#define RESERVE	1
#endif
#ifndef EXTRA
#define EXTRA	0	/* pages of its own beside the reserve */
#endif
#ifndef KEEPS
#define KEEPS	1	/* pages that the keeper may hold */
#endif
#ifndef STUCK
#define STUCK	0
#endif

#define OWN	(RESERVE + EXTRA)
#define POT	(COMMON - (DEVICES - 1) * SHARE)
#define BUDGET	(COMMON + DEVICES * OWN)
#define ALL	(DEVICES * WRITERS)

byte held[DEVICES];	/* charged: in use, in the reserve, lingering, and credit */
byte credit[DEVICES];
byte pool[DEVICES];	/* pages in the reserve */
byte out[DEVICES];	/* pages that the lower device has */
byte lingers[DEVICES];	/* pages of the reserve that somebody holds */
byte lingers_held[DEVICES];	/* as many of these are still held */
byte used;		/* charged to what all share */
byte cached;
byte allocated;		/* as the module counts */
byte real;		/* as the allocator does */
byte busy;		/* pages on their way back */
byte keeps = KEEPS;
byte done;		/* writers of devices that are not stuck, which have ended */

#define is_stuck(d)	(STUCK && (d) == 0)
#define beyond(d)	(held[d] > OWN -> held[d] - OWN : 0)

/* Atomic: each change of held changes used by as much as it changes what is beyond. */
inline add_held(d, up)
{
	if
	:: up ->
		held[d]++;
#ifndef CHARGE_LATE
		if
		:: held[d] > OWN -> used++
		:: else
		fi
#endif
	:: !up ->
		if
		:: held[d] > OWN -> used--
		:: else
		fi;
		held[d]--
	fi
}

#ifdef CACHE_UNCOUNTED
#define counted	(allocated - cached)
#else
#define counted	allocated
#endif

/* What may_hold() says, when the device holds the page already. */
#define within_share(d)	(beyond(d) <= SHARE && used <= COMMON)
#define within_pot(d)	(used < POT && beyond(d) <= POT - used)

/* A page that is charged: ok says whether there was one. */
inline find_page(ok)
{
	atomic {
		if
		:: cached > 0 -> cached--; ok = true
		:: counted < BUDGET -> allocated++; real++; ok = true
		:: counted < BUDGET || cached == 0 -> ok = false
		fi;
		assert(real <= BUDGET)
	}
}

inline charge(d, ok)
{
	atomic { add_held(d, true) }
	if
	:: beyond(d) == 0 || within_share(d) -> ok = true
	:: beyond(d) > 0 && within_pot(d) &&
#ifdef NO_SHARES
	   true -> ok = true
#else
	   !is_stuck(d) -> ok = true
#endif
	:: beyond(d) > 0 -> ok = false		/* the ceiling of a device may be anything */
	fi;
#ifdef CHARGE_LATE
	atomic {
		if
		:: ok && held[d] > OWN -> used++
		:: else
		fi
	}
#endif
	if
	:: ok
	:: else ->
#ifdef CHARGE_LATE
		atomic { held[d]-- }
#else
		atomic { add_held(d, false) }
#endif
	fi
}

/* From the account; ok says whether there was one. */
inline get_account(d, ok)
{
	atomic {
		ok = credit[d] > 0;
		if
		:: ok -> credit[d]--
		:: else
		fi
	}
	if
	:: ok
	:: else -> charge(d, ok)
	fi;
	if
	:: ok ->
		find_page(ok);
		if
		:: ok
		:: else -> atomic { add_held(d, false) }
		fi
	:: else
	fi
}

/* The first page of a fragment: from the reserve if there is no other, which is waited for. */
inline get_first(d, ok)
{
	get_account(d, ok);
	if
	:: ok
	:: else ->
end_waits:	atomic { pool[d] > 0 -> pool[d]--; ok = true }
	fi
}

/* A further one, if it is at hand. */
inline get_further(d, ok)
{
	get_account(d, ok);
	atomic {
		if
		:: !ok && pool[d] > 0 -> pool[d]--; ok = true
		:: else
		fi
	}
}

/* Into the magazine, with the credit; or there is no room, or too much credit. */
inline put_account(d)
{
	atomic {
		credit[d]++;
		if
		:: cached < 2 -> cached++
		:: allocated--; real--
		fi;
		if
		:: skip
		:: credit[d]--; add_held(d, false)
		fi
	}
}

/* mempool_free() looks again, under its lock. */
inline fill_reserve(d)
{
	atomic {
		is_full = pool[d] == RESERVE;
		if
		:: !is_full -> pool[d]++
		:: else
		fi
	}
	if
	:: is_full -> put_account(d)
	:: else
	fi
}

inline give_up(d)
{
	atomic { allocated--; real--; credit[d]++ }
}

/* Another page takes the place of one that somebody holds. */
inline replace(d)
{
	atomic {
		if
		:: cached > 0 -> cached--; allocated--; real--
		:: cached == 0 && allocated < BUDGET
		fi
	}
	fill_reserve(d)
}

inline put_page(d)
{

	if
	:: is_held = false
	:: atomic { keeps > 0 -> keeps--; is_held = true }
	fi;
	is_wanted = pool[d] < RESERVE;
	if
#ifdef MAGAZINE_FIRST
	:: !is_held && is_wanted -> put_account(d)
#else
	:: !is_held && is_wanted -> fill_reserve(d)
#endif
	:: !is_held && !is_wanted -> put_account(d)
	:: is_held && !is_wanted -> give_up(d)
	:: is_held && is_wanted ->
#ifdef LOSE_KEPT
		give_up(d)
#else
		if
		:: replace(d)
		:: atomic { lingers[d]++; lingers_held[d]++ }
		fi
#endif
	fi
}

proctype writer(byte d)
{
	byte writes;
	bool ok, second;

	do
	:: writes < WRITES ->
		get_first(d, ok);
		get_further(d, second);
		atomic {
			out[d] = out[d] + 1 + second;
			assert(!is_stuck(d) || out[d] <= OWN + SHARE);
			writes++;
			ok = false;
			second = false
		}
	:: else -> break
	od;
	if
	:: is_stuck(d)
	:: else -> done++
	fi
}

proctype disk(byte d)
{
	bool is_held, is_wanted, is_full;

end_idle:
	do
	:: atomic { out[d] > 0 && !is_stuck(d) -> out[d]--; busy++ };
		put_page(d);
		busy--
	od
}

/* Lets go of a page, in the end of all. */
active proctype keeper()
{
end_idle:
	do
	:: atomic { lingers_held[0] > 0 -> lingers_held[0]-- }
#if DEVICES > 1
	:: atomic { lingers_held[1] > 0 -> lingers_held[1]-- }
#endif
	od
}

/* A page that nobody holds is as good as any other one that lingers. */
proctype lingering(byte d)
{
	bool is_full;

end_idle:
	do
	:: atomic { lingers[d] > lingers_held[d] -> lingers[d]--; busy++ };
		fill_reserve(d);
		busy--
	:: atomic { lingers_held[d] > 0 && pool[d] == RESERVE ->
		lingers[d]--; lingers_held[d]--; busy++ };
		give_up(d);
		busy--
	:: atomic { lingers_held[d] > 0 && cached > 0 -> lingers[d]--; lingers_held[d]--;
		cached--; allocated--; real--; busy++ };
		fill_reserve(d);
		busy--
	od
}

active proctype tending()
{
end_idle:
	do
	:: atomic { cached > 0 -> cached--; allocated--; real-- }
#ifndef NO_CREDIT_BACK
	:: atomic { credit[0] > 0 -> credit[0]--; add_held(0, false) }
#if DEVICES > 1
	:: atomic { credit[1] > 0 -> credit[1]--; add_held(1, false) }
#endif
#endif
	od
}

/* Whether nothing of a device is under way. */
#define is_at_rest(d)	(!out[d] && !lingers[d] && !credit[d] && pool[d] == RESERVE)

init
{
	byte d, w;

	atomic {
		do
		:: d < DEVICES ->
			held[d] = RESERVE;
			pool[d] = RESERVE;
			allocated = allocated + RESERVE;
			real = real + RESERVE;
			run disk(d);
			run lingering(d);
			w = 0;
			do
			:: w < WRITERS -> run writer(d); w++
			:: else -> break
			od;
			d++
		:: else -> break
		od
	}
	/* The writers of a stuck device may wait for ever, the others not. */
	done >= (STUCK -> ALL - WRITERS : ALL);
	atomic {
		if
		:: STUCK
		:: else ->
			is_at_rest(0) && (DEVICES == 1 || is_at_rest(DEVICES - 1)) && !cached && !busy;
			assert(used == 0 && held[0] == RESERVE && held[DEVICES - 1] == RESERVE);
			assert(real == DEVICES * RESERVE && allocated == real)
		fi
	}
}
