// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writers: a thread that converts another task's write leaves it to a writer, a work item that
 * submits to the lower device and does nothing else. (Not if the device ends bios within
 * submit_bio(), see write.c.)
 *
 * A submission sleeps as long as the lower device has no room. A worker that slept there would be
 * missing for reads; a task of the user may be stopped by the scheduler for long, and bios that are
 * submitted inside map wait until map has returned. So none of these submits what is not its own.
 *
 * A writer takes all that has come meanwhile, and submits it sorted by sector and under a plug, so
 * that the block layer makes few large requests of it. The busier the lower device is, the more has
 * come. Taking all of it also means that no fragment is passed over for ever.
 *
 * A submitter that has a plug itself says that more comes at once, until it takes the plug away. So
 * the writer is woken then, or when much has come, and not for each bio: it would find one at a
 * time, and a disk without a scheduler would get them so. A submitter may lose its CPU meanwhile,
 * so the writer waits for a moment only.
 *
 * A lower device may stop the bios of one control group. So each group that writes has a writer of
 * its own, as long as it has something to submit. The first writer finds out the group and hands
 * the fragment on; it submits those of the root group itself, which nothing stops.
 */
#include "writers.h"

#include <linux/blkdev.h>
#include <linux/list_sort.h>
#include <linux/lockdep.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "../dm-crypt-async.h"
#include "charge.h"
#include "base.h"
#include "fragment.h"
#include "latency.h"
#include "workers.h"

/* How long a writer waits for the end of a submitter's plug, in jiffies. */
#define HOLD_JIFFIES	1

/* With so many bytes to submit, a writer does not wait for the end of a plug. */
#define HOLD_BYTES	(512 * 1024)

/**
 * struct plug - a submitter's plug, under which more bios of a device are expected
 * @cb: the block layer's callback; first, since blk_check_plugged() allocates and zeroes all of it
 * @is_counted: the plug is counted in ca_writers.plugs
 */
struct plug {
	struct blk_plug_cb cb;
	bool is_counted;
};

static struct dm_crypt_io *fragment_of(const struct list_head *entry)
{
	return container_of(entry, struct dm_crypt_io, job.todo);
}

/* Whether somebody waits for a write: a program, or a journal. */
static bool is_urgent(const struct dm_crypt_io *io)
{
	return io->base->bio->bi_opf & (REQ_SYNC | REQ_META | REQ_PRIO | REQ_FUA);
}

/* The urgent ones come first, since the lower device may have others wait; then by sector. */
static int compare(void *unused, const struct list_head *a, const struct list_head *b)
{
	const struct dm_crypt_io *left = fragment_of(a);
	const struct dm_crypt_io *right = fragment_of(b);

	if (is_urgent(left) != is_urgent(right))
		return is_urgent(left) ? -1 : 1;
	return left->sector > right->sector;
}

static void submit_all(struct ca_writer *writer, struct list_head *list)
{
	struct ca_writers *writers = writer->writers;
	const unsigned long sleeps = current->nvcsw;
	struct blk_plug plug;

	list_sort(NULL, list, compare);
	blk_start_plug(&plug);
	writers->submit(list);
	blk_finish_plug(&plug);
	/* That another writer waits says something of its group only. */
	if (writer == &writers->first && current->nvcsw != sleeps)
		WRITE_ONCE(writers->waited, jiffies);
}

static void set_state(struct ca_writer *writer, enum ca_writer_state state)
{
	lockdep_assert_held(&writer->writers->lock);
	WRITE_ONCE(writer->state, state);
}

/* Takes all that has come. Return: false if that is nothing; then the writer is idle. */
static bool take(struct ca_writer *writer, struct list_head *list)
{
	struct ca_writers *writers = writer->writers;
	bool is_any;

	spin_lock_irq(&writers->lock);
	is_any = !list_empty(&writer->list);
	list_splice_init(&writer->list, list);
	set_state(writer, is_any ? CA_WRITER_BUSY : CA_WRITER_IDLE);
	if (writer == &writers->first)
		writers->held_bytes = 0;
	if (!is_any && writer->css)
		list_del(&writer->entry);
	spin_unlock_irq(&writers->lock);
	return is_any;
}

