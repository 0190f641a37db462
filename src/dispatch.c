// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where work runs: the only file that knows workqueues, processors and interrupts. The choice
 * itself is in choose.h; here is what it is told, and what is done about it.
 *
 * Different queues, so that who waits never stands before who is waited for: cut_wq runs cutters,
 * which may wait for memory that fragments hold; io_wq and bound_wq run workers, which wait for
 * nobody. A fragment that may have to sleep for the crypto driver's memory has a worker of its own.
 *
 * The workers of a device share one list of fragments. One of them is woken when the list grows
 * beyond what those at work can do soon; it then takes one fragment after the other, until there is
 * none. So a burst costs one wake-up for each CPU, not one for each bio.
 */
#include "dm-crypt-async.h"

#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

/* Bytes on the list for each worker, from which on another one is woken. */
#define WORKER_BYTES	(16U * 1024)

/* A fragment of at most this size does not wait behind larger ones, in bytes. */
#define SMALL_BYTES	(16 * 1024)

/* After so many small ones a large one has its turn. */
#define SMALL_TURN	8

/* The largest read that is converted in a soft interrupt, in bytes. */
#define INLINE_BYTES	(128 * 1024)

/* A bio of at most this size is not cut to be shared, in bytes: a wake-up takes what it saves. */
#define SHARED_READ	(64U * 1024)
#define SHARED_WRITE	(32U * 1024)

/* The smallest part that is cut to be shared: a write's costs the device below a bio, in bytes. */
#define READ_PART	(16U * 1024)
#define WRITE_PART	(32U * 1024)

/* What one call of a completion converts itself, in bytes: it cannot let others run. */
#define SUBMITTER_BYTES	(1024 * 1024)

/* For how long no more work is shared, when it was found that no CPU is idle, in jiffies. */
#define BUSY_JIFFIES	(HZ / 50)

/*
 * Soft interrupts may convert for SOFTIRQ_SPENT of each SOFTIRQ_WINDOW on a CPU, for SOFTIRQ_IDLE
 * if it was idle, in ns.
 */
#define SOFTIRQ_WINDOW	(4 * NSEC_PER_MSEC)
#define SOFTIRQ_SPENT	(1 * NSEC_PER_MSEC)
#define SOFTIRQ_IDLE	(3 * NSEC_PER_MSEC)

/*
 * Of so many bios that come one by one, one is treated as if another followed: of PROBE_MIN at
 * first, of ever more then; and one in PROBE_JIFFIES, if PROBE_MIN have come.
 */
#define PROBE_MIN	16
#define PROBE_MAX	4096
#define PROBE_JIFFIES	(HZ / 10)

/* After the last bio that came while another one was in flight, so many are taken as if. */
#define DEEP_BIOS	16

static unsigned int fragment_kib = 128;
module_param(fragment_kib, uint, 0644);
MODULE_PARM_DESC(fragment_kib, "Most that a fragment of a new device converts, in KiB, 4 to 1024");

struct softirq_time {
	u64 since;
	u64 spent;
};

static DEFINE_PER_CPU(struct softirq_time, softirq_time);

/* ------------------------------------------------------------- what is known of a caller */

/* The user's options keep the conversion where it is. */
static bool stays(const struct dm_crypt_io *io)
{
	return io->ca->stays[bio_data_dir(io->base_bio)];
}

static bool is_worker_only(const struct dm_crypt_io *io)
{
	return io->ca->worker_only[bio_data_dir(io->base_bio)];
}

/* How many workers there is a CPU for; @own: the caller, who is none of them, needs one himself. */
static unsigned int most_workers(const struct ca_device *ca, bool own)
{
	return READ_ONCE(ca->worker_count) - (own && !READ_ONCE(ca->pinned));
}

/* Whether the submitter of a read, if it is the cutter, has converted as much of it as it may. */
static bool has_done_enough(const struct dm_crypt_io *base)
{
	return bio_data_dir(base->base_bio) == READ &&
	       READ_ONCE(base->own_bytes) >= SUBMITTER_BYTES;
}

/* Whether a worker is at work with little to do; @enough: bytes that each has to do for a while. */
static bool has_running_helper(const struct ca_device *ca, unsigned int enough)
{
	return READ_ONCE(ca->backlog) < READ_ONCE(ca->running) * enough;
}

