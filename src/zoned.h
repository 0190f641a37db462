/* SPDX-License-Identifier: GPL-2.0-only */
/* Zoned devices: writes reach the lower device in the order in which they came. */
#ifndef CA_ZONED_H
#define CA_ZONED_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct dm_crypt_io;

/**
 * struct ca_zoned - the order of writes of a device
 * @is_ordered: the device is zoned, so that the rest is used; immutable after ctr
 * @lock: protects @order and membership in it; taken in any context
 * @order: write fragments that have been split off and not yet submitted, the oldest first
 * @work: submits from the head of it
 */
struct ca_zoned {
	bool is_ordered;
	spinlock_t lock;	/* see above */
	struct list_head order;
	struct work_struct work;
};

void ca_zoned_init(struct ca_zoned *zoned);
void ca_zoned_enter(struct dm_crypt_io *io);
void ca_zoned_leave(struct dm_crypt_io *io);
void ca_zoned_submit(struct dm_crypt_io *io);

#endif /* CA_ZONED_H */