/* Has a writer begin now. */
static void wake(struct ca_writer *writer)
{
	if (writer->state == CA_WRITER_BUSY)
		return;
	set_state(writer, CA_WRITER_BUSY);
	ca_workers_queue_writer(writer->writers->workers, &writer->work, 0);
}

/* Has a writer begin in a while. */
static void hold(struct ca_writer *writer)
{
	if (writer->state != CA_WRITER_IDLE)
		return;
	set_state(writer, CA_WRITER_HELD);
	ca_workers_queue_writer(writer->writers->workers, &writer->work, HOLD_JIFFIES);
}

static void add(struct ca_writer *writer, struct dm_crypt_io *io)
{
	lockdep_assert_held(&writer->writers->lock);
	list_add_tail(&io->job.todo, &writer->list);
}

/* ------------------------------------------------------------------------- control groups */

/* The lower device may allocate memory: reclaim must not come back to this device for that. */
static void group_work(struct work_struct *work)
{
	struct ca_writer *writer = container_of(work, struct ca_writer, work.work);
	struct ca_writers *writers = writer->writers;
	unsigned int noio = memalloc_noio_save();
	LIST_HEAD(list);

	while (take(writer, &list)) {
		submit_all(writer, &list);
		cond_resched();
	}
	/* One that was made for a group has left the list of groups: nobody finds it any more. */
	if (writer != &writers->overflow)
		kfree(writer);
	memalloc_noio_restore(noio);
}

static void init(struct ca_writer *writer, struct ca_writers *writers,
		 struct cgroup_subsys_state *css, work_func_t work)
{
	writer->writers = writers;
	writer->css = css;
	INIT_DELAYED_WORK(&writer->work, work);
	INIT_LIST_HEAD(&writer->list);
	writer->state = CA_WRITER_IDLE;
}

static struct ca_writer *find(struct ca_writers *writers, struct cgroup_subsys_state *css)
{
	struct ca_writer *writer;

	lockdep_assert_held(&writers->lock);
	list_for_each_entry(writer, &writers->groups, entry)
		if (writer->css == css)
			return writer;
	return NULL;
}

/* The fragment's group, NULL for the root group. It lives as long as the base bio. */
static struct cgroup_subsys_state *group_of(struct dm_crypt_io *io)
{
	struct cgroup_subsys_state *css;

	if (!io->base->is_accounted)
		ca_charge_start(io->base);
	css = io->base->css;
	return ca_css_is_root(css) ? NULL : css;
}

/* Hands a fragment to its group's writer, which is made if there is none. */
static void hand_on(struct ca_writers *writers, struct dm_crypt_io *io,
		    struct cgroup_subsys_state *css)
{
	struct ca_writer *writer;

	spin_lock_irq(&writers->lock);
	writer = find(writers, css);
	if (!writer) {
		writer = kmalloc(sizeof(*writer), GFP_NOWAIT | __GFP_NOWARN);
		if (writer) {
			init(writer, writers, css, group_work);
			list_add(&writer->entry, &writers->groups);
		}
	}
	writer = writer ?: &writers->overflow;
	add(writer, io);
	wake(writer);
	spin_unlock_irq(&writers->lock);
}

static void first_work(struct work_struct *work)
{
	struct ca_writer *first = container_of(work, struct ca_writer, work.work);
	unsigned int noio = memalloc_noio_save();
	struct cgroup_subsys_state *css;
	struct dm_crypt_io *next;
	struct dm_crypt_io *io;
	LIST_HEAD(list);

	while (take(first, &list)) {
		list_for_each_entry_safe(io, next, &list, job.todo) {
			css = group_of(io);
			if (!css)
				continue;
			list_del(&io->job.todo);
			hand_on(first->writers, io, css);
		}
		submit_all(first, &list);
		cond_resched();
	}
	memalloc_noio_restore(noio);
}

