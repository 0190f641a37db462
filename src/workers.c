// SPDX-License-Identifier: GPL-2.0-only
/*
 * Workers: the threads of a device. No other file knows its workqueues.
 *
 * There are several workqueues, so that work that waits for memory cannot keep the work from
 * running that would free this memory: split_wq runs splitters, which may wait for memory that
 * fragments hold, or for a page of metadata, which its base holds until it ends; meta_wq runs those
 * of bases that have their metadata; io_wq and bound_wq run work that waits for no other; submit_wq
 * runs work that waits for the lower device to take bios. A fragment that may have to sleep for the
 * crypto driver's memory has a worker of its own.
 *
 * The other workers of a device share one list of jobs. One of them is woken when the list grows
 * beyond what the running ones can do soon; it then takes one job after the other, until there is
 * none. So a burst costs one wake-up for each CPU, not one for each bio.
 *
 * Where the scheduler puts a worker, and when, is not for this file to know, except for one that
 * shares a bio of depth one: that is over before a worker that waits for its CPU would begin. So it
 * is woken on a CPU that place.c chooses, and its splitter does what it has not begun.
 */
#include "workers.h"

#include <linux/cpumask.h>
#include <linux/device-mapper.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "decide.h"
#include "place.h"
#include "table.h"

/* A job of at most this size does not wait behind larger ones, in bytes. */
#define SMALL_BYTES	(16 * 1024)

/* After so many small ones a large one has its turn. */
#define SMALL_TURN	8

/**
 * struct ca_worker - one of the workers that share the list
 * @work: its work
 * @workers: all of them
 * @cpu: the CPU that it runs on, -1 for one that the scheduler chooses
 * @is_placed: it is of the second half, which share bios
 * @from: the CPU that woke it and goes on, -1 if that does not
 * @woken: when it was woken if @is_placed, as ktime_get_ns() counts
 * @is_busy: it runs or has been woken; protected by ca_workers.lock
 * @has_begun: it runs; likewise
 */
struct ca_worker {
	struct work_struct work;
	struct ca_workers *workers;
	int cpu;
	bool is_placed;
	int from;
	u64 woken;
	bool is_busy;
	bool has_begun;
};

/* ---------------------------------------------------------------------- a worker's thread */

static void set_nice(int nice)
{
	if (task_nice(current) != nice)
		set_user_nice(current, nice);
}

/*
 * The thread takes the nice value of the submitter that it works for, on top of @nice, its
 * workqueue's.
 */
static void worker_set_nice(const struct ca_workers *workers, const struct ca_base *base, int nice)
{
	if (workers->is_nice)
		set_nice(clamp(nice + base->nice, MIN_NICE, MAX_NICE));
}

static void worker_restore_nice(int nice)
{
	set_nice(nice);
}

/**
 * ca_worker_begin() - a work item begins to work for a base
 * @workers: the device's
 * @base: the base
 *
 * Crypto drivers may allocate memory: reclaim must not come back to this device for that. The
 * thread takes the nice value of the base's submitter, on top of its workqueue's; not with
 * high_priority, where a worker stays as the user made it, nor on zoned devices, where others wait
 * for that bio.
 *
 * Context: Task, a work item.
 * Return: the thread as it was, for ca_worker_end().
 */
struct ca_worker_scope ca_worker_begin(const struct ca_workers *workers,
				       const struct ca_base *base)
{
	struct ca_worker_scope scope = {
		.noio = memalloc_noio_save(),
		.nice = task_nice(current),
	};

	worker_set_nice(workers, base, scope.nice);
	return scope;
}

/**
 * ca_worker_end() - a work item ends; the base may be gone
 * @scope: the thread as it was
 */
void ca_worker_end(struct ca_worker_scope scope)
{
	worker_restore_nice(scope.nice);
	memalloc_noio_restore(scope.noio);
}

/* --------------------------------------------------------------------------- the list */

/* Other threads look at the numbers without the lock. */
static void add_backlog(struct ca_workers *workers, int bytes)
{
	WRITE_ONCE(workers->backlog, workers->backlog + bytes);
}

