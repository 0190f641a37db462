/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the supported kernels, 6.1 to 7.3. Included before everything else by
 * Kbuild; the only file that tests for a version. The code proper reads as if it were written for
 * the newest kernel.
 *
 * Kernels of distributions, and stable ones, have parts of later releases. So it asks for what the
 * kernel has, by a macro of the kernel's or by one of features.mk, and for a version only where the
 * headers are the same. The release is the one in which the kernel got it, with the commit's title.
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

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "dm-crypt-async needs Linux 6.1 or newer"
#endif

/* 6.12: move asm/unaligned.h to linux/unaligned.h */
#ifdef CA_HAS_UNALIGNED_H
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

/* hex2bin(). 6.4: kernel.h: split the hexadecimal related helpers to hex.h */
#ifdef CA_HAS_HEX_H
#include <linux/hex.h>
#else
#include <linux/kernel.h>
#endif

/*
 * The callback of a crypto request gets the request's data, the request itself before. 6.3: crypto:
 * api - Use data directly in completion function. CA_COMPLETION(fn) after the definition of
 * fn(void *data, int err) makes ca_completion(fn) fit for skcipher_request_set_callback() on
 * either: the type of the callback selects.
 */
#define CA_COMPLETION(fn)						\
	static void __maybe_unused					\
	fn##_compat(struct crypto_async_request *base, int err)		\
	{								\
		fn(base->data, err);					\
	}
