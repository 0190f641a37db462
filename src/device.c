// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes a device of a table line, part by part, and frees it. The arguments are read in an order in
 * which the first of several mistakes is the one that dm-crypt reports.
 */
#include "device.h"

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/kernel.h>
#include <linux/slab.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "dispatch.h"
#include "fragment.h"
#include "inflight.h"
#include "key.h"
#include "latency.h"
#include "meta.h"
#include "names.h"
#include "pages.h"
#include "softirq.h"
#include "stats.h"
#include "submit.h"
#include "table.h"
#include "watchdog.h"
#include "workers.h"
#include "writers.h"
#include "zoned.h"
#include "zoned_redirect.h"

static const char *get_iv_offset(struct ca_device *ca, const char *arg, int *err)
{
	*err = -EINVAL;
	if (!ca_is_number(arg) || kstrtoull(arg, 10, &ca->iv_offset))
		return "iv_offset: not a decimal number of sectors";
	if (ca->iv_offset & ((1ULL << ca->unit_shift) - 1))
		return "iv_offset: not a multiple of sector_size";
	return NULL;
}

static const char *get_start(struct ca_device *ca, const char *arg)
{
	u64 start;

	if (!ca_is_number(arg) || kstrtoull(arg, 10, &start) || start != (sector_t)start)
		return "offset: not a decimal number of sectors";
	ca->start = start;
	return NULL;
}

/* A fragment may be a page long, and no shorter than the device's block. */
static const char *check_device(struct block_device *bdev, int *err)
{
	if (bdev_logical_block_size(bdev) <= PAGE_SIZE)
		return NULL;
	*err = -EOPNOTSUPP;
	return "device: logical blocks larger than a page are not supported";
}

/* The device comes before the offset: the first of several mistakes is dm-crypt's as well. */
static const char *open_device(struct ca_device *ca, const char *path, const char *offset, int *err)
{
	const char *error;

	*err = dm_get_device(ca->ti, path, dm_table_get_mode(ca->ti->table), &ca->dev);
	if (*err)
		return "device: cannot be opened";
	ca->zoned.is_ordered = bdev_is_zoned(ca->dev->bdev);

	*err = -EINVAL;
	error = get_start(ca, offset) ?: check_device(ca->dev->bdev, err);
	if (error)
		dm_put_device(ca->ti, ca->dev);
	return error;
}

static void set_features(struct ca_device *ca)
{
	struct dm_target *ti = ca->ti;

	ti->num_flush_bios = 1;
	ti->limit_swap_bios = true;
	ti->accounts_remapped_io = true;
	/* With an append, the sector and with it the IV would be known only afterwards. */
	ti->emulate_zone_append = ca->zoned.is_ordered;
	if (ca_has(ca, CA_OPT_ALLOW_DISCARDS))
		ti->num_discard_bios = 1;
}

static int init_percpu(struct ca_device *ca)
{
	ca->stats = alloc_percpu(struct ca_stats);
	ca->inflight = ca_inflight_alloc();
	ca->softirqs = ca_softirq_alloc();
	return ca->stats && ca->inflight && ca->softirqs ? 0 : -ENOMEM;
}

static void exit_percpu(struct ca_device *ca)
{
	if (ca->softirqs)
		ca_softirq_free(ca->softirqs);
	free_percpu(ca->inflight);
	free_percpu(ca->stats);
}

/* Everything that I/O needs, when the table line has been read. Return: 0 or a negative errno. */
static int init_io(struct ca_device *ca)
{
	int err;

	ca_dispatch_init(ca);
	ca_zoned_init(&ca->zoned);
	ca_watchdog_init(&ca->watchdog);
	atomic_set(&ca->split.waiting, 0);
	err = init_percpu(ca);
	if (err)
		goto exit_percpu;
	err = ca_fragments_init(ca);
	if (err)
		goto exit_percpu;
	err = ca_pages_init(&ca->pages);
	if (err)
		goto exit_fragments;
	err = ca_workers_init(ca);
	if (err)
		goto exit_pages;
	ca_writers_init(&ca->writers, &ca->workers, ca_submit_list);
	err = ca_zoned_redirect_init(ca);
	if (err)
		goto exit_workers;
	return 0;

exit_workers:
	ca_workers_exit(&ca->workers);
exit_pages:
	ca_pages_exit(&ca->pages);
exit_fragments:
	ca_fragments_exit(&ca->fragments);
exit_percpu:
	exit_percpu(ca);
	return err;
}

static void exit_io(struct ca_device *ca)
{
	ca_zoned_redirect_exit(ca);
	ca_watchdog_exit(&ca->watchdog);
	ca_writers_exit(&ca->writers);
	ca_workers_exit(&ca->workers);
	ca_pages_exit(&ca->pages);
	ca_fragments_exit(&ca->fragments);
	exit_percpu(ca);
}

/**
 * ca_device_init() - makes a device of a table line
 * @ti: the target, whose private data it becomes
 * @argc: words behind the target's name
 * @argv: these
 *
 * Return: 0; or a negative errno, with ti->error set and nothing left to undo.
 */
int ca_device_init(struct dm_target *ti, unsigned int argc, char **argv)
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

	/* Done first: the name cannot be given up from here on, and the rest may take long. */
	error = "the target is no longer registered under this name";
	err = ca_names_enter(ca);
	if (err)
		goto free_device;
	err = -EINVAL;
	error = ca_table_options(ca, &options);
	if (error)
		goto leave_name;
	error = ca_key_init(&ca->cipher.key, argv[1], &err);
	if (error)
		goto leave_name;
	error = ca_cipher_init(ca, argv[0], &err);
	if (error)
		goto exit_key;
	error = ca_key_load(&ca->cipher, argv[1], &err);
	if (error)
		goto exit_cipher;

	error = get_iv_offset(ca, argv[2], &err) ?: open_device(ca, argv[3], argv[4], &err);
	if (error)
		goto exit_cipher;
	error = ca_meta_init(ca, &err);
	if (error)
		goto put_device;

	error = "out of memory";
	err = init_io(ca);
	if (err)
		goto exit_meta;
	set_features(ca);
	ti->private = ca;
	return 0;

exit_meta:
	ca_meta_exit(&ca->meta);
put_device:
	dm_put_device(ti, ca->dev);
exit_cipher:
	ca_cipher_exit(&ca->cipher);
exit_key:
	ca_key_exit(&ca->cipher.key);
leave_name:
	ca_names_leave(ca);
free_device:
	kfree(ca);
	ti->error = (char *)error;
	return err;
}

/**
 * ca_device_exit() - frees a device
 * @ca: the device, with no bio in flight
 */
void ca_device_exit(struct ca_device *ca)
{
	ca_names_leave(ca);
	exit_io(ca);
	ca_latency_exit(&ca->latency);
	ca_meta_exit(&ca->meta);
	dm_put_device(ca->ti, ca->dev);
	ca_cipher_exit(&ca->cipher);
	ca_key_exit(&ca->cipher.key);
	kfree(ca);
}