static void add_running(struct ca_workers *workers, int count)
{
	WRITE_ONCE(workers->running, workers->running + count);
}

static void add_scheduled(struct ca_workers *workers, int count)
{
	WRITE_ONCE(workers->scheduled, workers->scheduled + count);
}

static void remove_job(struct ca_workers *workers, struct ca_job *job)
{
	lockdep_assert_held(&workers->lock);
	list_del(&job->todo);
	add_backlog(workers, -job->bytes);
}

/* Small ones come first, but not all of the time. */
static struct ca_job *first_job(struct ca_workers *workers)
{
	struct list_head *list = &workers->small;

	if (list_empty(list) || (workers->turn >= SMALL_TURN && !list_empty(&workers->large)))
		list = &workers->large;
	workers->turn = list == &workers->small ? workers->turn + 1 : 0;
	return list_first_entry_or_null(list, struct ca_job, todo);
}

/*
 * Takes note of the CPUs that the scheduler may choose among for a worker, and of its nice value.
 * Those of this thread are what the machine and the user have left to workqueues: no isolated CPUs,
 * and what the attributes in sysfs say. A rescuer has a nice value of its own.
 */
static void learn_work(struct work_struct *work)
{
	struct ca_workers *workers = container_of(work, struct ca_workers, learn);

	spin_lock_irq(&workers->lock);
	if (!workers->is_pinned) {
		cpumask_copy(workers->allowed, &current->cpus_mask);
		WRITE_ONCE(workers->knows_allowed, true);
	}
	if (task_nice(current) != MIN_NICE)
		WRITE_ONCE(workers->nice, task_nice(current));
	spin_unlock_irq(&workers->lock);
}

/* Now and then it is looked up again. Where workers have CPUs of their own there is nothing to. */
static void ask_allowed(struct ca_workers *workers)
{
	lockdep_assert_held(&workers->lock);
	if (workers->is_same_cpu || jiffies - workers->asked < CA_ALLOWED_JIFFIES)
		return;
	workers->asked = jiffies;
	queue_work(workers->io_wq, &workers->learn);
}

static void begin(struct ca_worker *worker)
{
	lockdep_assert_held(&worker->workers->lock);
	worker->has_begun = true;
	if (worker->is_placed)
		ca_place_note_start(worker->cpu, worker->woken);
}

static void end(struct ca_worker *worker)
{
	struct ca_workers *workers = worker->workers;

	lockdep_assert_held(&workers->lock);
	worker->is_busy = false;
	add_running(workers, -1);
	if (worker->is_placed)
		ca_place_leave(worker->cpu);
	else
		add_scheduled(workers, -1);
}

/* Whether a message has said meanwhile where workers run, and one that does is there. */
static bool is_out_of_place(const struct ca_worker *worker)
{
	return worker->is_placed && worker->workers->is_pinned && worker->workers->scheduled;
}

/* Return: the next job; NULL if there is none, and the worker stops running. */
static struct ca_job *next_job(struct ca_worker *worker)
{
	struct ca_workers *workers = worker->workers;
	struct ca_job *job;

	spin_lock_irq(&workers->lock);
	if (!worker->has_begun)
		begin(worker);
	job = is_out_of_place(worker) ? NULL : first_job(workers);
	if (job)
		remove_job(workers, job);
	else
		end(worker);
	spin_unlock_irq(&workers->lock);
	return job;
}

static void worker_fn(struct work_struct *work)
{
	struct ca_worker *worker = container_of(work, struct ca_worker, work);
	struct ca_workers *workers = worker->workers;
	unsigned int noio = memalloc_noio_save();
	const int nice = task_nice(current);
	struct ca_job *job;
	int base_nice;

	/* This worker runs on the CPU of the thread that woke it and goes on: no CPU was idle. */
	if (worker->from == raw_smp_processor_id())
		WRITE_ONCE(workers->busy_since, jiffies);
	while ((job = next_job(worker))) {
		base_nice = worker->is_placed ? READ_ONCE(workers->nice) : nice;
		worker_set_nice(workers, job->base, base_nice);
		job->run(job, CA_FROM_WORKER);
		cond_resched();
	}
	worker_restore_nice(nice);
	memalloc_noio_restore(noio);
}

