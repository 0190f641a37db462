/* SPDX-License-Identifier: GPL-2.0-only */
/* Workers: the threads of a device, and the list of jobs that they share. */
#ifndef CA_WORKERS_H
#define CA_WORKERS_H

#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "decide.h"

struct ca_base;
struct ca_device;
struct ca_worker;

/* One more worker is woken when more than so many bytes wait on the list for each running one. */
#define CA_WORKER_BYTES		(16U * 1024)

/*
 * For how long, in jiffies, the scheduler is not asked for a CPU after it put a worker on the CPU
 * of the thread that woke it and goes on; and no CPU is chosen after none was free.
 */
#define CA_BUSY_JIFFIES		(HZ / 50)

/* The CPUs on which workers may run are looked up again after this time, in jiffies. */
#define CA_ALLOWED_JIFFIES	HZ

/**
 * struct ca_job - something to do in another thread; part of a base or fragment, of which it is the
 *	next step
 * @todo: in the list of the workers or of a writer, protected by the list's lock; or of the
 *	fragments that one bio writes, which its owner has
 * @completed: in the list of a soft interrupt
 * @run: does it, in the context that it is told
 * @base: the base io that it is done for, whose submitter's nice the worker takes
 * @work: for a job with a worker of its own; it takes the place of @todo, @run and @base
 * @bytes: the work that it is, for the list
 * @is_share: a part of a bio of depth one, whose splitter sees to it that it is done: it goes on
 *	with other parts, and then either does what nobody has begun, or takes jobs from the list
 * @may_place: a worker may be woken for it on a CPU that is chosen here, where the scheduler finds
 *	none
 *
 * The owner of the base or fragment fills in a job and hands it over with it; whoever runs it is
 * the owner from then on.
 */
struct ca_job {
	union {
		struct {
			union {
				struct list_head todo;
				struct llist_node completed;
			};
			void (*run)(struct ca_job *job, enum ca_caller caller);
			struct ca_base *base;
		};
		struct work_struct work;
	};
	unsigned int bytes;
	bool is_share;
	bool may_place;
};

/**
 * struct ca_workers - the threads of a device
 *
 * Immutable after ctr:
 * @split_wq: splitters and rechecks of bases without metadata; these may wait for the pools
 * @meta_wq: those of bases that have their metadata, and so wait for other pools only; NULL on a
 *	device without
 * @submit_wq: writers, the order of zoned devices, reads that were refused, and the rest of reads
 *	of which a part ended late; these may wait for the lower device, and for nothing else
 * @io_wq: everything that a fragment needs to come to its end; never waits for a pool, nor for the
 *	lower device, but for what a device does that ends bios within submit_bio()
 * @bound_wq: likewise, for work that is bound to a CPU
 * @list: two workers for each possible CPU: the first half run where the scheduler wants them, or
 *	where a message says; one of the second half shares bios on its CPU, see place.c
 * @is_same_cpu: workers run on the CPU that woke them
 * @is_nice: a worker takes the nice value of the submitter that it works for
 * @learn: looks up @allowed
 *
 * @lock: protects the following, and is taken in any context. The numbers are also read without it,
 *	as a guess
 * @small: waiting jobs of few bytes, which are taken first, so that none waits behind large ones
 * @large: all other waiting jobs
 * @backlog: bytes of all waiting jobs
 * @turn: small jobs taken since the last large one, so that large ones have their turn
 * @running: workers that run or have been woken
 * @scheduled: those of them that are of the first half. Others may be kept from the list for ever
 *	by whatever runs on their CPU
 * @allowed: the CPUs that workers which the scheduler places may run on; none until it is known
 * @nice: the nice value that those have by themselves
 * @knows_allowed: whether it is
 * @asked: when that was last looked up, in jiffies
 * @room: workers that ran when no CPU was free to place one more on
 * @full_since: when that was, in jiffies
 * @count: workers; one for each CPU that they may run on. Changed by messages
 * @is_pinned: workers are bound to CPUs. Changed by messages
 *
 * Guesses that anybody may change:
 * @busy_since: when the scheduler put a worker on the CPU that woke it and went on, so that it is
 *	not asked for a while, in jiffies
 * @wake_ns: the average time that an interrupt took to wake a worker, in ns; 0 if none did yet
 */
struct ca_workers {
	struct workqueue_struct *split_wq;
	struct workqueue_struct *meta_wq;
	struct workqueue_struct *submit_wq;
	struct workqueue_struct *io_wq;
	struct workqueue_struct *bound_wq;
	struct ca_worker *list;
	bool is_same_cpu;
	bool is_nice;
	struct work_struct learn;

	spinlock_t lock;	/* see above */
	struct list_head small;
	struct list_head large;
	unsigned int backlog;
	unsigned int turn;
	unsigned int running;
	unsigned int scheduled;
	cpumask_var_t allowed;
	int nice;
	bool knows_allowed;
	unsigned long asked;
	unsigned int room;
	unsigned long full_since;
	unsigned int count;
	bool is_pinned;