/* Whether a worker could do something meanwhile. */
static bool has_helper(const struct ca_device *ca, bool own, unsigned int enough)
{
	return has_running_helper(ca, enough) ||
	       (READ_ONCE(ca->running) < most_workers(ca, own) &&
		jiffies - READ_ONCE(ca->busy_since) >= BUSY_JIFFIES);
}

/* The same in an interrupt, where a worker is not woken for less than that takes. */
static bool has_helper_for(struct ca_device *ca, const struct dm_crypt_io *io)
{
	const unsigned int enough = max(2 * io->bytes, WORKER_BYTES);
	unsigned int wake_ns = READ_ONCE(ca->wake_ns);

	if (has_running_helper(ca, enough))
		return true;
	if (!has_helper(ca, true, enough))
		return false;
	if (ca_is_worth_wake(io->bytes, READ_ONCE(ca->kib_ns), wake_ns))
		return true;
	WRITE_ONCE(ca->wake_ns, ca_doubt(wake_ns));
	return false;
}

/*
 * Whether a bio's submitter waits for it, as far as one can tell when it comes. A device that
 * completes within submit_bio never lets two bios be in flight: to see whether the submitter would
 * go on, now and then a bio is treated as if. Tasks that are preempted or moved meanwhile may lose
 * a count; that does not matter.
 */
static bool comes_alone(struct ca_cpu *cpu)
{
	unsigned int depth = atomic_inc_return(&cpu->depth);
	unsigned int deep = READ_ONCE(cpu->deep);
	unsigned int gap = READ_ONCE(cpu->gap);
	unsigned int singles;

	if (depth > READ_ONCE(cpu->most))
		WRITE_ONCE(cpu->most, depth);
	if (depth > 1) {
		WRITE_ONCE(cpu->deep, DEEP_BIOS);
		WRITE_ONCE(cpu->gap, PROBE_MIN);
		return false;
	}
	if (deep) {
		WRITE_ONCE(cpu->deep, deep - 1);
		return false;
	}
	singles = READ_ONCE(cpu->singles) + 1;
	if (singles < gap && (singles < PROBE_MIN ||
			      jiffies - READ_ONCE(cpu->probed) < PROBE_JIFFIES)) {
		WRITE_ONCE(cpu->singles, singles);
		return true;
	}
	WRITE_ONCE(cpu->singles, 0);
	WRITE_ONCE(cpu->probed, jiffies);
	WRITE_ONCE(cpu->gap, min(2 * gap, PROBE_MAX));
	return false;
}

/**
 * ca_part() - says how much of a base bio its next fragment is to have
 * @base: its base io
 *
 * A bio that is alone ends when the slowest of its fragments does. So these become smaller towards
 * its end: then all who share it end at about the same time, whatever each of them can do.
 *
 * Context: The cutter. A setting may change at any time, so once for each fragment.
 * Return: bytes, no more than the bio has left.
 */
unsigned int ca_part(const struct dm_crypt_io *base)
{
	unsigned int most = min(READ_ONCE(base->ca->fragment_bytes), base->rest.bi_size);
	unsigned int least = base->least_part;

	if (!least)
		return most;
	return min(most, max(least, round_up(base->rest.bi_size / base->sharers, CA_MAX_UNIT)));
}

/* Whether nothing else has come from there until now. */
static bool is_alone(const struct dm_crypt_io *base)
{
	return base->alone && atomic_read(&base->cpu->depth) <= 1;
}

/* Whether a base bio is one that its submitter waits for, and others can help with. */
static bool is_shared(const struct dm_crypt_io *base)
{
	unsigned int least = bio_data_dir(base->base_bio) == READ ? SHARED_READ : SHARED_WRITE;

	return base->bytes > least && base->alone && !stays(base) &&
	       has_helper(base->ca, true, WORKER_BYTES);
}

/**
 * ca_enter() - a base bio comes
 * @base: its base io
 *
 * Context: Task, below submit_bio.
 */
void ca_enter(struct dm_crypt_io *base)
{
	struct ca_cpu *cpu = raw_cpu_ptr(base->ca->cpus);

	base->cpu = cpu;
	base->submitter = current;
	base->nice = task_nice(current);
	base->alone = comes_alone(cpu);
	base->own_bytes = 0;
	base->least_part = 0;
	if (is_shared(base)) {
		base->least_part = bio_data_dir(base->base_bio) == READ ? READ_PART : WRITE_PART;
		base->sharers = 2 * READ_ONCE(base->ca->worker_count);
	}
}

