/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the supported kernels, 6.1 to 7.3. Included before everything else by
 * Kbuild; the only file that tests for a version. The code proper reads as if it were written for
 * the newest kernel.
 */
#ifndef CA_COMPAT_H
#define CA_COMPAT_H

#include <linux/version.h>
#include <linux/bio.h>
#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <linux/cgroup-defs.h>
#include <linux/crypto.h>
#include <linux/device-mapper.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/string.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "dm-crypt-async needs Linux 6.1 or newer"
#endif

/* hex2bin() */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <linux/hex.h>
#else
#include <linux/kernel.h>
#endif

/*
 * The callback of a crypto request gets the request's data since 6.3, the request itself before.
 * CA_COMPLETION(fn) after the definition of fn(void *data, int err) makes ca_completion(fn) fit for
 * skcipher_request_set_callback() on either.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define CA_COMPLETION(fn)						\
	static void fn##_compat(struct crypto_async_request *base, int err) \
	{								\
		fn(base->data, err);					\
	}
#define ca_completion(fn) fn##_compat
#else
#define CA_COMPLETION(fn)
#define ca_completion(fn) fn
#endif

/* The write life time hint is a member of the bio since 6.9, and the stream since 6.16. */
static inline void ca_bio_copy_hints(struct bio *dst, const struct bio *src)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	dst->bi_write_hint = src->bi_write_hint;
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	dst->bi_write_stream = src->bi_write_stream;
#endif
}

static inline bool ca_bio_has_hints_of(const struct bio *bio, const struct bio *other)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	if (bio->bi_write_stream != other->bi_write_stream)
		return false;
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	return bio->bi_write_hint == other->bi_write_hint;
#else
	return true;
#endif
}

/* Whether a control group is the root of its hierarchy; without control groups all is in it. */
static inline bool ca_css_is_root(const struct cgroup_subsys_state *css)
{
#ifdef CONFIG_CGROUPS
	return !css || !css->parent;
#else
	return true;
#endif
}

/* Bytes of metadata that a device has for a sector; the member has that name since 6.17. */
static inline unsigned int ca_integrity_size(const struct blk_integrity *profile)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return profile->metadata_size;
#else
	return profile->tuple_size;
#endif
}

/*
 * Whether it is just room, not checksums that the block layer or the device would check. Before
 * 6.11 dm-integrity has a profile by a name of its own.
 */
static inline bool ca_integrity_is_opaque(const struct blk_integrity *profile)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	return profile->csum_type == BLK_INTEGRITY_CSUM_NONE;
#else
	return !strcasecmp(profile->profile->name, "DM-DIF-EXT-TAG");
#endif
}

/*
 * Writes that the lower device makes whole or not at all: REQ_ATOMIC since 6.11, through the device
 * mapper since 6.16.
 */
#ifndef REQ_ATOMIC
#define REQ_ATOMIC	0
#endif
#ifndef DM_TARGET_ATOMIC_WRITES
#define DM_TARGET_ATOMIC_WRITES	0
#endif

/*
 * Lowers them to @bytes. The unit is what a program may ask for: the block layer warns unless its
 * bounds are powers of two within the largest write, and then there are no atomic writes at all.
 */
static inline void ca_limit_atomic_writes(struct queue_limits *limits, unsigned int bytes)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	unsigned int unit = bytes ? rounddown_pow_of_two(bytes) : 0;

	if (unit < limits->atomic_write_hw_unit_min) {
		unit = 0;
		bytes = 0;
	}
	if (!bytes)
		limits->features &= ~BLK_FEAT_ATOMIC_WRITES;
	limits->atomic_write_hw_max = min(limits->atomic_write_hw_max, bytes);
	limits->atomic_write_hw_unit_max = min(limits->atomic_write_hw_unit_max, unit);
#endif
}

/*
 * Lowers the size of bios of a zoned device to what dm-crypt takes there, so that file systems make
 * writes and appends of the same size. It does so since the block layer emulates appends.
 */