/* Return: a worker that runs where the scheduler wants it, or where a message says. */
static struct ca_worker *find_worker(struct ca_workers *workers)
{
	struct ca_worker *found = NULL;
	unsigned int i;

	for (i = 0; i < workers->count; i++) {
		if (workers->list[i].is_busy)
			continue;
		found = &workers->list[i];
		if (found->cpu != raw_smp_processor_id())
			break;	/* else rather another one */
	}
	return found;
}

/* Return: a worker on a CPU that is chosen here, NULL if none is free for it. */
static struct ca_worker *place_worker(struct ca_workers *workers)
{
	int cpu;

	if (!ca_workers_may_place(workers))
		return NULL;
	cpu = ca_place_take(workers->allowed);
	if (cpu >= 0)
		return &workers->list[nr_cpu_ids + cpu];
	WRITE_ONCE(workers->room, workers->running);
	WRITE_ONCE(workers->full_since, jiffies);
	return NULL;
}

/*
 * Return: a worker to wake for a job, NULL if the running ones will do, or its splitter;
 * @caller_converts: the caller converts as well.
 */
static struct ca_worker *next_worker(struct ca_workers *workers, const struct ca_job *job,
				     bool caller_converts)
{
	/*
	 * Whatever runs on the CPU of a placed worker may keep it from the list for ever. That does
	 * not matter for a share, which its splitter takes back; any other job needs a worker that
	 * the scheduler places.
	 */
	const unsigned int running = job->is_share || workers->scheduled ? workers->running : 0;

	lockdep_assert_held(&workers->lock);
	if (running && (running >= ca_workers_max(workers, caller_converts) ||
			workers->backlog <= running * CA_WORKER_BYTES))
		return NULL;
	ask_allowed(workers);
	if (workers->knows_allowed &&
	    (job->is_share ||
	     (running && job->may_place && !ca_workers_may_schedule(workers))))
		return place_worker(workers);
	return find_worker(workers);
}

static void queue_worker(struct ca_worker *worker)
{
	struct ca_workers *workers = worker->workers;

	if (workers->is_same_cpu)
		queue_work_on(raw_smp_processor_id(), workers->bound_wq, &worker->work);
	else if (worker->cpu >= 0)
		queue_work_on(worker->cpu, workers->bound_wq, &worker->work);
	else
		queue_work(workers->io_wq, &worker->work);
}

/* In interrupt context, time the wake-up. @from: the CPU that goes on, or -1. */
static void wake(struct ca_worker *worker, int from)
{
	struct ca_workers *workers = worker->workers;
	u64 since;

	lockdep_assert_held(&workers->lock);
	worker->is_busy = true;
	worker->has_begun = false;
	worker->from = from;
	add_running(workers, 1);
	if (worker->is_placed)
		worker->woken = ktime_get_ns();
	else
		add_scheduled(workers, 1);
	if (in_task()) {
		queue_worker(worker);
		return;
	}
	since = local_clock();
	queue_worker(worker);
	WRITE_ONCE(workers->wake_ns, ca_ewma_add(READ_ONCE(workers->wake_ns),
						 min_t(u64, local_clock() - since, NSEC_PER_SEC)));
}

/**
 * ca_workers_add() - has a worker run a job
 * @workers: the device's
 * @job: the job, with all of its fields but the list's
 * @caller_converts: the caller goes on converting on its CPU
 *
 * Context: Any.
 */
void ca_workers_add(struct ca_workers *workers, struct ca_job *job, bool caller_converts)
{
	struct ca_worker *worker;
	unsigned long flags;

	/* The worker is woken with the lock held: after that, all may be over and gone. */
	spin_lock_irqsave(&workers->lock, flags);
	list_add_tail(&job->todo, job->bytes <= SMALL_BYTES ? &workers->small : &workers->large);
	add_backlog(workers, job->bytes);
	worker = next_worker(workers, job, caller_converts);
	if (worker)
		wake(worker, caller_converts && !job->is_share && worker->cpu < 0 ?
			     raw_smp_processor_id() : -1);
	spin_unlock_irqrestore(&workers->lock, flags);
}

