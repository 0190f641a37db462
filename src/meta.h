/* SPDX-License-Identifier: GPL-2.0-only */
/* Metadata of units: authentication tags and stored IVs. */
#ifndef CA_META_H
#define CA_META_H

#include <linux/mempool.h>
#include <linux/types.h>

struct bio;
struct ca_base;
struct ca_device;

/**
 * struct ca_meta - how a device's units use the metadata of the lower device; immutable after ctr
 * @used: metadata bytes that a unit needs: option integrity, or a stored IV if larger; 0 for none
 * @size: bytes that the lower device has for a unit, 0 if none is used
 * @type: "aead" or "none", as the option was written
 * @max_sectors: size limit of a base bio, since its metadata must lie in one page; 0 for no limit
 * @pages: mempool for the metadata of a base bio, with its own lock; not set up where @size is 0
 */
struct ca_meta {
	unsigned int used;
	unsigned int size;
	char type[8];
	unsigned int max_sectors;
	mempool_t pages;
};

const char *ca_meta_init(struct ca_device *ca, int *err);
void ca_meta_exit(struct ca_meta *meta);
bool ca_meta_get(struct ca_base *base, gfp_t gfp);
void ca_meta_put(struct ca_base *base);
u8 *ca_meta_of(const struct ca_base *base, sector_t sector);
bool ca_meta_reserve(const struct ca_meta *meta, struct bio *clone, gfp_t gfp);
int ca_meta_attach(const struct ca_device *ca, struct bio *clone, u8 *meta);
void ca_meta_report_auth_error(struct ca_base *base, sector_t sector);

#endif /* CA_META_H */