	unsigned long busy_since;
	unsigned int wake_ns;
};

/**
 * struct ca_worker_scope - how a thread was before a work item began, to be restored at its end
 * @noio: the flags of memalloc_noio_save()
 * @nice: the thread's nice value, which is its workqueue's
 */
struct ca_worker_scope {
	unsigned int noio;
	int nice;
};

/*
 * How many workers may run at once: one for each CPU. If the caller goes on converting
 * (@caller_converts), its CPU needs none, unless workers are bound to CPUs and cannot move to
 * another one.
 */
static inline unsigned int ca_workers_max(const struct ca_workers *workers, bool caller_converts)
{
	return READ_ONCE(workers->count) - (caller_converts && !READ_ONCE(workers->is_pinned));
}

/*
 * Whether a worker is running and has little to do; @enough: bytes that keep it busy for a while.
 */
static inline bool ca_workers_want_more(const struct ca_workers *workers, unsigned int enough)
{
	return READ_ONCE(workers->backlog) < READ_ONCE(workers->running) * enough;
}

/* Whether the scheduler may find an idle CPU for a worker. */
static inline bool ca_workers_may_schedule(const struct ca_workers *workers)
{
	return jiffies - READ_ONCE(workers->busy_since) >= CA_BUSY_JIFFIES;
}

/* Whether there may be a CPU to place a worker on. */
static inline bool ca_workers_may_place(const struct ca_workers *workers)
{
	return READ_ONCE(workers->knows_allowed) &&
	       (READ_ONCE(workers->running) < READ_ONCE(workers->room) ||
		jiffies - READ_ONCE(workers->full_since) >= CA_BUSY_JIFFIES);
}

/*
 * Whether a worker is running and has little to do, or a CPU may be idle for one more, by the
 * scheduler's choice or, if @may_place, by one of this module.
 */
static inline bool ca_workers_can_help(const struct ca_workers *workers, bool caller_converts,
				       bool may_place, unsigned int enough)
{
	return ca_workers_want_more(workers, enough) ||
	       (READ_ONCE(workers->running) < ca_workers_max(workers, caller_converts) &&
		(ca_workers_may_schedule(workers) ||
		 (may_place && ca_workers_may_place(workers))));
}

/* Likewise for a share: a worker that waits for its CPU is of no help with that. */
static inline bool ca_workers_can_share(const struct ca_workers *workers, unsigned int enough)
{
	return ca_workers_want_more(workers, enough) ||
	       (READ_ONCE(workers->running) < ca_workers_max(workers, true) &&
		(READ_ONCE(workers->knows_allowed) ? ca_workers_may_place(workers) :
						     ca_workers_may_schedule(workers)));
}

static inline bool ca_workers_are_running(const struct ca_workers *workers)
{
	return READ_ONCE(workers->running);
}

/* Runs work that may sleep, so that no other job waits behind it. Context: Any. */
static inline void ca_workers_queue_alone(struct ca_workers *workers, struct work_struct *work)
{
	queue_work(workers->io_wq, work);
}

/* Runs work that submits bios, at the queue's nice value, in @delay jiffies. Context: Any. */
static inline void ca_workers_queue_writer(struct ca_workers *workers, struct delayed_work *work,
					   unsigned long delay)
{
	mod_delayed_work(workers->submit_wq, work, delay);
}

/* Runs work that submits bios of one base, or in order. Context: Any. */
static inline void ca_workers_queue_submission(struct ca_workers *workers,
					       struct work_struct *work)
{
	queue_work(workers->submit_wq, work);
}

/*
 * Runs a splitter or a recheck, which may wait for the pools. A base that waits for metadata must
 * not keep one that has some (@has_meta) from running, since that one is to give it back.
 * Context: Any.
 */
static inline void ca_workers_queue_splitter(struct ca_workers *workers, struct work_struct *work,
					     bool has_meta)
{
	queue_work(has_meta ? workers->meta_wq : workers->split_wq, work);
}

int ca_workers_init(struct ca_device *ca);
void ca_workers_exit(struct ca_workers *workers);
void ca_workers_set_cpus(struct ca_workers *workers, const struct cpumask *mask);
unsigned int ca_workers_emit_cpus(const struct ca_workers *workers, char *result,
				  unsigned int maxlen);
/* The jobs that all workers share: adds one, has a worker come for them, takes a caller's back. */
void ca_workers_add(struct ca_workers *workers, struct ca_job *job, bool caller_converts);
void ca_workers_ensure(struct ca_workers *workers);
struct ca_job *ca_dequeue_own(struct ca_workers *workers, const struct ca_base *base);
/* What a work item does first and last. */
struct ca_worker_scope ca_worker_begin(const struct ca_workers *workers,
				       const struct ca_base *base);
void ca_worker_end(struct ca_worker_scope scope);

#endif /* CA_WORKERS_H */
