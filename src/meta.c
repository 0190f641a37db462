// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metadata of units: authentication tags and stored IVs, which the device below keeps next to the
 * data (dm-integrity, or a disk formatted with metadata). A unit's metadata is
 *
 *	tag | IV, if it is stored | zeros
 *
 * A base bio has at most a page for that of all of its units, so it is no larger than that allows.
 */
#include "dm-crypt-async.h"

#include <linux/blk-integrity.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>

#define DM_MSG_PREFIX	CA_NAME

/* Pages in reserve, as for the other pools: one would do. */
#define RESERVE	16

/* How the metadata is used, from what the options and the cipher say. */
static const char *divide(struct ca_device *ca)
{
	struct ca_cipher *cipher = &ca->cipher;
	unsigned int iv = cipher->stores_iv ? cipher->iv_size : 0;

	if (cipher->aead) {
		if (ca->meta_used < iv || ca_cipher_set_tag_size(cipher, ca->meta_used - iv))
			return "integrity: the cipher does not have tags of this size";
	}
	ca->meta_used = max(ca->meta_used, iv);
	return NULL;
}

/**
 * ca_meta_init() - looks for the room that the units' metadata needs
 * @ca: the device, with its cipher and the device below
 * @err: the errno that goes with the result
 *
 * Return: NULL, or what is wrong, for the user; then nothing is left to undo.
 */
const char *ca_meta_init(struct ca_device *ca, int *err)
{
	const struct blk_integrity *profile;
	const char *error;

	*err = -EINVAL;
	if (!ca->meta_used && !ca->cipher.stores_iv)
		return NULL;
	if (ca->in_order)
		return "device: a zoned one with metadata is not supported";
	error = divide(ca);
	if (error)
		return error;

	profile = blk_get_integrity(ca->dev->bdev->bd_disk);
	if (!profile || !ca_integrity_is_opaque(profile))
		return "device: has no room for metadata; use dm-integrity below";
	if (ca_integrity_size(profile) < ca->meta_used)
		return "device: its metadata is too small";
	if (1 << profile->interval_exp != ca->unit_size)
		return "device: its metadata is for sectors of another size";

	ca->meta_size = ca_integrity_size(profile);
	ca->most_sectors = (PAGE_SIZE / ca->meta_size) << ca->unit_shift;
	*err = mempool_init_page_pool(&ca->metas, RESERVE, 0);
	return *err ? "out of memory" : NULL;
}

/**
 * ca_meta_exit() - undoes ca_meta_init()
 * @ca: the device, with nothing in flight
 */
void ca_meta_exit(struct ca_device *ca)
{
	if (ca->meta_size)
		mempool_exit(&ca->metas);
}

/* Bytes of metadata of all of a base bio's units. */
static unsigned int bytes_of(const struct bio *bio, const struct ca_device *ca)
{
	return (bio_sectors(bio) >> ca->unit_shift) * ca->meta_size;
}

/**
 * ca_meta_get() - gives a base io memory for metadata, if the device has any
 * @base: the base io
 * @gfp: with or without waiting
 *
 * A page of the pool costs more than a few bytes, as the allocator may clear it, so that is what
 * there is if nothing else is to be had, or all of it is needed.
 *
 * Return: whether it has what it needs.
 */
bool ca_meta_get(struct dm_crypt_io *base, gfp_t gfp)
{
	unsigned int bytes = bytes_of(base->base_bio, base->ca);
	struct page *page;

	if (!base->ca->meta_size || base->meta)
		return true;
	base->meta_pooled = false;
	if (bytes <= PAGE_SIZE / 2)
		base->meta = kmalloc(bytes, GFP_NOWAIT | __GFP_NOWARN);
	if (base->meta)
		return true;
	base->meta_pooled = true;
	page = mempool_alloc(&base->ca->metas, gfp);
	if (page)
		base->meta = page_address(page);
	return page;
}

/**
 * ca_meta_put() - takes it back
 * @base: the base io, which has some
 *
 * Context: Any.
 */
void ca_meta_put(struct dm_crypt_io *base)
{
	if (base->meta_pooled)
		mempool_free(virt_to_page(base->meta), &base->ca->metas);
	else
		kfree(base->meta);
	base->meta = NULL;
}

/**
 * ca_meta_of() - the metadata of a part of the base bio
 * @base: the base io
 * @sector: where the part begins, relative to the target
 *
 * Return: a pointer into the base io's memory for it, which it has.
 */
u8 *ca_meta_of(const struct dm_crypt_io *base, sector_t sector)
{
	const struct ca_device *ca = base->ca;
	sector_t first = dm_target_offset(ca->ti, base->base_bio->bi_iter.bi_sector);

	return base->meta + ((sector - first) >> ca->unit_shift) * ca->meta_size;
}

/**
 * ca_meta_reserve() - makes a bio one that has metadata
 * @ca: the device
 * @clone: a bio for the device below, without pages
 * @gfp: with or without waiting
 *
 * Return: whether that could be done; always, if @gfp allows to wait.
 */
bool ca_meta_reserve(const struct ca_device *ca, struct bio *clone, gfp_t gfp)
{
	if (!ca->meta_size)
		return true;
	if (gfp & __GFP_DIRECT_RECLAIM)
		gfp |= __GFP_NOFAIL;
	return !IS_ERR_OR_NULL(bio_integrity_alloc(clone, gfp, 1));
}

/**
 * ca_meta_attach() - says where a bio's metadata is
 * @ca: the device
 * @clone: a bio that went through ca_meta_reserve(), complete
 * @meta: of its first unit, NULL on a device without
 *
 * Return: 0, or -EIO if the device below does not take it.
 */
int ca_meta_attach(const struct ca_device *ca, struct bio *clone, u8 *meta)
{
	unsigned int bytes = bytes_of(clone, ca);
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
 * ca_report_forgery() - tells the log, the audit log and the counters
 * @base: of a read; its sector is that of a unit whose tag does not match, however often it is read
 *
 * Context: Task.
 */
void ca_report_forgery(struct dm_crypt_io *base)
{
	const struct ca_device *ca = base->ca;

	ca_count(ca, CA_STAT_FORGED);
	DMERR_LIMIT("%s: sector %llu does not match its tag: changed below, or never written",
		    dm_table_device_name(ca->ti->table), ca->ti->begin + base->sector);
	dm_audit_log_bio(DM_MSG_PREFIX, "integrity-aead", base->base_bio, base->sector, 0);
}
