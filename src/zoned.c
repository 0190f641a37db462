// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps writes to zoned devices in order. A sequential zone takes writes in order only, and
 * fragments are converted side by side. So a write fragment takes its place in a list when it has
 * been split off, with all it needs to come to its end; when one has been converted, a work item
 * submits from the head of the list as far as it is ready.
 */
#include "zoned.h"

#include <linux/lockdep.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "fragment.h"
#include "latency.h"
#include "submit.h"
#include "workers.h"

/**
 * ca_zoned_enter() - gives a fragment its place in the order of writes
 * @io: the fragment, split off, with all it needs
 *
 * Context: Any.
 */
void ca_zoned_enter(struct dm_crypt_io *io)
{
	struct ca_zoned *zoned = &io->ca->zoned;
	unsigned long flags;

	spin_lock_irqsave(&zoned->lock, flags);
	io->is_order_ready = false;
	list_add_tail(&io->order_entry, &zoned->order);
	spin_unlock_irqrestore(&zoned->lock, flags);
}

/* Takes the oldest fragment off the list. Return: NULL if there is none, or it is not converted. */
static struct dm_crypt_io *take_next(struct ca_zoned *zoned)
{
	struct dm_crypt_io *io;

	lockdep_assert_held(&zoned->lock);
	io = list_first_entry_or_null(&zoned->order, struct dm_crypt_io, order_entry);
	if (!io || !io->is_order_ready)
		return NULL;
	list_del(&io->order_entry);
	return io;
}

/* Submits from the head of the list; one thread at a time, a work item's. */
static void submit_ready(struct ca_zoned *zoned)
{
	struct dm_crypt_io *io;

	spin_lock_irq(&zoned->lock);
	while ((io = take_next(zoned))) {
		spin_unlock_irq(&zoned->lock);
		ca_latency_end(&io->ca->latency, true, CA_PHASE_QUEUE, &io->queued_at);
		/*
		 * Behind a part that failed, the zone's write pointer is not where this one
		 * belongs.
		 */
		if (READ_ONCE(io->base->status))
			ca_submit_drop(io, false);
		else
			ca_submit_write(io);
		cond_resched();
		spin_lock_irq(&zoned->lock);
	}
	spin_unlock_irq(&zoned->lock);
}

/* The lower device may allocate memory: reclaim must not come back to this device for that. */
static void zoned_submit_work(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();

	submit_ready(container_of(work, struct ca_zoned, work));
	memalloc_noio_restore(noio);
}

/**
 * ca_zoned_leave() - takes a fragment that failed out of the order
 * @io: the fragment, owned by the caller
 *
 * The work item looks whether others waited for it. Those of the same base must see the error, so
 * that it is noted first.
 *
 * Context: Any.
 */
void ca_zoned_leave(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;
	unsigned long flags;

	ca_base_fail(io->base, BLK_STS_IOERR);
	spin_lock_irqsave(&ca->zoned.lock, flags);
	list_del(&io->order_entry);
	spin_unlock_irqrestore(&ca->zoned.lock, flags);
	ca_workers_queue_submission(&ca->workers, &ca->zoned.work);
}

/**
 * ca_zoned_submit() - has a converted fragment submitted when it is its turn
 * @io: the fragment, owned by the caller, which must not touch it afterwards
 *
 * Context: Any.
 */
void ca_zoned_submit(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;
	unsigned long flags;

	io->queued_at = ca_latency_begin(&ca->latency);
	/* Under the lock: after it another thread may submit the fragment, and all may be gone. */
	spin_lock_irqsave(&ca->zoned.lock, flags);
	io->is_order_ready = true;
	if (list_is_first(&io->order_entry, &ca->zoned.order))
		ca_workers_queue_submission(&ca->workers, &ca->zoned.work);
	spin_unlock_irqrestore(&ca->zoned.lock, flags);
}

/**
 * ca_zoned_init() - makes a device's order of writes
 * @zoned: the order; the caller has set is_ordered, to true or false
 */
void ca_zoned_init(struct ca_zoned *zoned)
{
	spin_lock_init(&zoned->lock);
	INIT_LIST_HEAD(&zoned->order);
	INIT_WORK(&zoned->work, zoned_submit_work);
}
