// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delays writes to zoned devices until map has returned. The device mapper before Linux 6.10 needs
 * that (see compat.h). A write is redirected to a disk that is never added: the block layer hands
 * it back from there, in the submitter, as soon as the device mapper is done with it.
 */
#include "zoned_redirect.h"

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/limits.h>
#include <linux/module.h>

#include "../dm-crypt-async.h"
#include "map.h"

#if CA_WRITES_AFTER_MAP
static void begin_write(struct bio *bio)
{
	struct ca_device *ca = bio->bi_bdev->bd_disk->private_data;
	struct gendisk *whole = dm_disk(dm_table_get_md(ca->ti->table));

	/*
	 * When the bio ends, the device mapper looks up the zones of its device: of the mapped one.
	 */
	bio_set_dev(bio, whole->part0);
	/*
	 * If it goes to the lower device itself, it is traced and charged there, not on our disk.
	 */
	bio_clear_flag(bio, BIO_TRACE_COMPLETION);
	bio_clear_flag(bio, BIO_CGROUP_ACCT);
	ca_map(ca, bio);
}

static const struct block_device_operations redirect_ops = {
	.owner		= THIS_MODULE,
	.submit_bio	= begin_write,
};

/**
 * ca_zoned_redirect_init() - makes the disk through which a device's writes go
 * @ca: the device
 *
 * Return: 0, without a disk if none is needed; or a negative errno.
 */
int ca_zoned_redirect_init(struct ca_device *ca)
{
	struct gendisk *disk;

	if (!ca->zoned.is_ordered)
		return 0;
	/* When a bio comes back from the disk, dm_accept_partial_bio() can no longer shorten it. */
	if (WARN_ON_ONCE(ca->meta.max_sectors))
		return -EINVAL;
	disk = ca_alloc_disk();
	if (!disk)
		return -ENOMEM;
	disk->fops = &redirect_ops;
	disk->private_data = ca;
	set_capacity(disk, LLONG_MAX >> SECTOR_SHIFT);
	/* The device that a bio came to has decided what the bio may ask for. */
	blk_queue_write_cache(disk->queue, true, true);
	blk_queue_flag_set(QUEUE_FLAG_NOWAIT, disk->queue);
	ca->zoned_redirect = disk;
	return 0;
}

/**
 * ca_zoned_redirect_exit() - frees the disk
 * @ca: the device, with no bio in flight
 *
 * The device mapper waits for tasks that are in map, but not for a task that is still on its way
 * back from begin_write() when the write has ended.
 */
void ca_zoned_redirect_exit(struct ca_device *ca)
{
	if (!ca->zoned_redirect)
		return;
	blk_mq_freeze_queue(ca->zoned_redirect->queue);
	put_disk(ca->zoned_redirect);
}
#else
int ca_zoned_redirect_init(struct ca_device *ca)
{
	return 0;
}

void ca_zoned_redirect_exit(struct ca_device *ca)
{
}
#endif