/**
 * ca_workers_ensure() - has a worker come for what a splitter leaves on the list
 * @workers: the device's
 *
 * Not if one is sure to come; but one that was placed may not begin, or not go on, for as long as
 * another task has its CPU.
 *
 * Context: Any.
 */
void ca_workers_ensure(struct ca_workers *workers)
{
	struct ca_worker *worker;
	unsigned long flags;

	if (!READ_ONCE(workers->backlog) || READ_ONCE(workers->scheduled))
		return;
	spin_lock_irqsave(&workers->lock, flags);
	worker = workers->backlog && !workers->scheduled ? find_worker(workers) : NULL;
	if (worker)
		wake(worker, -1);
	spin_unlock_irqrestore(&workers->lock, flags);
}

/* Return: the last job on a list, if it is done for the base. */
static struct ca_job *last_of(const struct list_head *list, const struct ca_base *base)
{
	struct ca_job *job;

	if (list_empty(list))
		return NULL;
	job = list_last_entry(list, struct ca_job, todo);
	return job->base == base ? job : NULL;
}

/**
 * ca_dequeue_own() - takes back a job that the caller handed out, and that no worker has begun
 * @workers: the device's
 * @base: the base that it is done for; the caller holds a reference
 *
 * Context: Task.
 * Return: the job, which the caller has to run; NULL if there is none at the end of the list.
 */
struct ca_job *ca_dequeue_own(struct ca_workers *workers, const struct ca_base *base)
{
	struct ca_job *job;

	spin_lock_irq(&workers->lock);
	job = last_of(&workers->large, base) ?: last_of(&workers->small, base);
	if (job)
		remove_job(workers, job);
	spin_unlock_irq(&workers->lock);
	return job;
}

/* ------------------------------------------------------------------------------ the device */

/**
 * ca_workers_set_cpus() - says which CPUs the workers run on
 * @workers: the device's
 * @mask: these, one worker on each; NULL to leave it to the scheduler. Fragments under way end
 *	where they are
 *
 * Context: Task; one caller at a time.
 */
void ca_workers_set_cpus(struct ca_workers *workers, const struct cpumask *mask)
{
	unsigned int count = 0;
	int cpu;

	spin_lock_irq(&workers->lock);
	for_each_cpu(cpu, mask ?: cpu_online_mask) {
		WRITE_ONCE(workers->list[count].cpu, mask ? cpu : -1);
		count++;
	}
	WRITE_ONCE(workers->count, count);
	WRITE_ONCE(workers->is_pinned, mask);
	WRITE_ONCE(workers->knows_allowed, false);
	workers->asked = jiffies - CA_ALLOWED_JIFFIES;
	ask_allowed(workers);
	spin_unlock_irq(&workers->lock);
}

/**
 * ca_workers_emit_cpus() - writes which CPUs the workers are bound to
 * @workers: the device's
 * @result: where to
 * @maxlen: bytes there
 *
 * Return: bytes written.
 */
unsigned int ca_workers_emit_cpus(const struct ca_workers *workers, char *result,
				  unsigned int maxlen)
{
	unsigned int count = READ_ONCE(workers->count);
	unsigned int sz = 0;
	unsigned int i;

	for (i = 0; i < count; i++) {
		int cpu = READ_ONCE(workers->list[i].cpu);

		if (cpu < 0) {
			DMEMIT("any");
			break;
		}
		DMEMIT("%s%d", i ? "," : "", cpu);
	}
	return sz;
}

static int make_list(struct ca_workers *workers)
{
	int i;

	if (!zalloc_cpumask_var(&workers->allowed, GFP_KERNEL))
		return -ENOMEM;
	workers->list = kcalloc(2 * nr_cpu_ids, sizeof(*workers->list), GFP_KERNEL);
	if (!workers->list)
		return -ENOMEM;
	for (i = 0; i < 2 * nr_cpu_ids; i++) {
		struct ca_worker *worker = &workers->list[i];

		INIT_WORK(&worker->work, worker_fn);
		worker->workers = workers;
		worker->is_placed = i >= nr_cpu_ids;
		worker->cpu = worker->is_placed ? i - nr_cpu_ids : -1;
	}
	return 0;
}

