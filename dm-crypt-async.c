// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-crypt-async: the device-mapper target "crypt-async".
 *
 * Takes dm-crypt's table line and writes dm-crypt's bytes:
 *
 *	<cipher> <key> <iv_offset> <device> <offset> [<number of options> <options>]
 *
 * This file is the device-mapper's view of it. What happens to a read or write begins in src/io.c.
 */
#include "dm-crypt-async.h"

#include <linux/blkdev.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#define DM_MSG_PREFIX	CA_NAME

/* ------------------------------------------------------------------------- constructor */

static const char *get_iv_offset(struct ca_device *ca, const char *arg)
{
	if (kstrtoull(arg, 10, &ca->iv_offset))
		return "iv_offset: not a decimal number of sectors";
	return NULL;
}

/* A fragment may be a page long, and no shorter than the device's block. */
static const char *check_device(struct block_device *bdev)
{
	if (bdev_is_zoned(bdev))
		return "device: zoned devices are not supported";
	if (bdev_logical_block_size(bdev) > PAGE_SIZE)
		return "device: logical blocks larger than a page are not supported";
	return NULL;
}

static const char *open_device(struct ca_device *ca, const char *path, const char *offset, int *err)
{
	const char *error;
	u64 start;

	*err = -EINVAL;
	if (kstrtoull(offset, 10, &start) || start != (sector_t)start)
		return "offset: not a decimal number of sectors";
	ca->start = start;

	*err = dm_get_device(ca->ti, path, dm_table_get_mode(ca->ti->table), &ca->dev);
	if (*err)
		return "device: cannot be opened";
	error = check_device(ca->dev->bdev);
	if (!error)
		return NULL;
	dm_put_device(ca->ti, ca->dev);
	*err = -EOPNOTSUPP;
	return error;
}

/* Sizes that depend on more than one argument. */
static const char *check_units(const struct ca_device *ca)
{
	u64 mask = (1ULL << ca->unit_shift) - 1;

	if (ca->iv_offset & mask)
		return "iv_offset: not a multiple of sector_size";
	if (ca->ti->len & mask)
		return "length: not a multiple of sector_size";
	return NULL;
}

static void set_features(struct ca_device *ca)
{
	struct dm_target *ti = ca->ti;

	ti->num_flush_bios = 1;
	ti->limit_swap_bios = true;
	ti->accounts_remapped_io = true;
	if (ca_has(ca, CA_OPT_ALLOW_DISCARDS))
		ti->num_discard_bios = 1;
}

static int make_queues(struct ca_device *ca)
{
	int err;

	ca->stats = alloc_percpu(struct ca_stats);
	if (!ca->stats)
		return -ENOMEM;
	err = ca_io_init(ca);
	if (err)
		goto free_stats;
	err = ca_dispatch_init(ca);
	if (err)
		goto free_io;
	ca_watchdog_init(ca);
	return 0;

free_io:
	ca_io_exit(ca);
free_stats:
	free_percpu(ca->stats);
	return err;
}

static int construct(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set options = { .argc = argc - 5, .argv = argv + 5 };
	struct ca_device *ca;
	const char *error;
	int err;

	if (argc < 5) {
		ti->error = "expected <cipher> <key> <iv_offset> <device> <offset> [<options>]";
		return -EINVAL;
	}
	ca = kzalloc(sizeof(*ca), GFP_KERNEL);
	if (!ca) {
		ti->error = "out of memory";
		return -ENOMEM;
	}
	ca->ti = ti;

	error = ca_cipher_init(ca, argv[0], &err);
	if (error)
		goto free_device;
	error = ca_key_load(&ca->cipher, argv[1], &err);
	if (error)
		goto exit_cipher;

	err = -EINVAL;
	error = get_iv_offset(ca, argv[2]) ?: ca_table_options(ca, &options) ?: check_units(ca);
	if (error)
		goto wipe_key;
	error = open_device(ca, argv[3], argv[4], &err);
	if (error)
		goto wipe_key;

	error = "out of memory";
	err = make_queues(ca);
	if (err)
		goto put_device;
	set_features(ca);
	ti->private = ca;
	memset(argv[1], '0', strlen(argv[1]));
	return 0;

put_device:
	dm_put_device(ti, ca->dev);
wipe_key:
	ca_key_wipe(&ca->cipher);
exit_cipher:
	ca_cipher_exit(&ca->cipher);
free_device:
	memset(argv[1], '0', strlen(argv[1]));
	kfree(ca);
	ti->error = (char *)error;
	return err;
}

