// SPDX-License-Identifier: GPL-2.0-only
/*
 * The watchdog reports fragments whose requests a crypto driver does not answer, and states of this
 * module that cannot be.
 *
 * After a wrong state the device refuses writes, since wrong data might reach the disk. A request
 * that is late is reported, and nothing else is done: memory that the driver owns cannot be taken
 * back, and a fragment whose memory it may still write cannot end. Fragments are watched from their
 * first request that did not complete at once, so a synchronous cipher costs nothing here. Their
 * age is the time since the converter last handed the driver a request. Log lines are rate-limited,
 * the counters are not.
 */
#include "watchdog.h"

#include <linux/bitops.h>
#include <linux/jiffies.h>
#include <linux/moduleparam.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "decide.h"
#include "fragment.h"
#include "stats.h"

#define DM_MSG_PREFIX	CA_NAME

/* How often the watchdog looks while there is something to watch. */
#define TICK	HZ

static unsigned int driver_timeout = 30;
module_param(driver_timeout, uint, 0644);
MODULE_PARM_DESC(driver_timeout,
		 "Report a crypto request that is not answered within so many seconds, 0 for never");

struct overdue {
	unsigned int seconds;
	bool is_write;
	unsigned int bytes;
	u64 sector;
};

/* Marks a fragment that is overdue and not reported yet. Return: whether there is one. */
static bool find_overdue(struct ca_device *ca, struct overdue *found)
{
	unsigned int limit = READ_ONCE(driver_timeout);
	struct dm_crypt_io *io;
	bool any = false;

	spin_lock_irq(&ca->watchdog.lock);
	list_for_each_entry(io, &ca->watchdog.watched, watch_entry) {
		unsigned long asked = READ_ONCE(io->asked);
		long age = jiffies - asked;

		/* cppcheck-suppress uninitvar ; it does not see through the list */
		if (io->is_reported || !ca_is_overdue(age, HZ, limit))
			continue;
		io->is_reported = true;
		found->seconds = age / HZ;
		found->is_write = io->is_write;
		found->bytes = io->bytes;
		found->sector = ca->ti->begin + io->sector;
		any = true;
		break;
	}
	spin_unlock_irq(&ca->watchdog.lock);
	return any;
}

static void watchdog_fn(struct work_struct *work)
{
	struct ca_device *ca = container_of(work, struct ca_device, watchdog.work.work);
	struct overdue found;

	while (find_overdue(ca, &found)) {
		DMERR_LIMIT("%s: %s has not answered for %u s: %s of %u bytes at sector %llu",
			    ca_device_name(ca), ca_cipher_driver(&ca->cipher),
			    found.seconds, found.is_write ? "write" : "read", found.bytes,
			    found.sector);
		ca_count(ca, CA_STAT_DRIVER_TIMEOUTS);
	}
	if (!list_empty_careful(&ca->watchdog.watched))
		schedule_delayed_work(&ca->watchdog.work, TICK);
}

/**
 * ca_watch() - watches a fragment that has handed a request to the crypto driver
 * @io: the fragment; the caller is its converter and holds its part of ctx.pending
 *
 * Context: Any.
 */
void ca_watch(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;
	unsigned long flags;

	WRITE_ONCE(io->asked, jiffies);
	if (io->is_watched)
		return;
	io->is_watched = true;
	spin_lock_irqsave(&ca->watchdog.lock, flags);
	io->is_reported = false;
	list_add_tail(&io->watch_entry, &ca->watchdog.watched);
	spin_unlock_irqrestore(&ca->watchdog.lock, flags);
	schedule_delayed_work(&ca->watchdog.work, TICK);
}

/**
 * ca_unwatch() - stops watching a fragment, all of whose requests are answered
 * @io: the fragment, watched and owned by the caller
 *
 * Context: Any.
 */
void ca_unwatch(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;
	unsigned long flags;

	spin_lock_irqsave(&ca->watchdog.lock, flags);
	list_del(&io->watch_entry);
	spin_unlock_irqrestore(&ca->watchdog.lock, flags);
	io->is_watched = false;
}

/**
 * ca_watchdog_break() - has the device refuse writes from now on
 * @watchdog: the device's
 *
 * Context: Any.
 * Return: whether it did before.
 */
bool ca_watchdog_break(struct ca_watchdog *watchdog)
{
	return test_and_set_bit(0, &watchdog->is_broken);
}

/**
 * ca_watchdog_state_error() - reports a state of this module that cannot be
 * @ca: the device
 * @what: a sentence for the log, without a full stop
 * @from: the state or count before
 * @to: the state or count that was to follow, or did
 *
 * This is a bug of the module, or memory that something else wrote to. The first one warns, and the
 * device refuses writes from then on, since they might write wrong data; reads go on, so that data
 * can be saved. All are counted.
 *
 * Context: Any.
 */
void ca_watchdog_state_error(struct ca_device *ca, const char *what, int from, int to)
{
	ca_count(ca, CA_STAT_STATE_ERRORS);
	WARN(!ca_watchdog_break(&ca->watchdog),
	     "%s: %s: %s (%d to %d): writes are refused from now on\n", CA_NAME,
	     ca_device_name(ca), what, from, to);
}

/**
 * ca_watchdog_init() - makes a device's watchdog, which sleeps until there is a request to watch
 * @watchdog: the watchdog
 */
void ca_watchdog_init(struct ca_watchdog *watchdog)
{
	spin_lock_init(&watchdog->lock);
	INIT_LIST_HEAD(&watchdog->watched);
	INIT_DELAYED_WORK(&watchdog->work, watchdog_fn);
}

/**
 * ca_watchdog_exit() - stops the watchdog
 * @watchdog: of a device with no fragment in flight
 */
void ca_watchdog_exit(struct ca_watchdog *watchdog)
{
	cancel_delayed_work_sync(&watchdog->work);
}
