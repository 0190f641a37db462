// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-crypt-async: the device-mapper target "crypt-async".
 *
 * Takes dm-crypt's table line and writes dm-crypt's bytes:
 *
 *	<cipher> <key> <iv_offset> <device> <offset> [<number of options> <options>]
 *
 * This file has the functions that the device mapper calls. A read or write goes on in src/map.c.
 */
#include "dm-crypt-async.h"

#include <linux/audit.h>
#include <linux/blkdev.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/string.h>

#include "src/account.h"
#include "src/cipher.h"
#include "src/device.h"
#include "src/key.h"
#include "src/latency.h"
#include "src/map.h"
#include "src/meta.h"
#include "src/names.h"
#include "src/pages.h"
#include "src/stats.h"
#include "src/table.h"
#include "src/tune.h"
#include "src/watchdog.h"

#define DM_MSG_PREFIX	CA_NAME

/* A key among the words must not stay in the memory that the device mapper frees. */
static void blank_words(unsigned int first, unsigned int argc, char **argv)
{
	for (; first < argc; first++)
		memset(argv[first], '0', strlen(argv[first]));
}

static int ca_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	int err = ca_device_init(ti, argc, argv);

	blank_words(1, min(argc, 2U), argv);
	dm_audit_log_ti(AUDIT_DM_CTRL, ca_names_shown(ti), "ctr", ti, !err);
	return err;
}

static void ca_dtr(struct dm_target *ti)
{
	ca_device_exit(ti->private);
	dm_audit_log_ti(AUDIT_DM_CTRL, ca_names_shown(ti), "dtr", ti, 1);
}

/* --------------------------------------------------------------- suspend and messages */

static void postsuspend(struct dm_target *ti)
{
	struct ca_device *ca = ti->private;

	mutex_lock(&ca->cipher.key.lock);
	ca->cipher.key.is_suspended = true;
	mutex_unlock(&ca->cipher.key.lock);
}

/* Another target of the table may yet refuse, and then all of them stay suspended. */
static int preresume(struct dm_target *ti)
{
	struct ca_device *ca = ti->private;
	bool is_valid;

	mutex_lock(&ca->cipher.key.lock);
	is_valid = ca->cipher.key.is_valid;
	mutex_unlock(&ca->cipher.key.lock);
	if (is_valid)
		return 0;
	DMERR("%s: has no key and stays suspended: send it the message 'key set'",
	      dm_table_device_name(ti->table));
	return -EAGAIN;
}

/*
 * I/O comes when this has returned, so no message may change the key any more. One that took it
 * away since preresume() cannot be refused now: then nothing may be written.
 */
static void resume(struct dm_target *ti)
{
	struct ca_device *ca = ti->private;
	bool is_valid;

	mutex_lock(&ca->cipher.key.lock);
	ca->cipher.key.is_suspended = false;
	is_valid = ca->cipher.key.is_valid;
	mutex_unlock(&ca->cipher.key.lock);
	if (is_valid)
		return;
	ca_watchdog_break(&ca->watchdog);
	DMERR("%s: lost its key while it was resumed: writes are refused from now on",
	      dm_table_device_name(ti->table));
}

/* key get, at any time; key set <key>, key wipe. */
static int message_key(struct ca_device *ca, unsigned int argc, char **argv, char *result,
		       unsigned int maxlen)
{
	if (!strcasecmp(argv[1], "get"))
		return argc == 2 ? ca_key_get(&ca->cipher.key, result, maxlen) : -EINVAL;
	if (ca->cipher.key.is_suspended)
		return ca_key_message(&ca->cipher, argc, argv);
	DMWARN("%s: its key can be changed only while it is suspended",
	       ca_device_name(ca));
	return -EINVAL;
}

/*
 * Only the resume that comes after a message may let I/O on, so no allocation may wait for I/O that
 * may be this device's.
 */
static int ca_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
		      unsigned int maxlen)
{
	unsigned int noio = memalloc_noio_save();
	struct ca_device *ca = ti->private;
	int err = -EINVAL;

	mutex_lock(&ca->cipher.key.lock);
	if (argc > 1 && !strcasecmp(argv[0], "key"))
		err = message_key(ca, argc, argv, result, maxlen);
	else if (argc > 1 && !strcasecmp(argv[0], "tune"))
		err = ca_tune_message(ca, argc - 1, argv + 1);
	else if (argc && !strcasecmp(argv[0], "latency"))
		err = ca_latency_message(&ca->latency, argc - 1, argv + 1, result, maxlen);
	else
		DMWARN("unknown message: use key, tune or latency");
	mutex_unlock(&ca->cipher.key.lock);
	memalloc_noio_restore(noio);
	blank_words(2, argc, argv);
	return err;
}

/* --------------------------------------------------------------------------------- I/O */

/* Whether a bio has nothing to convert: flushes, discards, and operations on whole zones. */
static bool carries_no_data(const struct bio *bio)
{
	return bio_op(bio) == REQ_OP_DISCARD || op_is_zone_mgmt(bio_op(bio)) ||
	       (bio->bi_opf & REQ_PREFLUSH && !bio_sectors(bio));
}