/*
 * What choose.h is told of a fragment, or of a base bio that has been read, but for what takes
 * longer to find out: that is done only where it counts. @final: what is not handed over now will
 * not be, so that it counts whether somebody could help.
 */
static __always_inline struct ca_choice describe(const struct dm_crypt_io *io,
						 const struct dm_crypt_io *base,
						 enum ca_caller caller, bool more, bool final)
{
	const bool is_interrupt = caller == CA_FROM_SOFTIRQ || caller == CA_FROM_HARDIRQ;
	struct ca_choice choice = {
		.caller = caller,
		.bytes = io->bytes,
		.more = more,
		.worker_only = is_worker_only(base),
		.stay = stays(base),
		.alone = is_alone(base),
	};

	if (is_interrupt)
		choice.most = ca_inline_most(READ_ONCE(io->ca->inline_bytes),
					     READ_ONCE(io->ca->kib_ns));
	if (final && !choice.stay && (more || !choice.alone))
		choice.helper = is_interrupt ? has_helper_for(io->ca, io) :
			has_helper(io->ca, caller < CA_FROM_WORKER,
				   max(2 * io->bytes, WORKER_BYTES));
	return choice;
}

/**
 * ca_place() - says where a fragment is converted
 * @io: the fragment, cut
 * @caller: the context
 * @more: the caller has other fragments of the base bio to hand out or to convert
 *
 * Return: CA_INLINE or CA_QUEUE.
 */
enum ca_place ca_place(struct dm_crypt_io *io, enum ca_caller caller, bool more)
{
	const struct dm_crypt_io *base = ca_base(io);
	struct ca_choice choice = describe(io, base, caller, more, true);

	choice.spent = caller == CA_FROM_SUBMITTER && has_done_enough(base);
	return ca_choose(&choice);
}

/*
 * Whether soft interrupts have converted for long enough on this CPU for now. If it was idle,
 * nobody wants it until somebody is woken; but other soft interrupts may.
 */
static bool is_spent(struct softirq_time *time, u64 now)
{
	bool wanted = !is_idle_task(current) || need_resched();

	if (now - time->since > SOFTIRQ_WINDOW) {
		time->since = now;
		time->spent = 0;
	}
	return time->spent > (wanted ? SOFTIRQ_SPENT : SOFTIRQ_IDLE);
}

/**
 * ca_place_read() - says where a read that has completed is cut, and converted
 * @base: its base io
 * @caller: CA_FROM_SOFTIRQ or CA_FROM_HARDIRQ
 * @final: it is converted there; else it is cut there, and ca_place() is asked for each fragment
 * @now: for a soft interrupt, what local_clock() says
 *
 * Return: CA_INLINE, CA_QUEUE or CA_LATER.
 */
enum ca_place ca_place_read(const struct dm_crypt_io *base, enum ca_caller caller, bool final,
			    u64 now)
{
	struct ca_choice choice = describe(base, base, caller, false, final);

	if (caller == CA_FROM_SOFTIRQ && !in_task())
		choice.spent = is_spent(raw_cpu_ptr(&softirq_time), now);
	if (choice.bytes > choice.most && choice.bytes <= READ_ONCE(base->ca->inline_bytes))
		WRITE_ONCE(base->ca->kib_ns, ca_doubt(READ_ONCE(base->ca->kib_ns)));
	return ca_choose(&choice);
}

/**
 * ca_spend() - remembers the time that a soft interrupt took to convert something
 * @io: the fragment, of which all is converted; NULL if the crypto driver goes on with it, whose
 *	speed is another matter
 * @since: when it began, as local_clock() counts
 */
void ca_spend(const struct dm_crypt_io *io, u64 since)
{
	u64 spent = min_t(u64, local_clock() - since, NSEC_PER_SEC);

	if (!in_task())
		raw_cpu_ptr(&softirq_time)->spent += spent;
	if (io) {
		unsigned int kib_ns = div_u64(spent * 1024, io->bytes);

		WRITE_ONCE(io->ca->kib_ns, ca_learn(READ_ONCE(io->ca->kib_ns), kib_ns));
	}
}