/* ----------------------------------------------------------------------------- the device */

/**
 * ca_writers_add() - has a writer submit a fragment
 * @writers: the device's
 * @io: the fragment, converted, owned by the caller, which must not touch it afterwards
 *
 * Context: Any.
 */
void ca_writers_add(struct ca_writers *writers, struct dm_crypt_io *io)
{
	unsigned long flags;

	io->queued_at = ca_latency_begin(&io->ca->latency);
	/* The writer is woken with the lock held: after that, all may be over and gone. */
	spin_lock_irqsave(&writers->lock, flags);
	add(&writers->first, io);
	writers->held_bytes += io->bytes;
	if (io->base->is_plugged && writers->plugs && writers->held_bytes < HOLD_BYTES)
		hold(&writers->first);
	else
		wake(&writers->first);
	spin_unlock_irqrestore(&writers->lock, flags);
}

/* ca_writers_exit() looks at the number without the lock. */
static void add_plugs(struct ca_writers *writers, int count)
{
	lockdep_assert_held(&writers->lock);
	WRITE_ONCE(writers->plugs, writers->plugs + count);
}

/* A submitter has taken its plug away, or sleeps: it may be scheduling. */
static void unplugged(struct blk_plug_cb *cb, bool from_schedule)
{
	struct ca_writers *writers = cb->data;
	unsigned long flags;

	spin_lock_irqsave(&writers->lock, flags);
	add_plugs(writers, -1);
	if (!list_empty(&writers->first.list))
		wake(&writers->first);
	/* Pairs with prepare_to_wait_event(): this sees the waiter, or that sees the count. */
	smp_mb();
	/* Under the lock, which ca_writers_exit() takes before the device is freed. */
	wake_up_var(&writers->plugs);
	spin_unlock_irqrestore(&writers->lock, flags);
	kfree(cb);
}

/**
 * ca_writers_expect() - wakes the writer when the caller takes its plug away, rather than before
 * @writers: the device's
 *
 * Context: The submitter's task, inside submit_bio(), with a plug. Without memory, the writer is
 * woken for each fragment, as without a plug.
 */
void ca_writers_expect(struct ca_writers *writers)
{
	struct blk_plug_cb *cb = blk_check_plugged(unplugged, writers, sizeof(struct plug));
	struct plug *plug = container_of(cb, struct plug, cb);

	if (!cb || plug->is_counted)
		return;
	plug->is_counted = true;
	spin_lock_irq(&writers->lock);
	add_plugs(writers, 1);
	spin_unlock_irq(&writers->lock);
}

/**
 * ca_writers_init() - makes a device's writers, which have nothing to do yet
 * @writers: the writers
 * @workers: the device's threads
 * @submit: hands a list of fragments to the lower device, neighbours one behind the other
 */
void ca_writers_init(struct ca_writers *writers, struct ca_workers *workers,
		     void (*submit)(struct list_head *list))
{
	spin_lock_init(&writers->lock);
	INIT_LIST_HEAD(&writers->groups);
	writers->workers = workers;
	writers->submit = submit;
	writers->waited = jiffies - CA_WAITED_JIFFIES;
	writers->age = 0;
	init(&writers->first, writers, NULL, first_work);
	init(&writers->overflow, writers, NULL, group_work);
}

/**
 * ca_writers_exit() - waits until no submitter's plug refers to the writers
 * @writers: of a device with no bio in flight
 */
void ca_writers_exit(struct ca_writers *writers)
{
	wait_var_event(&writers->plugs, !READ_ONCE(writers->plugs));
	/* Waits for unplugged(), which still holds the lock when it wakes this thread. */
	spin_lock_irq(&writers->lock);
	spin_unlock_irq(&writers->lock);
	/* The first writer may be queued, at once or after a delay, though it has no work. */
	cancel_delayed_work_sync(&writers->first.work);
}