/* A broken device changes nothing on the disk; a flush still passes, for writes made before. */
static int pass_through(struct ca_device *ca, struct bio *bio)
{
	if (bio_op(bio) != REQ_OP_WRITE && ca_watchdog_is_broken(&ca->watchdog))
		return DM_MAPIO_KILL;
	bio_set_dev(bio, ca->dev->bdev);
	if (bio_sectors(bio) || op_is_zone_mgmt(bio_op(bio)))
		bio->bi_iter.bi_sector = ca->start +
					 dm_target_offset(ca->ti, bio->bi_iter.bi_sector);
	return DM_MAPIO_REMAPPED;
}

static int map(struct dm_target *ti, struct bio *bio)
{
	struct ca_device *ca = ti->private;
	enum req_op op = bio_op(bio);

	if (unlikely((op != REQ_OP_READ && op != REQ_OP_WRITE) || !bio_sectors(bio)))
		return carries_no_data(bio) ? pass_through(ca, bio) : DM_MAPIO_KILL;
	/* A unit begins at a multiple of its size on the mapped device, not in the target. */
	if (bio->bi_iter.bi_sector & ((1 << ca->unit_shift) - 1) ||
	    bio->bi_iter.bi_size & (ca->unit_size - 1))
		return DM_MAPIO_KILL;

	if (op == REQ_OP_WRITE && ca_watchdog_is_broken(&ca->watchdog))
		return DM_MAPIO_KILL;
	if (unlikely(ca->zoned_redirect && op == REQ_OP_WRITE)) {
		bio_set_dev(bio, ca->zoned_redirect->part0);
		return DM_MAPIO_REMAPPED;
	}
	ca_map(ca, bio);
	return DM_MAPIO_SUBMITTED;
}

/* --------------------------------------------------------------------------- reporting */

static void status(struct dm_target *ti, status_type_t type, unsigned int flags,
		   char *result, unsigned int maxlen)
{
	struct ca_device *ca = ti->private;

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

#ifdef CONFIG_BLK_DEV_ZONED
/*
 * A disk that has vanished reports no zone and no error. The device mapper would ask for the same
 * zone again, for ever, so that no zone is an error here. Each zone adds one to zone_idx.
 */
static int report_lower_zones(struct dm_target *ti, struct dm_report_zones_args *args,
			      unsigned int nr_zones)
{
	const struct ca_device *ca = ti->private;
	const unsigned int before = args->zone_idx;
	int ret;

	ret = dm_report_zones(ca->dev->bdev, ca->start,
			      ca->start + dm_target_offset(ti, args->next_sector),
			      args, nr_zones);
	return ret >= 0 && nr_zones && args->zone_idx == before ? -EIO : ret;
}
#else
#define report_lower_zones NULL
#endif

/* A unit is the smallest thing that can be written. */
static void io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	const struct ca_device *ca = ti->private;

	limits->logical_block_size = max(limits->logical_block_size, ca->unit_size);
	limits->physical_block_size = max(limits->physical_block_size, ca->unit_size);
	limits->io_min = max(limits->io_min, ca->unit_size);
	/*
	 * Programs' memory comes in whole units, as with dm-crypt. Units in any pieces would do,
	 * but the device mapper's own limits begin at 511: once they begin at 0, this line can go.
	 */
	limits->dma_alignment = limits->logical_block_size - 1;
	if (ti->emulate_zone_append)
		ca_limit_zone_writes(limits);
	/* The page for metadata, or the limit of bounce pages, may not do for more. */
	ca_limit_atomic_writes(limits, ca->meta.size ? 0 : ca_pages_max_atomic_bytes(&ca->pages));
}

/* ------------------------------------------------------------------------------ module */

static struct target_type crypt_async_target = {
	.name		 = CA_NAME,
	.version	 = { CA_VERSION_MAJOR, CA_VERSION_MINOR, CA_VERSION_PATCH },
	.module		 = THIS_MODULE,
	.features	 = CA_TARGET_NOWAIT | DM_TARGET_ZONED_HM | DM_TARGET_ATOMIC_WRITES,
	.report_zones	 = report_lower_zones,
	.ctr		 = ca_ctr,
	.dtr		 = ca_dtr,
	.map		 = map,
	.status		 = status,
	.postsuspend	 = postsuspend,
	.preresume	 = preresume,
	.resume		 = resume,
	.message	 = ca_message,
	.iterate_devices = iterate_devices,
	.io_hints	 = io_hints,
};

static int __init crypt_async_init(void)
{
	int err;

	err = ca_accounts_init();
	if (err)
		return err;
	/* A target can be used as soon as it is registered, so that comes last. */
	err = ca_names_init(&crypt_async_target);
	if (err)
		ca_accounts_exit();
	return err;
}
module_init(crypt_async_init);

static void __exit crypt_async_exit(void)
{
	ca_names_exit();
	ca_accounts_exit();
}
module_exit(crypt_async_exit);

MODULE_DESCRIPTION("device-mapper target for transparent encryption with asynchronous crypto");
MODULE_AUTHOR("The dm-crypt-async maintainers");
MODULE_LICENSE("GPL");
MODULE_VERSION(CA_VERSION);
MODULE_ALIAS("dm-" CA_NAME);
/* Since Linux 7 xts(aes) is found without the fast driver, and nothing asks for that one. */
MODULE_SOFTDEP("pre: aesni_intel");