/* -------------------------------------------------------------------------------- workers */

/* One of those that share the list. */
struct ca_worker {
	struct work_struct work;
	struct ca_device *ca;
	int cpu;	/* where it runs, -1 for where the scheduler wants it */
	int from;	/* the CPU that woke it and goes on, -1 for one that does not */
	bool busy;	/* protected by todo_lock */
};

/* Others look at how much there is without the lock. */
static void add_backlog(struct ca_device *ca, int bytes)
{
	WRITE_ONCE(ca->backlog, ca->backlog + bytes);
}

static void add_running(struct ca_device *ca, int count)
{
	WRITE_ONCE(ca->running, ca->running + count);
}

/* Small ones come first, but not all of the time. */
static struct dm_crypt_io *first_fragment(struct ca_device *ca)
{
	struct list_head *list = &ca->small;

	if (list_empty(list) || (ca->turn >= SMALL_TURN && !list_empty(&ca->large)))
		list = &ca->large;
	ca->turn = list == &ca->small ? ca->turn + 1 : 0;
	return list_first_entry_or_null(list, struct dm_crypt_io, todo);
}

/* Return: the next fragment; NULL if there is none, and the worker is at work no more. */
static struct dm_crypt_io *next_fragment(struct ca_worker *worker)
{
	struct ca_device *ca = worker->ca;
	struct dm_crypt_io *io;

	spin_lock_irq(&ca->todo_lock);
	io = first_fragment(ca);
	if (io) {
		list_del(&io->todo);
		add_backlog(ca, -io->bytes);
	} else {
		worker->busy = false;
		add_running(ca, -1);
	}
	spin_unlock_irq(&ca->todo_lock);
	return io;
}

static void set_nice(int nice)
{
	if (task_nice(current) != nice)
		set_user_nice(current, nice);
}

/**
 * ca_be_nice() - makes a worker as nice as the one whose bio it works for
 * @base: the base io
 * @own: the worker's own nice: its workqueue's, to which the submitter's is added
 *
 * With high_priority a worker stays what the user made it, and where writes keep their order no one
 * may be held up by another one's nice.
 *
 * Context: A worker, which returns to @own by ca_be_oneself().
 */
void ca_be_nice(const struct dm_crypt_io *base, int own)
{
	if (!ca_has(base->ca, CA_OPT_HIGH_PRIORITY) && !base->ca->in_order)
		set_nice(clamp(own + base->nice, MIN_NICE, MAX_NICE));
}

/**
 * ca_be_oneself() - makes a worker as nice as it was
 * @own: the worker's own nice
 */
void ca_be_oneself(int own)
{
	set_nice(own);
}

/* Crypto drivers may allocate; reclaim must not come back to this device for that. */
static void worker_work(struct work_struct *work)
{
	struct ca_worker *worker = container_of(work, struct ca_worker, work);
	unsigned int noio = memalloc_noio_save();
	const int own = task_nice(current);
	struct dm_crypt_io *io;

	if (worker->from == raw_smp_processor_id())
		WRITE_ONCE(worker->ca->busy_since, jiffies);
	while ((io = next_fragment(worker))) {
		ca_be_nice(ca_base(io), own);
		ca_io_run(io, CA_FROM_WORKER);
		cond_resched();
	}
	ca_be_oneself(own);
	memalloc_noio_restore(noio);
}

/* A worker for one fragment, which may sleep: nobody waits behind it. */
static void sleeper_work(struct work_struct *work)
{
	struct dm_crypt_io *io = container_of(work, struct dm_crypt_io, work);
	unsigned int noio = memalloc_noio_save();
	const int own = task_nice(current);

	ca_be_nice(ca_base(io), own);
	ca_io_run(io, CA_FROM_SLEEPER);
	ca_be_oneself(own);
	memalloc_noio_restore(noio);
}

/* Return: a worker to wake, NULL if those at work will do; @own: the caller is at work as well. */
static struct ca_worker *next_worker(struct ca_device *ca, bool own)
{
	struct ca_worker *found = NULL;
	unsigned int i;

