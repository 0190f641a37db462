/* SPDX-License-Identifier: GPL-2.0-only */
/* The watchdog: crypto drivers that do not answer, and states of our own that cannot be. */
#ifndef CA_WATCHDOG_H
#define CA_WATCHDOG_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct ca_device;
struct dm_crypt_io;

/**
 * struct ca_watchdog - a device's watchdog
 * @lock: protects the list and a fragment's membership in it; taken in any context
 * @watched: fragments with a request that the crypto driver did not complete at once, until their
 *	conversion is over
 * @work: looks through the list; asleep while it is empty
 * @is_broken: the module found a state of its own that cannot be, or the key went while the device
 *	was resumed: the device refuses writes from then on. Set once and never cleared; read
 *	without a lock
 */
struct ca_watchdog {
	spinlock_t lock;	/* see above */
	struct list_head watched;
	struct delayed_work work;
	unsigned long is_broken;
};

static inline bool ca_watchdog_is_broken(const struct ca_watchdog *watchdog)
{
	return unlikely(READ_ONCE(watchdog->is_broken));
}

void ca_watchdog_init(struct ca_watchdog *watchdog);
void ca_watchdog_exit(struct ca_watchdog *watchdog);
bool ca_watchdog_break(struct ca_watchdog *watchdog);
void ca_watchdog_state_error(struct ca_device *ca, const char *what, int from, int to);
void ca_watch(struct dm_crypt_io *io);
void ca_unwatch(struct dm_crypt_io *io);

#endif /* CA_WATCHDOG_H */
