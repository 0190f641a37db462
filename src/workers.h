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

/* After no CPU was found idle, no worker is woken to share work for so long, in jiffies. */
#define CA_BUSY_JIFFIES		(HZ / 50)

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
};

/**
 * struct ca_workers - the threads of a device
 *
 * Immutable after ctr:
 * @split_wq: splitters and rechecks of bases without metadata; these may wait for the pools
 * @meta_wq: those of bases that have their metadata, and so wait for other pools only; NULL on a
 *	device without
 * @submit_wq: writers, the order of zoned devices, reads that were refused; these may wait for the
 *	lower device, and for nothing else
 * @io_wq: everything that a fragment needs to come to its end; never waits for a pool
 * @bound_wq: likewise, for work that is bound to a CPU
 * @list: one worker for each possible CPU
 * @is_same_cpu: workers run on the CPU that woke them
 * @is_nice: a worker takes the nice value of the submitter that it works for
 *
 * @lock: protects the following, and is taken in any context. The numbers are also read without it,
 *	as a guess
 * @small: waiting jobs of few bytes, which are taken first, so that none waits behind large ones
 * @large: all other waiting jobs
 * @backlog: bytes of all waiting jobs
 * @turn: small jobs taken since the last large one, so that large ones have their turn
 * @running: workers that run or have been woken
 * @count: workers; one for each CPU that they may run on. Changed by messages
 * @is_pinned: workers are bound to CPUs. Changed by messages
 *
 * Guesses that anybody may change:
 * @busy_since: when no CPU was idle, so that nothing is shared for a while, in jiffies
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

	spinlock_t lock;	/* see above */
	struct list_head small;
	struct list_head large;
	unsigned int backlog;
	unsigned int turn;
	unsigned int running;
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

/* Whether a worker is running and has little to do, or a CPU may be idle for one more. */
static inline bool ca_workers_can_help(const struct ca_workers *workers, bool caller_converts,
				       unsigned int enough)
{
	return ca_workers_want_more(workers, enough) ||
	       (READ_ONCE(workers->running) < ca_workers_max(workers, caller_converts) &&
		jiffies - READ_ONCE(workers->busy_since) >= CA_BUSY_JIFFIES);
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
/* Adds to the list that all workers share, and takes back from it. */
void ca_workers_add(struct ca_workers *workers, struct ca_job *job, bool caller_converts);
struct ca_job *ca_dequeue_own(struct ca_workers *workers, const struct ca_base *base);
/* What a work item does first and last. */
struct ca_worker_scope ca_worker_begin(const struct ca_workers *workers,
				       const struct ca_base *base);
void ca_worker_end(struct ca_worker_scope scope);

#endif /* CA_WORKERS_H */