#define ca_completion(fn)						\
	__builtin_choose_expr(__same_type(crypto_completion_t,		\
					  void (*)(void *data, int err)), \
			      fn, fn##_compat)

/*
 * The write life time hint and the stream are members of the bio. 6.9: block, fs: Restore the
 * per-bio/request data lifetime fields; 6.16: block: add a bi_write_stream field.
 */
static inline void ca_bio_copy_hints(struct bio *dst, const struct bio *src)
{
#ifdef CA_HAS_BI_WRITE_HINT
	dst->bi_write_hint = src->bi_write_hint;
#endif
#ifdef CA_HAS_BI_WRITE_STREAM
	dst->bi_write_stream = src->bi_write_stream;
#endif
}

static inline bool ca_bio_has_hints_of(const struct bio *bio, const struct bio *other)
{
#ifdef CA_HAS_BI_WRITE_STREAM
	if (bio->bi_write_stream != other->bi_write_stream)
		return false;
#endif
#ifdef CA_HAS_BI_WRITE_HINT
	return bio->bi_write_hint == other->bi_write_hint;
#else
	return true;
#endif
}

#ifndef CA_HAS_BDEV_SYNCHRONOUS
/*
 * Nothing tells of a device that it ends each bio within submit_bio(). 6.3: block: remove
 * ->rw_page.
 */
static inline bool bdev_synchronous(struct block_device *bdev)
{
	return false;
}
#endif

/* Whether a control group is the root of its hierarchy; without control groups all is in it. */
static inline bool ca_css_is_root(const struct cgroup_subsys_state *css)
{
#ifdef CONFIG_CGROUPS
	return !css || !css->parent;
#else
	return true;
#endif
}

/*
 * Bytes of metadata that a device has for a sector. 6.17: block: rename tuple_size field in
 * blk_integrity to metadata_size.
 */
static inline unsigned int ca_integrity_size(const struct blk_integrity *profile)
{
#ifdef CA_HAS_METADATA_SIZE
	return profile->metadata_size;
#else
	return profile->tuple_size;
#endif
}

/*
 * Whether it is just room, not checksums that the block layer or the device would check. Before,
 * dm-integrity had a profile by a name of its own. 6.11: block: remove the blk_integrity_profile
 * structure.
 */
static inline bool ca_integrity_is_opaque(const struct blk_integrity *profile)
{
#ifdef CA_HAS_CSUM_NONE
	return profile->csum_type == BLK_INTEGRITY_CSUM_NONE;
#else
	return !strcasecmp(profile->profile->name, "DM-DIF-EXT-TAG");
#endif
}

/*
 * Writes that the lower device makes whole or not at all. 6.11: block: Add core atomic write
 * support.
 */
#ifndef REQ_ATOMIC
#define REQ_ATOMIC	0
#endif

/*
 * The same through the device mapper. 6.15: dm-table: atomic writes support. That has an effect
 * since 6.15.4 (dm-table: Set BLK_FEAT_ATOMIC_WRITES for target queue limits).
 *
 * Lowers them to @bytes. The unit is what a program may ask for: the block layer warns unless its
 * bounds are powers of two within the largest write, and then there are no atomic writes at all.
 */
#ifdef DM_TARGET_ATOMIC_WRITES
static inline void ca_limit_atomic_writes(struct queue_limits *limits, unsigned int bytes)
{
	unsigned int unit = bytes ? rounddown_pow_of_two(bytes) : 0;

	if (unit < limits->atomic_write_hw_unit_min) {
		unit = 0;
		bytes = 0;
	}
	if (!bytes)
		limits->features &= ~BLK_FEAT_ATOMIC_WRITES;
	limits->atomic_write_hw_max = min(limits->atomic_write_hw_max, bytes);
	limits->atomic_write_hw_unit_max = min(limits->atomic_write_hw_unit_max, unit);
}
#else
#define DM_TARGET_ATOMIC_WRITES	0

static inline void ca_limit_atomic_writes(struct queue_limits *limits, unsigned int bytes)
{
}
#endif

/*
 * Lowers the size of bios of a zoned device to what dm-crypt takes there, so that file systems make
 * writes and appends of the same size. It does so since 6.17 and 6.12.44 (dm: dm-crypt: Do not
 * partially accept write BIOs with zoned targets), but not where the device mapper emulates
 * appends.
 */
static inline void ca_limit_zone_writes(struct queue_limits *limits)
{
#ifdef CA_HAS_EMULATED_APPENDS
	limits->max_hw_sectors = min_t(unsigned int, limits->max_hw_sectors,
				       BIO_MAX_VECS << (PAGE_SHIFT - SECTOR_SHIFT));
#endif
}

/*
 * Older device mappers map a REQ_NOWAIT bio within an RCU read section, where a target must not
 * sleep or reschedule. So the target takes REQ_NOWAIT only on kernels with the fix. 6.6, 6.5.5 and
 * 6.1.55: dm: don't attempt to queue IO under RCU protection. No header tells.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 5) || \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 55) && \
	 LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0))
#define CA_TARGET_NOWAIT	DM_TARGET_NOWAIT
#else
#define CA_TARGET_NOWAIT	0
#endif

/*
 * A device mapper that emulates the appends to zones itself notes how far a zone is written when
 * map has returned. If the write has ended by then, an append is told a wrong sector, and one that
 * failed may end twice. 6.10: dm: Use the block layer zone append emulation.
 */
#if !defined(CA_HAS_EMULATED_APPENDS) && defined(CONFIG_BLK_DEV_ZONED)
#define CA_WRITES_AFTER_MAP	1

/* A disk whose driver takes bios, and that is never added; NULL if there is no memory. */
static inline struct gendisk *ca_alloc_disk(void)
{
	/* 6.9: block: pass a queue_limits argument to blk_alloc_disk */
#ifdef CA_HAS_DISK_LIMITS
	struct gendisk *disk = blk_alloc_disk(NULL, NUMA_NO_NODE);

	if (IS_ERR(disk))
		return NULL;
#else
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);

	if (!disk)
		return NULL;
#endif
	/*
	 * add_disk() would do it. 6.4: block: store bdev->bd_disk->fops->submit_bio state in bdev.
	 */
#ifdef CA_HAS_BD_HAS_SUBMIT_BIO
	disk->part0->bd_has_submit_bio = true;
#endif
	return disk;
}
#else
#define CA_WRITES_AFTER_MAP	0
#endif

/* A workqueue for each CPU has a flag that says so. 6.17: workqueue: Add new WQ_PERCPU flag */
#ifdef CA_HAS_WQ_PERCPU
#define CA_WQ_PERCPU	WQ_PERCPU
#else
#define CA_WQ_PERCPU	0
#endif

/*
 * A shrinker is allocated by the kernel; before, it was part of a structure of ours. 6.7: mm:
 * shrinker: add infrastructure for dynamically allocating shrinker.
 */
#include <linux/shrinker.h>
#ifdef CA_HAS_SHRINKER_ALLOC
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
