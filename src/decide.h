/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The decision where a fragment is converted and how large it is, and averages of how long that
 * took: functions of their arguments only, so that a test can run them as a program.
 */
#ifndef CA_DECIDE_H
#define CA_DECIDE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#endif

/* The context of the code that asks. */
enum ca_caller {
	CA_FROM_MAP,		/* inside submit_bio(): a task that must not wait for a pool */
	CA_FROM_SUBMITTER,	/* the submitter's task, in which its read completed */
	CA_FROM_SOFTIRQ,	/* a soft interrupt, or another task in which a read completed */
	CA_FROM_HARDIRQ,	/* a hard interrupt */
	CA_FROM_WORKER,		/* a worker of the list: must not sleep for memory */
	CA_FROM_SLEEPER,	/* a splitter, or a worker with one fragment: may sleep */
};

enum ca_where {
	CA_INLINE,	/* here and now */
	CA_SOFTIRQ,	/* on this CPU, in a soft interrupt that comes next */
	CA_QUEUE,	/* in a worker */
};

/**
 * struct ca_choice - everything that the decision depends on
 * @caller: the context
 * @bytes: size of the fragment
 * @more: the caller has further fragments of the same base bio to hand out or to convert
 * @needs_worker: only a worker may convert it. The IV generator looks at the data, so a unit cannot
 *	be tried again, and its first try must be allowed to sleep for memory; or writes must keep
 *	their order, which bios that wait for map to return would break
 * @no_offload: the user's options keep the work on this CPU
 * @is_depth_one: the submitter seems to wait for this bio: its CPU has no other one in flight, see
 *	ca_inflight_start()
 * @has_helper: a worker is running and has little to do, or a CPU may be idle for one more
 * @max_inline: the largest fragment that may be converted in an interrupt, in bytes
 * @is_spent: soft interrupts have used up their time on this CPU for now; or a completion within
 *	submit_bio() has converted as much as it may
 */
struct ca_choice {
	enum ca_caller caller;
	unsigned int bytes;
	bool more;
	bool needs_worker;
	bool no_offload;
	bool is_depth_one;
	bool has_helper;
	unsigned int max_inline;
	bool is_spent;
};

/**
 * ca_decide() - decides where a fragment is converted
 * @choice: what the caller knows
 *
 * A single small bio is fastest where it is: no hand-over, no wake-up. Another CPU helps only if
 * this one has more to do meanwhile: further fragments of the same bio, or further bios. Then the
 * work is shared: workers get what keeps them busy, and the caller converts the rest instead of
 * waiting for them. A worker hands on fragments of a bio that it splits, and nothing else.
 *
 * An interrupt converts nothing that takes long unless the user's options say so, and a hard
 * interrupt converts nothing at all.
 *
 * Return: the place.
 */
static inline enum ca_where ca_decide(const struct ca_choice *choice)
{
	bool is_hard = choice->caller == CA_FROM_HARDIRQ;
	bool is_interrupt = is_hard || choice->caller == CA_FROM_SOFTIRQ;
	enum ca_where here = is_hard ? CA_SOFTIRQ : CA_INLINE;

	if (choice->needs_worker && choice->caller != CA_FROM_SLEEPER)
		return CA_QUEUE;
	if (choice->no_offload)
		return here;
	if (choice->is_spent || (is_interrupt && choice->bytes > choice->max_inline))
		return CA_QUEUE;
	if (choice->has_helper &&
	    (choice->more || (!choice->is_depth_one && choice->caller < CA_FROM_WORKER)))
		return CA_QUEUE;
	return here;
}

/*
 * The longest conversion in a soft interrupt, in ns: half of the time that the kernel gives to soft
 * interrupts at once.
 */
#define CA_INLINE_NS	1000000U

/*
 * However slow the cipher is, a soft interrupt converts a fragment of this size, unless the user's
 * limit is smaller. In bytes.
 */
#define CA_INLINE_MIN	4096U

/**
 * ca_inline_max() - the largest fragment that is converted in a soft interrupt
 * @setting: the user's limit, in bytes
 * @kib_ns: the average time for a KiB, in ns; 0 if none was measured
 *
 * Return: bytes.
 */