	lockdep_assert_held(&ca->todo_lock);
	if (ca->running && (ca->running >= most_workers(ca, own) ||
			    ca->backlog <= ca->running * WORKER_BYTES))
		return NULL;
	for (i = 0; i < ca->worker_count; i++) {
		if (ca->workers[i].busy)
			continue;
		found = &ca->workers[i];
		if (found->cpu != raw_smp_processor_id())
			break;	/* else rather another one */
	}
	return found;
}

static void queue_worker(struct ca_worker *worker)
{
	struct ca_device *ca = worker->ca;

	if (ca_has(ca, CA_OPT_SAME_CPU_CRYPT))
		queue_work_on(raw_smp_processor_id(), ca->bound_wq, &worker->work);
	else if (worker->cpu >= 0)
		queue_work_on(worker->cpu, ca->bound_wq, &worker->work);
	else
		queue_work(ca->io_wq, &worker->work);
}

/* An interrupt takes the time. */
static void wake(struct ca_worker *worker)
{
	struct ca_device *ca = worker->ca;
	u64 since;

	lockdep_assert_held(&ca->todo_lock);
	if (in_task()) {
		queue_worker(worker);
		return;
	}
	since = local_clock();
	queue_worker(worker);
	WRITE_ONCE(ca->wake_ns, ca_learn(READ_ONCE(ca->wake_ns),
					 min_t(u64, local_clock() - since, NSEC_PER_SEC)));
}

/**
 * ca_queue_fragment() - lets a worker go on with a fragment, from its state
 * @io: the fragment; the worker has it from here on
 *
 * Context: Any.
 */
void ca_queue_fragment(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;
	struct ca_worker *worker;
	unsigned long flags;
	bool own;

	io->queued_at = ca_latency_begin(io);
	if (io->state == CA_CONVERTED) {
		/* Only to be submitted, and its memory is warm here. */
		INIT_WORK(&io->work, sleeper_work);
		queue_work_on(raw_smp_processor_id(), ca->bound_wq, &io->work);
		return;
	}
	if (io->sleeps) {
		INIT_WORK(&io->work, sleeper_work);
		queue_work(ca->io_wq, &io->work);
		return;
	}
	/* Who has done enough leaves its CPU to a worker. */
	own = in_task() && current == ca_base(io)->submitter && !has_done_enough(ca_base(io));
	/* The worker is woken with the lock held: after that, all may be over and gone. */
	spin_lock_irqsave(&ca->todo_lock, flags);
	list_add_tail(&io->todo, io->bytes <= SMALL_BYTES ? &ca->small : &ca->large);
	add_backlog(ca, io->bytes);
	worker = next_worker(ca, own);
	if (worker) {
		worker->busy = true;
		worker->from = own && worker->cpu < 0 ? raw_smp_processor_id() : -1;
		add_running(ca, 1);
		wake(worker);
	}
	spin_unlock_irqrestore(&ca->todo_lock, flags);
}

/* Return: the last fragment on a list, if it is the base's. */
static struct dm_crypt_io *last_of(const struct list_head *list, const struct dm_crypt_io *base)
{
	struct dm_crypt_io *io;

	if (list_empty(list))
		return NULL;
	io = list_last_entry(list, struct dm_crypt_io, todo);
	return ca_base(io) == base ? io : NULL;
}

/**
 * ca_take_back() - gives a cutter a fragment that it handed out and that no worker has begun
 * @base: the base io; the caller has cut all of it and holds a reference
 * @caller: CA_FROM_MAP or CA_FROM_SUBMITTER
 *
 * Return: a fragment, NULL if there is none for the caller to run.
 */
struct dm_crypt_io *ca_take_back(const struct dm_crypt_io *base, enum ca_caller caller)
{
	struct ca_device *ca = base->ca;
	struct dm_crypt_io *io;

	if (!is_alone(base) || is_worker_only(base) ||
	    (caller == CA_FROM_SUBMITTER && has_done_enough(base)))
		return NULL;
	spin_lock_irq(&ca->todo_lock);
	io = last_of(&ca->large, base) ?: last_of(&ca->small, base);
	if (io) {
		list_del(&io->todo);
		add_backlog(ca, -io->bytes);
	}
	spin_unlock_irq(&ca->todo_lock);
	return io;
}

/* ------------------------------------------------------------------------ soft interrupts */

