// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes to zoned devices that begin when map has returned, for kernels whose device mapper needs
 * that (see compat.h). A write is remapped to a disk that nobody sees: the block layer hands it on
 * from there, in the submitter, as soon as the device mapper is done with it.
 */
#include "dm-crypt-async.h"

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/limits.h>
#include <linux/module.h>

#if CA_WRITES_AFTER_MAP
static void begin_write(struct bio *bio)
{
	struct ca_device *ca = bio->bi_bdev->bd_disk->private_data;
	struct gendisk *whole = dm_disk(dm_table_get_md(ca->ti->table));

	/* At its end the device mapper looks for the zones of the device that it came to. */
	bio_set_dev(bio, whole->part0);
	/* If it goes below itself, it is traced and charged there, not as what came to our disk. */
	bio_clear_flag(bio, BIO_TRACE_COMPLETION);
	bio_clear_flag(bio, BIO_CGROUP_ACCT);
	ca_io_map(ca, bio);
}

static const struct block_device_operations after_map_ops = {
	.owner		= THIS_MODULE,
	.submit_bio	= begin_write,
};

/**
 * ca_after_map_init() - makes the disk over which a device's writes go
 * @ca: the device
 *
 * Return: 0, without a disk if there is no need for one, or a negative error.
 */
int ca_after_map_init(struct ca_device *ca)
{
	struct gendisk *disk;

	if (!ca->in_order)
		return 0;
	/* It would be too late to take less than all of a bio. */
	if (WARN_ON_ONCE(ca->most_sectors))
		return -EINVAL;
	disk = ca_alloc_disk();
	if (!disk)
		return -ENOMEM;
	disk->fops = &after_map_ops;
	disk->private_data = ca;
	set_capacity(disk, LLONG_MAX >> SECTOR_SHIFT);
	/* What a bio asks for is decided by the device that it came to. */
	blk_queue_write_cache(disk->queue, true, true);
	blk_queue_flag_set(QUEUE_FLAG_NOWAIT, disk->queue);
	ca->after_map = disk;
	return 0;
}

/**
 * ca_after_map_exit() - frees the disk
 * @ca: the device, with no bio in flight
 *
 * The device mapper waits for who is in map, not for who is still on its way back from
 * begin_write() when the write has ended.
 */
void ca_after_map_exit(struct ca_device *ca)
{
	if (!ca->after_map)
		return;
	blk_mq_freeze_queue(ca->after_map->queue);
	put_disk(ca->after_map);
}
#else
int ca_after_map_init(struct ca_device *ca)
{
	return 0;
}

void ca_after_map_exit(struct ca_device *ca)
{
}
#endif