static void destruct(struct dm_target *ti)
{
	struct ca_device *ca = ti->private;

	ca_watchdog_exit(ca);
	ca_dispatch_exit(ca);
	ca_io_exit(ca);
	free_percpu(ca->stats);
	dm_put_device(ti, ca->dev);
	ca_key_wipe(&ca->cipher);
	ca_cipher_exit(&ca->cipher);
	kfree(ca);
}

/* --------------------------------------------------------------------------------- I/O */

/* Flushes and discards carry no data: they pass as they are. */
static int pass_through(struct ca_device *ca, struct bio *bio)
{
	bio_set_dev(bio, ca->dev->bdev);
	if (bio_sectors(bio))
		bio->bi_iter.bi_sector = ca->start +
					 dm_target_offset(ca->ti, bio->bi_iter.bi_sector);
	return DM_MAPIO_REMAPPED;
}

static int map(struct dm_target *ti, struct bio *bio)
{
	struct ca_device *ca = ti->private;

	if (bio_op(bio) == REQ_OP_DISCARD || (bio->bi_opf & REQ_PREFLUSH && !bio_sectors(bio)))
		return pass_through(ca, bio);
	if ((bio_op(bio) != REQ_OP_READ && bio_op(bio) != REQ_OP_WRITE) || !bio_sectors(bio))
		return DM_MAPIO_KILL;
	if ((bio->bi_iter.bi_sector - ti->begin) & ((1 << ca->unit_shift) - 1) ||
	    bio->bi_iter.bi_size & (ca->unit_size - 1))
		return DM_MAPIO_KILL;

	ca_io_map(ca, bio);
	return DM_MAPIO_SUBMITTED;
}

/* --------------------------------------------------------------------------- reporting */

static void status(struct dm_target *ti, status_type_t type, unsigned int flags,
		   char *result, unsigned int maxlen)
{
	const struct ca_device *ca = ti->private;

	switch (type) {
	case STATUSTYPE_INFO:
		ca_stats_emit(ca, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		ca_table_emit(ca, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		ca_table_measure(ca, result, maxlen);
		break;
	}
}

static int iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct ca_device *ca = ti->private;

	return fn(ti, ca->dev, ca->start, ti->len, data);
}

/* A unit is the smallest thing that can be written, and its memory should come in one piece. */
static void io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	const struct ca_device *ca = ti->private;

	limits->logical_block_size = max(limits->logical_block_size, ca->unit_size);
	limits->physical_block_size = max(limits->physical_block_size, ca->unit_size);
	limits->io_min = max(limits->io_min, ca->unit_size);
	limits->dma_alignment = limits->logical_block_size - 1;
}

/* ------------------------------------------------------------------------------ module */

static struct target_type crypt_async_target = {
	.name		 = CA_NAME,
	.version	 = { CA_VERSION_MAJOR, CA_VERSION_MINOR, CA_VERSION_PATCH },
	.module		 = THIS_MODULE,
	.ctr		 = construct,
	.dtr		 = destruct,
	.map		 = map,
	.status		 = status,
	.iterate_devices = iterate_devices,
	.io_hints	 = io_hints,
};

static int __init crypt_async_init(void)
{
#ifdef CA_SHARED_CONTEXT
	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	DMWARN("built with SHARED_CONTEXT: this module corrupts data, for a test");
#endif
	return dm_register_target(&crypt_async_target);
}
module_init(crypt_async_init);

static void __exit crypt_async_exit(void)
{
	dm_unregister_target(&crypt_async_target);
}
module_exit(crypt_async_exit);

MODULE_DESCRIPTION("device-mapper target for transparent encryption with asynchronous crypto");
MODULE_AUTHOR("The dm-crypt-async maintainers");
MODULE_LICENSE("GPL");
MODULE_VERSION(CA_VERSION);
MODULE_ALIAS("dm-" CA_NAME);
