/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device: what all parts of dm-crypt-async share. Each part has its own header, with its
 * structure, the lock of each field and its functions; the device is made of these structures.
 *
 * "Sector" is always 512 bytes; a "unit" (a crypto data unit) is one encryption sector, 512 to 4096
 * bytes, which has one IV and takes one crypto request.
 */
#ifndef DM_CRYPT_ASYNC_H
#define DM_CRYPT_ASYNC_H

#include <linux/bits.h>
#include <linux/device-mapper.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/stringify.h>
#include <linux/types.h>

#include "src/cipher.h"
#include "src/dispatch.h"
#include "src/fragment.h"
#include "src/inflight.h"
#include "src/latency.h"
#include "src/meta.h"
#include "src/pages.h"
#include "src/softirq.h"
#include "src/split.h"
#include "src/stats.h"
#include "src/table.h"
#include "src/watchdog.h"
#include "src/workers.h"
#include "src/writers.h"
#include "src/zoned.h"

#define CA_NAME			"crypt-async"
#define CA_DM_CRYPT_NAME	"crypt"	/* the kernel's own target; see replace_dm_crypt */
#define CA_VERSION_MAJOR	0
#define CA_VERSION_MINOR	2
#define CA_VERSION_PATCH	0
#define CA_VERSION		__stringify(CA_VERSION_MAJOR) "." \
				__stringify(CA_VERSION_MINOR) "." \
				__stringify(CA_VERSION_PATCH)

struct gendisk;

/**
 * struct ca_device - a target: one line of a mapped device's table
 *
 * Immutable after ctr, read without a lock:
 * @ti: the device mapper's structure for it
 * @dev: the lower device
 * @start: where the data begins on it, in sectors
 * @iv_offset: added to the sector number before an IV is made, in sectors
 * @options: bits of enum ca_option
 * @unit_size: bytes
 * @unit_shift: log2 of sectors in a unit
 * @cipher: transforms and key
 * @meta: metadata of units
 * @zoned_redirect: a disk from which writes come back when map has returned, or NULL
 * @stats: counters
 * @inflight: base bios of each CPU
 * @softirqs: the soft interrupt of each CPU
 *
 * @name_entry: among the devices of a name of the target; see names.c for its lock
 *
 * The parts' own, see their headers:
 * @dispatch: policy
 * @fragments: pools
 * @split: splitters
 * @pages: bounce pages
 * @workers: threads
 * @writers: those of them that submit writes
 * @zoned: the order of writes
 * @latency: histograms
 * @watchdog: the watchdog
 */
struct ca_device {
	struct dm_target *ti;
	struct dm_dev *dev;
	sector_t start;
	u64 iv_offset;
	unsigned long options;
	unsigned int unit_size;
	unsigned int unit_shift;
	struct ca_cipher cipher;
	struct ca_meta meta;
	struct gendisk *zoned_redirect;
	struct ca_stats __percpu *stats;
	struct ca_inflight __percpu *inflight;
	struct ca_softirq __percpu *softirqs;

	struct list_head name_entry;

	struct ca_dispatch dispatch;
	struct ca_fragments fragments;
	struct ca_split split;
	struct ca_pages pages;
	struct ca_workers workers;
	struct ca_writers writers;
	struct ca_zoned zoned;
	struct ca_latency latency;
	struct ca_watchdog watchdog;
};

static inline bool ca_has(const struct ca_device *ca, enum ca_option option)
{
	return ca->options & BIT(option);
}

/* The name of the mapped device, for messages. */
static inline const char *ca_device_name(const struct ca_device *ca)
{
	return dm_table_device_name(ca->ti->table);
}

#endif /* DM_CRYPT_ASYNC_H */