static void run_softirq(struct tasklet_struct *softirq)
{
	struct ca_cpu *cpu = container_of(softirq, struct ca_cpu, softirq);
	struct llist_node *list = llist_reverse_order(llist_del_all(&cpu->completed));
	struct dm_crypt_io *io;
	struct dm_crypt_io *next;

	/* cppcheck-suppress unknownMacro */
	llist_for_each_entry_safe(io, next, list, completed)
		ca_io_run(io, CA_FROM_SOFTIRQ);
}

/**
 * ca_queue_softirq() - goes on with a read in a soft interrupt on this CPU
 * @base: its base io
 *
 * Context: Hard interrupt, or interrupts disabled.
 */
void ca_queue_softirq(struct dm_crypt_io *base)
{
	struct ca_cpu *cpu = this_cpu_ptr(base->ca->cpus);

	base->queued_at = ca_latency_begin(base);
	if (llist_add(&base->completed, &cpu->completed))
		tasklet_schedule(&cpu->softirq);
}

/* ------------------------------------------------------------------------------ the device */

static int make_cpus(struct ca_device *ca)
{
	int i;

	ca->workers = kcalloc(nr_cpu_ids, sizeof(*ca->workers), GFP_KERNEL);
	if (!ca->workers)
		return -ENOMEM;
	ca->cpus = alloc_percpu(struct ca_cpu);
	if (!ca->cpus)
		return -ENOMEM;
	for_each_possible_cpu(i) {
		struct ca_cpu *cpu = per_cpu_ptr(ca->cpus, i);

		init_llist_head(&cpu->completed);
		tasklet_setup(&cpu->softirq, run_softirq);
		cpu->gap = PROBE_MIN;
	}
	for (i = 0; i < nr_cpu_ids; i++) {
		INIT_WORK(&ca->workers[i].work, worker_work);
		ca->workers[i].ca = ca;
	}
	return 0;
}

static void free_cpus(struct ca_device *ca)
{
	int i;

	if (ca->cpus)
		for_each_possible_cpu(i)
			tasklet_kill(&per_cpu_ptr(ca->cpus, i)->softirq);
	free_percpu(ca->cpus);
	kfree(ca->workers);
}

static struct workqueue_struct *make_queue(struct ca_device *ca, const char *what,
					   unsigned int flags)
{
	static atomic_t number;

	if (ca_has(ca, CA_OPT_HIGH_PRIORITY))
		flags |= WQ_HIGHPRI;
	/* In sysfs, for nice and the like, where no two may have the same name. */
	return alloc_workqueue("%s-%s-%d", WQ_MEM_RECLAIM | WQ_SYSFS | flags, 0, what,
			       dm_table_device_name(ca->ti->table), atomic_inc_return(&number));
}

static void free_queues(struct ca_device *ca)
{
	if (ca->bound_wq)
		destroy_workqueue(ca->bound_wq);
	if (ca->io_wq)
		destroy_workqueue(ca->io_wq);
	if (ca->cut_wq)
		destroy_workqueue(ca->cut_wq);
}

static int make_queues(struct ca_device *ca)
{
	if (ca->in_order)
		ca->cut_wq = alloc_ordered_workqueue("ca_cut/%s", WQ_MEM_RECLAIM,
						     dm_table_device_name(ca->ti->table));
	else
		ca->cut_wq = make_queue(ca, "ca_cut", WQ_UNBOUND);
	ca->io_wq = make_queue(ca, "ca_io", WQ_UNBOUND);
	ca->bound_wq = make_queue(ca, "ca_cpu", CA_WQ_PERCPU | WQ_CPU_INTENSIVE);
	return ca->cut_wq && ca->io_wq && ca->bound_wq ? 0 : -ENOMEM;
}

/* What its table line says of where things are done. */
static void set_rules(struct ca_device *ca)
{
	const bool same_cpu = ca_has(ca, CA_OPT_SAME_CPU_CRYPT);
	const bool looks_at_data = ca->cipher.iv_ops->looks_at_data;

	ca->stays[READ] = same_cpu || ca_has(ca, CA_OPT_NO_READ_WORKQUEUE);
	ca->stays[WRITE] = same_cpu || ca_has(ca, CA_OPT_NO_WRITE_WORKQUEUE);
	ca->worker_only[READ] = looks_at_data;
	ca->worker_only[WRITE] = looks_at_data || ca->in_order;
}

