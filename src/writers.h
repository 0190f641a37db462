/* SPDX-License-Identifier: GPL-2.0-only */
/* Writers: work items that submit what others have converted, sorted by sector. */
#ifndef CA_WRITERS_H
#define CA_WRITERS_H

#include <linux/compiler.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct ca_workers;
struct ca_writers;
struct cgroup_subsys_state;
struct dm_crypt_io;

/*
 * For so long after the lower device had a writer wait, all writes go to writers, in jiffies.
 */
#define CA_WAITED_JIFFIES	(HZ / 10)

/* A lower device that takes longer for a bio is slow: half a ms, in 2^-16 jiffies. */
#define CA_SLOW_AGE		(HZ * 32U)

enum ca_writer_state {
	CA_WRITER_IDLE,	/* it has nothing to do */
	CA_WRITER_HELD,	/* it begins in a while, unless it is woken: more is expected */
	CA_WRITER_BUSY,	/* it has been woken, or runs */
};

/**
 * struct ca_writer - submits the write fragments of one control group
 * @writers: all of the device's; immutable
 * @css: the group; immutable. NULL for ca_writers.first and .overflow
 * @work: does it; immutable
 * @entry: in ca_writers.groups, unless @css is NULL; protected by ca_writers.lock
 * @list: converted fragments, in the order in which they came; protected by ca_writers.lock
 * @state: protected by ca_writers.lock. Others look at it without, as a guess
 */
struct ca_writer {
	struct ca_writers *writers;
	struct cgroup_subsys_state *css;
	struct delayed_work work;
	struct list_head entry;
	struct list_head list;
	enum ca_writer_state state;
};

/**
 * struct ca_writers - the writers of a device
 *
 * Immutable after ctr:
 * @workers: the device's threads
 * @submit: hands a list of fragments, which it then owns, to the lower device; may sleep there
 *
 * @lock: protects the following, taken in any context
 * @first: the one that every fragment comes to
 * @groups: further ones, of control groups that write now
 * @overflow: one for all groups for which there is no memory; never in @groups
 * @plugs: plugs of submitters, at the end of which @first is woken; read without the lock when
 *	the device goes
 * @held_bytes: of writes that @first has not taken
 *
 * Guesses that anybody may change:
 * @waited: when the lower device last had a writer wait, in jiffies
 * @age: the average time that it takes to write a bio, in 2^-16 jiffies
 */
struct ca_writers {
	struct ca_workers *workers;
	void (*submit)(struct list_head *list);

	spinlock_t lock;	/* see above */
	struct ca_writer first;
	struct list_head groups;
	struct ca_writer overflow;
	unsigned int plugs;
	unsigned int held_bytes;

	unsigned long waited;
	unsigned int age;
};

/*
 * Whether a write had better go to a writer although its submitter could submit it: there are
 * others with which it can be sorted and merged; or the lower device has had no room lately; or
 * more is to come (@is_deep) and the device takes so long for each bio that gathering them costs
 * little beside that.
 */
static inline bool ca_writers_are_wanted(const struct ca_writers *writers, bool is_deep)
{
	return READ_ONCE(writers->first.state) != CA_WRITER_IDLE ||
	       jiffies - READ_ONCE(writers->waited) < CA_WAITED_JIFFIES ||
	       (is_deep && READ_ONCE(writers->age) > CA_SLOW_AGE);
}

/*
 * Takes note of how long a bio took to be written, in jiffies. Most take less than one: how many
 * begin in one jiffy and end in the next tells how long they take. Context: Any.
 */
static inline void ca_writers_note_age(struct ca_writers *writers, unsigned long age)
{
	unsigned int average = READ_ONCE(writers->age);

	if (age || average)
		WRITE_ONCE(writers->age, average - average / 16 + (min(age, 255UL) << 12));
}

void ca_writers_init(struct ca_writers *writers, struct ca_workers *workers,
		     void (*submit)(struct list_head *list));
void ca_writers_exit(struct ca_writers *writers);
void ca_writers_expect(struct ca_writers *writers);
void ca_writers_add(struct ca_writers *writers, struct dm_crypt_io *io);

#endif /* CA_WRITERS_H */