static inline unsigned int ca_inline_max(unsigned int setting, unsigned int kib_ns)
{
	unsigned int max = kib_ns ? CA_INLINE_NS / kib_ns * 1024 : setting;

	if (max < CA_INLINE_MIN)
		max = CA_INLINE_MIN;
	return max < setting ? max : setting;
}

/*
 * Averages of times that were measured in an interrupt, in ns, 0 as long as there is none.
 * linux/average.h has no decay, and cannot be run as a program.
 */

/**
 * ca_ewma_add() - adds a measurement to an average
 * @average: so far, in ns
 * @ns: the measurement; one that was interrupted itself counts little
 *
 * Return: the new average.
 */
static inline unsigned int ca_ewma_add(unsigned int average, unsigned int ns)
{
	return average ? average - average / 8 + ns / 8 : ns;
}

/**
 * ca_ewma_decay() - lowers an average that kept something from being done and measured
 * @average: so far, in ns
 *
 * Work that is not done is not measured either, so one conversion that was interrupted for long
 * would count for ever. Since the average decays, one of some tens to hundreds of fragments is
 * tried; the longer the conversions really take, the fewer.
 *
 * Return: the new average.
 */
static inline unsigned int ca_ewma_decay(unsigned int average)
{
	return average - average / 256;
}

/**
 * ca_is_worth_wake() - whether an interrupt wakes a worker for a fragment
 * @bytes: the fragment's size
 * @kib_ns: the average time to convert a KiB, in ns; 0 if none was measured, or if the crypto
 *	driver converts elsewhere
 * @wake_ns: the average time to wake a worker, in ns; 0 if none was measured
 *
 * To hand over a fragment that is converted in less time than a wake-up takes saves nothing.
 *
 * Return: whether the conversion takes at least as long as the wake-up; true as long as no wake-up
 * was measured, so that one is.
 */
static inline bool ca_is_worth_wake(unsigned int bytes, unsigned int kib_ns, unsigned int wake_ns)
{
	return bytes * (unsigned long long)kib_ns / 1024 >= wake_ns;
}

/**
 * ca_is_overdue() - whether a crypto driver has been silent for too long
 * @age: of its oldest request without an answer, in jiffies
 * @hz: jiffies in a second
 * @timeout: in seconds, 0 for never
 *
 * The age is brought to seconds, and not the timeout to jiffies, of which 32 bits hold 49 days at
 * most: a timeout that is longer never comes, rather than at once.
 *
 * Return: whether it is.
 */
static inline bool ca_is_overdue(long age, unsigned int hz, unsigned int timeout)
{
	return timeout && age >= 0 && (unsigned long)age / hz >= timeout;
}

/**
 * ca_write_size() - the size of the next bio that a write makes for the lower device
 * @rest: what the write has left, in bytes
 * @max: the largest bio, in bytes
 * @block: of the lower device, and at least the largest unit, in bytes; a power of two
 *
 * Each but the last is a multiple of @block; the last one is if the write is.
 *
 * Return: bytes, no more than @rest.
 */
static inline unsigned int ca_write_size(unsigned int rest, unsigned int max, unsigned int block)
{
	unsigned int size = max & ~(block - 1);

	if (size < block)
		size = block;
	return size < rest ? size : rest;
}

/**
 * ca_split_size() - the size of the next fragment of a bio
 * @rest: what the bio has left, in bytes
 * @max_split: the largest fragment, in bytes; a power of two
 * @min_split: 0 if all fragments are of one size. Else they become smaller towards the bio's end,
 *	and this is the smallest, in bytes; a power of two
 * @sharers: then the next fragment is the rest divided by this number
 * @block: of the lower device, and at least the largest unit, in bytes; a power of two
 *
 * Each but the last is a multiple of @block; the last one is if the bio is.
 *
 * Return: bytes, no more than @rest.
 */
static inline unsigned int ca_split_size(unsigned int rest, unsigned int max_split,
					 unsigned int min_split, unsigned int sharers,
					 unsigned int block)
{
	unsigned int size = max_split;

	if (min_split) {
		size = (rest / sharers + block - 1) & ~(block - 1);
		if (size < min_split)
			size = min_split;
		if (size > max_split)
			size = max_split;
	}
	if (size < block)
		size = block;
	return size < rest ? size : rest;
}

#endif /* CA_DECIDE_H */