static struct workqueue_struct *make_queue(struct ca_device *ca, const char *name,
					   unsigned int flags)
{
	static atomic_t number;

	if (ca_has(ca, CA_OPT_HIGH_PRIORITY))
		flags |= WQ_HIGHPRI;
	/* In sysfs, for nice and the like, where no two may have the same name. */
	return alloc_workqueue("%s-%s-%d", WQ_MEM_RECLAIM | WQ_SYSFS | flags, 0, name,
			       ca_device_name(ca), atomic_inc_return(&number));
}

static int make_queues(struct ca_device *ca)
{
	struct ca_workers *workers = &ca->workers;

	if (ca->zoned.is_ordered)
		workers->split_wq = alloc_ordered_workqueue("ca_split/%s", WQ_MEM_RECLAIM,
							    ca_device_name(ca));
	else
		workers->split_wq = make_queue(ca, "ca_split", WQ_UNBOUND);
	if (ca->meta.size)
		workers->meta_wq = make_queue(ca, "ca_meta", WQ_UNBOUND);
	workers->submit_wq = make_queue(ca, "ca_submit", WQ_UNBOUND);
	workers->io_wq = make_queue(ca, "ca_io", WQ_UNBOUND);
	workers->bound_wq = make_queue(ca, "ca_cpu", CA_WQ_PERCPU | WQ_CPU_INTENSIVE);
	if (ca->meta.size && !workers->meta_wq)
		return -ENOMEM;
	return workers->split_wq && workers->submit_wq && workers->io_wq && workers->bound_wq ?
	       0 : -ENOMEM;
}

/**
 * ca_workers_init() - makes a device's workqueues and workers
 * @ca: the device, its table line read
 *
 * Return: 0, or -ENOMEM with nothing left to undo.
 */
int ca_workers_init(struct ca_device *ca)
{
	struct ca_workers *workers = &ca->workers;
	int err;

	spin_lock_init(&workers->lock);
	INIT_LIST_HEAD(&workers->small);
	INIT_LIST_HEAD(&workers->large);
	workers->busy_since = jiffies - CA_BUSY_JIFFIES;
	workers->full_since = jiffies - CA_BUSY_JIFFIES;
	INIT_WORK(&workers->learn, learn_work);
	workers->is_same_cpu = ca_has(ca, CA_OPT_SAME_CPU_CRYPT);
	workers->is_nice = !ca_has(ca, CA_OPT_HIGH_PRIORITY) && !ca->zoned.is_ordered;
	err = make_list(workers) ?: make_queues(ca);
	if (err) {
		ca_workers_exit(workers);
		return err;
	}
	ca_workers_set_cpus(workers, NULL);
	return 0;
}

/* One that was placed may not have begun, and would not for as long as another task has its CPU. */
static void cancel_placed(struct ca_workers *workers)
{
	int cpu;

	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(cpu)
		if (cancel_work_sync(&workers->list[nr_cpu_ids + cpu].work))
			ca_place_leave(cpu);
}

/**
 * ca_workers_exit() - frees a device's workqueues and workers, also if only some were made
 * @workers: of a device with no bio in flight
 */
void ca_workers_exit(struct ca_workers *workers)
{
	if (workers->list)
		cancel_placed(workers);
	if (workers->bound_wq)
		destroy_workqueue(workers->bound_wq);
	if (workers->io_wq)
		destroy_workqueue(workers->io_wq);
	if (workers->submit_wq)
		destroy_workqueue(workers->submit_wq);
	if (workers->meta_wq)
		destroy_workqueue(workers->meta_wq);
	if (workers->split_wq)
		destroy_workqueue(workers->split_wq);
	free_cpumask_var(workers->allowed);
	kfree(workers->list);
}
