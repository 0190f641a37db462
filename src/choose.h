/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The choice of where a fragment is converted, and what is made of how long that took: functions of
 * what they are told, with no other dependency, so that tests/unit runs them as a program.
 */
#ifndef CA_CHOOSE_H
#define CA_CHOOSE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#endif

/* Who asks: what the caller knows of its context. */
enum ca_caller {
	CA_FROM_MAP,		/* below submit_bio: a task, must not wait for pools */
	CA_FROM_SUBMITTER,	/* a read completed within submit_bio */
	CA_FROM_SOFTIRQ,	/* ... in a soft interrupt, or in somebody else's task */
	CA_FROM_HARDIRQ,	/* ... in a hard interrupt */
	CA_FROM_WORKER,		/* a worker: must not sleep for memory, others wait behind it */
	CA_FROM_SLEEPER,	/* a cutter, or a worker of one fragment: may sleep */
};

enum ca_place {
	CA_INLINE,	/* here and now */
	CA_LATER,	/* here, in a soft interrupt: now is a hard one */
	CA_QUEUE,	/* by a worker */
};

/**
 * struct ca_choice - all that decides where a fragment is converted
 * @caller: the context
 * @bytes: size of the fragment
 * @more: other fragments of the base bio are left for this caller to hand out or to convert
 * @worker_only: the IV generator changes the data, so that a unit which the driver finds no memory
 *	for could not be tried again by one who may sleep; or the order of writes must be kept,
 *	which bios that wait for map to return would break
 * @stay: the user's options keep the work on this CPU
 * @alone: nothing else that this CPU submitted is in flight
 * @helper: a worker is at work and has little to do, or there may be a CPU for one more
 * @most: the largest fragment that is converted in an interrupt, in bytes
 * @spent: soft interrupts have converted for as long as they may on this CPU, for now; or a
 *	completion within submit_bio as much as it may
 */
struct ca_choice {
	enum ca_caller caller;
	unsigned int bytes;
	bool more;
	bool worker_only;
	bool stay;
	bool alone;
	bool helper;
	unsigned int most;
	bool spent;
};

/**
 * ca_choose() - says where a fragment is converted
 * @choice: what the caller knows
 *
 * The fastest way for a single small bio is none at all: whoever has it converts it. To hand it to
 * another CPU pays only if this one has more to do meanwhile: other parts of the same bio, or other
 * bios. Then the work is shared: the workers get what keeps them busy, and the caller does the rest
 * instead of waiting for them. What a worker has it does not give to another one, but for parts.
 *
 * In an interrupt nothing is done that takes long, unless the user asked for it, and in a hard one
 * nothing at all.
 *
 * Return: the place.
 */
static inline enum ca_place ca_choose(const struct ca_choice *choice)
{
	bool hard = choice->caller == CA_FROM_HARDIRQ;
	enum ca_place here = hard ? CA_LATER : CA_INLINE;

	if (choice->worker_only && choice->caller != CA_FROM_SLEEPER)
		return CA_QUEUE;
	if (choice->stay)
		return here;
	if (choice->spent ||
	    ((hard || choice->caller == CA_FROM_SOFTIRQ) && choice->bytes > choice->most))
		return CA_QUEUE;
	if (choice->helper &&
	    (choice->more || (!choice->alone && choice->caller < CA_FROM_WORKER)))
		return CA_QUEUE;
	return here;
}

/*
 * The longest that a read is converted in a soft interrupt, in ns: half of what the kernel lets
 * these have at a time.
 */
#define CA_INLINE_NS	1000000U

/* One of at most so many bytes is, however long it takes. */
#define CA_INLINE_LEAST	4096U

/**
 * ca_inline_most() - says how much is converted in a soft interrupt
 * @setting: the user's bound, in bytes
 * @kib_ns: how long a KiB is believed to take, in ns; 0 if nobody knows
 *
 * Return: bytes.
 */
static inline unsigned int ca_inline_most(unsigned int setting, unsigned int kib_ns)
{
	unsigned int most = kib_ns ? CA_INLINE_NS / kib_ns * 1024 : setting;

	if (most < CA_INLINE_LEAST)
		most = CA_INLINE_LEAST;
	return most < setting ? most : setting;
}

/**
 * ca_learn() - makes use of something that was timed in an interrupt
 * @ns: how long it was believed to take, in ns; 0 if nobody knew
 * @took: how long it took
 *
 * An average of the last ones: one that was interrupted itself counts little.
 *
 * Return: how long it is believed to take.
 */
static inline unsigned int ca_learn(unsigned int ns, unsigned int took)
{
	return ns ? ns - ns / 8 + took / 8 : took;
}

/**
 * ca_doubt() - something was not done in an interrupt, since it would take too long
 * @ns: how long it is believed to take, in ns
 *
 * What is not done is not timed again, so that one conversion which was itself interrupted for long
 * would count for ever. With some doubt each time, one in some tens to hundreds is done there to
 * find out, if it does take that long: the longer, the fewer.
 *
 * Return: how long it is believed to take.
 */
static inline unsigned int ca_doubt(unsigned int ns)
{
	return ns - ns / 256;
}

/**
 * ca_is_worth_wake() - says whether an interrupt is to wake a worker for a fragment
 * @bytes: the fragment's size
 * @kib_ns: how long a KiB is believed to take, in ns; 0 if nobody knows, or the driver does it
 *	elsewhere
 * @wake_ns: how long it is believed to take to wake a worker, in ns; 0 if nobody knows
 *
 * To hand over what takes no longer than that saves nothing: neither here, nor for the bio.
 *
 * Return: whether it takes longer; as long as nobody knows either, what will tell.
 */
static inline bool ca_is_worth_wake(unsigned int bytes, unsigned int kib_ns, unsigned int wake_ns)
{
	return bytes * (unsigned long long)kib_ns / 1024 >= wake_ns;
}

#endif /* CA_CHOOSE_H */