static inline void ca_limit_zone_writes(struct queue_limits *limits)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	limits->max_hw_sectors = min_t(unsigned int, limits->max_hw_sectors,
				       BIO_MAX_VECS << (PAGE_SHIFT - SECTOR_SHIFT));
#endif
}

/*
 * Older device mappers map a REQ_NOWAIT bio within an RCU read section, where a target must not
 * sleep or reschedule. So the target takes REQ_NOWAIT only on kernels with the fix "dm: don't
 * attempt to queue IO under RCU protection".
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0) || \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 55) && \
	 LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0))
#define CA_TARGET_NOWAIT	DM_TARGET_NOWAIT
#else
#define CA_TARGET_NOWAIT	0
#endif

/*
 * Before 6.10 the device mapper emulates the appends to zones, and notes how far a zone is written
 * when map has returned. If the write has ended by then, an append is told a wrong sector, and one
 * that failed may end twice.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0) && defined(CONFIG_BLK_DEV_ZONED)
#define CA_WRITES_AFTER_MAP	1

/* A disk whose driver takes bios, and that is never added; NULL if there is no memory. */
static inline struct gendisk *ca_alloc_disk(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	struct gendisk *disk = blk_alloc_disk(NULL, NUMA_NO_NODE);

	if (IS_ERR(disk))
		return NULL;
#else
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);

	if (!disk)
		return NULL;
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	/* add_disk() would do it. */
	disk->part0->bd_has_submit_bio = true;
#endif
	return disk;
}
#else
#define CA_WRITES_AFTER_MAP	0
#endif

/* A workqueue for each CPU needs the flag WQ_PERCPU since 6.18. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define CA_WQ_PERCPU	WQ_PERCPU
#else
#define CA_WQ_PERCPU	0
#endif

/* A shrinker is allocated by the kernel since 6.7; before, it is part of a structure of ours. */
#include <linux/shrinker.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
struct ca_shrinker {
	struct shrinker *shrinker;
};

static inline int ca_shrinker_add(struct ca_shrinker *s,
				  unsigned long (*count)(struct shrinker *s,
							 struct shrink_control *sc),
				  unsigned long (*scan)(struct shrinker *s,
							struct shrink_control *sc),
				  const char *name)
{
	s->shrinker = shrinker_alloc(0, "%s", name);
	if (!s->shrinker)
		return -ENOMEM;
	s->shrinker->count_objects = count;
	s->shrinker->scan_objects = scan;
	shrinker_register(s->shrinker);
	return 0;
}

static inline void ca_shrinker_del(struct ca_shrinker *s)
{
	shrinker_free(s->shrinker);
}
#else
struct ca_shrinker {
	struct shrinker shrinker;
};

static inline int ca_shrinker_add(struct ca_shrinker *s,
				  unsigned long (*count)(struct shrinker *s,
							 struct shrink_control *sc),
				  unsigned long (*scan)(struct shrinker *s,
							struct shrink_control *sc),
				  const char *name)
{
	s->shrinker.seeks = DEFAULT_SEEKS;
	s->shrinker.count_objects = count;
	s->shrinker.scan_objects = scan;
	return register_shrinker(&s->shrinker, "%s", name);
}

static inline void ca_shrinker_del(struct ca_shrinker *s)
{
	unregister_shrinker(&s->shrinker);
}
#endif

/* Exported by dm-mod, but not declared in a public header. */
struct bio;
struct dm_target;
#if IS_ENABLED(CONFIG_DM_AUDIT)
void dm_audit_log_bio(const char *prefix, const char *op, struct bio *bio, sector_t sector,
		      int result);
void dm_audit_log_ti(int type, const char *prefix, const char *op, struct dm_target *ti,
		     int result);
#else
static inline void dm_audit_log_bio(const char *prefix, const char *op, struct bio *bio,
				    sector_t sector, int result)
{
}

static inline void dm_audit_log_ti(int type, const char *prefix, const char *op,
				   struct dm_target *ti, int result)
{
}
#endif

#endif /* CA_COMPAT_H */
