// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reports fragments whose requests a crypto driver does not answer. It reports and does nothing
 * else: what the driver owns cannot be taken back, and a fragment whose memory it may still write
 * cannot end.
 *
 * Fragments come here with their first request that did not complete at once, so a synchronous
 * cipher never does. Their age is the time since the converter last handed the driver a request.
 * Log lines are rate-limited, the counter is not.
 */
#include "dm-crypt-async.h"

#include <linux/jiffies.h>
#include <linux/moduleparam.h>

#define DM_MSG_PREFIX	CA_NAME

/* How often the watchdog looks while there is something to watch. */
#define TICK	HZ

static unsigned int driver_timeout = 30;
module_param(driver_timeout, uint, 0644);
MODULE_PARM_DESC(driver_timeout,
		 "Report what a crypto driver has not answered for so many seconds, 0 for never");

struct overdue {
	unsigned int seconds;
	bool write;
	unsigned int bytes;
	u64 sector;
};

/* Marks a fragment that is overdue and has not been reported. Return: whether there is one. */
static bool find_overdue(struct ca_device *ca, struct overdue *found)
{
	unsigned long limit = READ_ONCE(driver_timeout) * (unsigned long)HZ;
	struct dm_crypt_io *io;
	bool any = false;

	spin_lock_irq(&ca->watch_lock);
	list_for_each_entry(io, &ca->watched, watch_entry) {
		unsigned long asked = READ_ONCE(io->asked);
		long age = jiffies - asked;

		/* cppcheck-suppress uninitvar ; it does not see through the list */
		if (!limit || age < (long)limit || io->reported)
			continue;
		io->reported = true;
		found->seconds = age / HZ;
		found->write = bio_data_dir(io->base_bio) == WRITE;
		found->bytes = io->bytes;
		found->sector = ca->ti->begin + io->sector;
		any = true;
		break;
	}
	spin_unlock_irq(&ca->watch_lock);
	return any;
}

static void look(struct work_struct *work)
{
	struct ca_device *ca = container_of(work, struct ca_device, watchdog.work);
	struct overdue found;

	while (find_overdue(ca, &found)) {
		DMERR_LIMIT("%s: %s has not answered for %u s: %s of %u bytes at sector %llu",
			    dm_table_device_name(ca->ti->table), ca_cipher_driver(&ca->cipher),
			    found.seconds, found.write ? "write" : "read", found.bytes,
			    found.sector);
		ca_count(ca, CA_STAT_OVERDUE);
	}
	if (!list_empty_careful(&ca->watched))
		schedule_delayed_work(&ca->watchdog, TICK);
}

/**
 * ca_watch() - keeps an eye on a fragment that has handed a request to the crypto driver
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
	spin_lock_irqsave(&ca->watch_lock, flags);
	io->reported = false;
	list_add_tail(&io->watch_entry, &ca->watched);
	spin_unlock_irqrestore(&ca->watch_lock, flags);
	schedule_delayed_work(&ca->watchdog, TICK);
}

/**
 * ca_watch_no_more() - the requests of a fragment that is watched are all answered
 * @io: the fragment, owned by the caller
 *
 * Context: Any.
 */
void ca_watch_no_more(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;
	unsigned long flags;

	spin_lock_irqsave(&ca->watch_lock, flags);
	list_del(&io->watch_entry);
	spin_unlock_irqrestore(&ca->watch_lock, flags);
	io->is_watched = false;
}

/**
 * ca_watchdog_init() - makes a device's watchdog, which sleeps until there is something to watch
 * @ca: the device
 */
void ca_watchdog_init(struct ca_device *ca)
{
	spin_lock_init(&ca->watch_lock);
	INIT_LIST_HEAD(&ca->watched);
	INIT_DELAYED_WORK(&ca->watchdog, look);
}

/**
 * ca_watchdog_exit() - stops the watchdog
 * @ca: the device, with no fragment in flight
 */
void ca_watchdog_exit(struct ca_device *ca)
{
	cancel_delayed_work_sync(&ca->watchdog);
}
