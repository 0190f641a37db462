// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metadata of units: authentication tags and stored IVs, which the lower device keeps next to the
 * data (dm-integrity, or a disk formatted with metadata). A unit's metadata is
 *
 *	tag | IV, if it is stored | zeros
 *
 * A base bio has at most a page for the metadata of all of its units, which limits its size.
 */
#include "meta.h"

#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "cipher.h"
#include "names.h"
#include "stats.h"

#define DM_MSG_PREFIX	CA_NAME

/* Pages in reserve, as for the other pools; one would be enough. */
#define RESERVE	16

/* Divides the metadata, as the options and the cipher ask for. */
static const char *divide(struct ca_device *ca)
{
	struct ca_cipher *cipher = &ca->cipher;
	unsigned int iv = cipher->stores_iv ? cipher->iv_size : 0;

	if (cipher->aead) {
		if (ca->meta.used < iv || ca_cipher_set_tag_size(cipher, ca->meta.used - iv))
			return "integrity: the cipher does not have tags of this size";
	}
	ca->meta.used = max(ca->meta.used, iv);
	return NULL;
}

/**
 * ca_meta_init() - divides the units' metadata into tag and IV, and checks that the lower device
 *	has room for it
 * @ca: the device, with its cipher and the lower device
 * @err: the errno that goes with the result
 *
 * Return: NULL, or what is wrong, for the user, with nothing allocated.
 */
const char *ca_meta_init(struct ca_device *ca, int *err)
{
	const struct blk_integrity *profile;
	const char *error;

	*err = -EINVAL;
	if (!ca->meta.used && !ca->cipher.stores_iv)
		return NULL;
	if (ca->zoned.is_ordered)
		return "device: zoned devices with metadata are not supported";
	error = divide(ca);
	if (error)
		return error;

	profile = blk_get_integrity(ca->dev->bdev->bd_disk);
	if (!profile || !ca_integrity_is_opaque(profile))
		return "device: has no room for metadata, put it on dm-integrity";
	if (ca_integrity_size(profile) < ca->meta.used)
		return "device: its metadata is too small";
	if (1 << profile->interval_exp != ca->unit_size)
		return "device: its metadata is for sectors of another size";
	/* Nothing to keep there: as with dm-crypt, the lower device is given no metadata. */
	if (!ca->cipher.aead && !ca->cipher.stores_iv)
		return NULL;

	ca->meta.size = ca_integrity_size(profile);
	/* What is left of a larger bio begins here, so this is a whole number of blocks. */
	ca->meta.max_sectors = round_down((PAGE_SIZE / ca->meta.size) << ca->unit_shift,
					  bdev_logical_block_size(ca->dev->bdev) >> SECTOR_SHIFT);
	*err = mempool_init_page_pool(&ca->meta.pages, RESERVE, 0);
	return *err ? "out of memory" : NULL;
}

/**
 * ca_meta_exit() - undoes ca_meta_init()
 * @meta: of a device with nothing in flight
 */
void ca_meta_exit(struct ca_meta *meta)
{
	if (meta->size)
		mempool_exit(&meta->pages);
}

/**
 * ca_meta_get() - gives a base memory for metadata, if the device has any
 * @base: the base
 * @gfp: with or without waiting
 *
 * A page of the pool costs more than a few bytes, since the allocator may clear it. So a page is
 * taken only if nothing else is to be had, or most of it is needed.
 *
 * Return: whether it has all it needs.
 */
bool ca_meta_get(struct ca_base *base, gfp_t gfp)
{
	struct ca_device *ca = base->ca;
	struct page *page;
	unsigned int bytes;

	if (!ca->meta.size || base->meta)
		return true;
	bytes = (base->all.bi_size >> (ca->unit_shift + SECTOR_SHIFT)) * ca->meta.size;
	base->is_meta_pooled = false;
	if (bytes <= PAGE_SIZE / 2)
		base->meta = kmalloc(bytes, GFP_NOWAIT | __GFP_NOWARN);
	if (base->meta)
		return true;
	base->is_meta_pooled = true;
	page = mempool_alloc(&ca->meta.pages, gfp);
	if (page)
		base->meta = page_address(page);
	return page;
}

/**
 * ca_meta_put() - frees a base's memory for metadata
 * @base: the base, which has some
 *
 * Context: Any.
 */
void ca_meta_put(struct ca_base *base)
{
	if (base->is_meta_pooled)
		mempool_free(virt_to_page(base->meta), &base->ca->meta.pages);
	else
		kfree(base->meta);
	base->meta = NULL;
}

/**
 * ca_meta_of() - the metadata of a part of the base bio
 * @base: the base
 * @sector: where the part begins, relative to the target
 *
 * Return: a pointer into the base's memory for metadata; NULL if it has none.
 */
u8 *ca_meta_of(const struct ca_base *base, sector_t sector)
{
	const struct ca_device *ca = base->ca;

	if (!base->meta)
		return NULL;
	return base->meta + ((sector - base->sector) >> ca->unit_shift) * ca->meta.size;
}

/**
 * ca_meta_reserve() - makes a bio one that has metadata
 * @meta: the device's
 * @clone: a bio for the lower device, without pages
 * @gfp: with or without waiting
 *
 * Return: whether that could be done; always, if @gfp allows to wait.
 */
bool ca_meta_reserve(const struct ca_meta *meta, struct bio *clone, gfp_t gfp)
{
	if (!meta->size)
		return true;
	if (gfp & __GFP_DIRECT_RECLAIM)
		gfp |= __GFP_NOFAIL;
	return !IS_ERR_OR_NULL(bio_integrity_alloc(clone, gfp, 1));
}

/**
 * ca_meta_attach() - attaches a bio's metadata to it
 * @ca: the device
 * @clone: a bio that went through ca_meta_reserve(), complete
 * @meta: the metadata, from that of its first unit on; NULL on a device without
 *
 * Return: 0, or -EIO if the lower device does not take it.
 */
int ca_meta_attach(const struct ca_device *ca, struct bio *clone, u8 *meta)
{
	unsigned int bytes = (bio_sectors(clone) >> ca->unit_shift) * ca->meta.size;
	struct bio_integrity_payload *payload = bio_integrity(clone);

	if (!meta)
		return 0;
	payload->bip_iter.bi_sector = clone->bi_iter.bi_sector;
	if (bio_integrity_add_page(clone, virt_to_page(meta), bytes,
				   offset_in_page(meta)) != bytes)
		return -EIO;
	payload->bip_iter.bi_size = bytes;
	return 0;
}

/**
 * ca_meta_report_auth_error() - reports a tag that does not match, however often it is read
 * @base: of a read
 * @sector: the unit's, relative to the target
 *
 * The report goes to the log, the audit log and the counters.
 *
 * Context: Task.
 */
void ca_meta_report_auth_error(struct ca_base *base, sector_t sector)
{
	const struct ca_device *ca = base->ca;

	ca_count(ca, CA_STAT_AUTH_ERRORS);
	DMERR_LIMIT("%s: sector %llu does not match its tag: changed on disk, or never written",
		    ca_device_name(ca), ca->ti->begin + sector);
	dm_audit_log_bio(ca_names_shown(ca->ti), "integrity-aead", base->bio, sector, 0);
}