/**
 * ca_dispatch_init() - makes a device's workqueues and workers
 * @ca: the device, its table line read
 *
 * Return: 0 or -ENOMEM.
 */
int ca_dispatch_init(struct ca_device *ca)
{
	int err;

	spin_lock_init(&ca->todo_lock);
	INIT_LIST_HEAD(&ca->small);
	INIT_LIST_HEAD(&ca->large);
	ca->busy_since = jiffies - BUSY_JIFFIES;
	set_rules(ca);
	ca_dispatch_reset(ca);
	err = make_cpus(ca) ?: make_queues(ca);
	if (err)
		ca_dispatch_exit(ca);
	else
		ca_dispatch_set_cpus(ca, NULL);
	return err;
}

/**
 * ca_dispatch_exit() - frees them
 * @ca: the device, with no bio in flight
 */
void ca_dispatch_exit(struct ca_device *ca)
{
	free_queues(ca);
	free_cpus(ca);
}

/**
 * ca_dispatch_reset() - brings the settings that can be changed to their defaults
 * @ca: the device
 */
void ca_dispatch_reset(struct ca_device *ca)
{
	WRITE_ONCE(ca->fragment_bytes,
		   rounddown_pow_of_two(clamp(fragment_kib, 4U, 1024U)) * 1024);
	WRITE_ONCE(ca->inline_bytes, INLINE_BYTES);
}

/**
 * ca_dispatch_set_cpus() - says which CPUs the workers run on
 * @ca: the device
 * @mask: these, one worker on each; NULL to leave it to the scheduler. Fragments under way end
 *	where they are
 *
 * Context: Task; one caller at a time.
 */
void ca_dispatch_set_cpus(struct ca_device *ca, const struct cpumask *mask)
{
	unsigned int count = 0;
	int cpu;

	spin_lock_irq(&ca->todo_lock);
	for_each_cpu(cpu, mask ?: cpu_online_mask) {
		WRITE_ONCE(ca->workers[count].cpu, mask ? cpu : -1);
		count++;
	}
	WRITE_ONCE(ca->worker_count, count);
	WRITE_ONCE(ca->pinned, mask);
	spin_unlock_irq(&ca->todo_lock);
}

/**
 * ca_dispatch_emit_cpus() - writes which CPUs the workers are bound to
 * @ca: the device
 * @result: where to
 * @maxlen: bytes there
 *
 * Return: bytes written.
 */
unsigned int ca_dispatch_emit_cpus(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int count = READ_ONCE(ca->worker_count);
	unsigned int sz = 0;
	unsigned int i;

	for (i = 0; i < count; i++) {
		int cpu = READ_ONCE(ca->workers[i].cpu);

		if (cpu < 0) {
			DMEMIT("any");
			break;
		}
		DMEMIT("%s%d", i ? "," : "", cpu);
	}
	return sz;
}

/**
 * ca_dispatch_emit_depth() - writes how many base bios are in flight, and how many were at most
 * @ca: the device
 * @result: where to
 * @maxlen: bytes there
 *
 * Each CPU remembers the most that came from there; their sum is what all of them may have had at
 * the same time, or somewhat more than they ever had.
 *
 * Return: bytes written.
 */
unsigned int ca_dispatch_emit_depth(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int now = 0;
	unsigned int most = 0;
	unsigned int sz = 0;
	int i;

	for_each_possible_cpu(i) {
		const struct ca_cpu *cpu = per_cpu_ptr(ca->cpus, i);

		now += atomic_read(&cpu->depth);
		most += READ_ONCE(cpu->most);
	}
	DMEMIT(" in_flight=%u in_flight_most=%u", now, most);
	return sz;
}

/**
 * ca_queue_cutter() - lets a worker go on cutting a base bio
 * @base: its base io; the cutter goes with it
 *
 * Context: Any.
 */
void ca_queue_cutter(struct dm_crypt_io *base)
{
	queue_work(base->ca->cut_wq, &base->cut_work);
}

/**
 * ca_queue_order() - lets a worker submit the writes whose turn it is
 * @ca: a zoned device
 *
 * Context: Any.
 */
void ca_queue_order(struct ca_device *ca)
{
	queue_work(ca->io_wq, &ca->order_work);
}
