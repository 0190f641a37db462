/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between Linux 6.1 and 7.3 for the modules here; included before everything else. */
#ifndef KMOD_COMPAT_H
#define KMOD_COMPAT_H

#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/log2.h>
#include <linux/version.h>
#include <crypto/internal/skcipher.h>

/* hex2bin() */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <linux/hex.h>
#endif

/* The properties of the algorithm within: a type of their own since 6.7. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define chaos_inner_alg struct skcipher_alg_common
#define chaos_inner(spawn) crypto_spawn_skcipher_alg_common(spawn)
#else
#define chaos_inner_alg struct skcipher_alg
#define chaos_inner(spawn) crypto_spawn_skcipher_alg(spawn)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/*
 * A disk whose driver takes bios, of memory that begins at multiples of @alignment; each block of
 * it has room for metadata, if any; @at_once: it ends bios within submit_bio(). NULL if there is no
 * memory. The limits are handed in since 6.11; none but these tell the last.
 */
static inline struct gendisk *pieces_alloc_disk(unsigned int block, unsigned int alignment,
						unsigned int metadata, bool at_once)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct queue_limits limits = {
		.logical_block_size = block,
		.dma_alignment = alignment - 1,
		.features = at_once ? BLK_FEAT_SYNCHRONOUS : 0,
		.integrity = {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
			.metadata_size = metadata,
#else
			.tuple_size = metadata,
#endif
			.interval_exp = metadata ? ilog2(block) : 0,
		},
	};
	struct gendisk *disk = blk_alloc_disk(&limits, NUMA_NO_NODE);

	return IS_ERR(disk) ? NULL : disk;
#else
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);

	if (disk) {
		blk_queue_logical_block_size(disk->queue, block);
		blk_queue_dma_alignment(disk->queue, alignment - 1);
	}
	return disk;
#endif
}

/* Before 6.11, gives a disk the same room. */
static inline void pieces_add_metadata(struct gendisk *disk, unsigned int block,
				       unsigned int metadata)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	static const struct blk_integrity_profile profile = { .name = "DM-DIF-EXT-TAG" };
	struct blk_integrity room = {
		.profile = &profile,
		.tuple_size = metadata,
		.tag_size = metadata,
		.interval_exp = ilog2(block),
	};

	if (metadata)
		blk_integrity_register(disk, &room);
#endif
}

/* Since 6.14 this is so without being asked for. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
#define BLK_MQ_F_SHOULD_MERGE 0
#endif

/*
 * A disk with a cache for writes, whose requests have so many sectors at most, and of any number of
 * pages. The limits are handed in since 6.11.
 */
static inline struct gendisk *timed_alloc_disk(struct blk_mq_tag_set *tags, unsigned int sectors,
					       bool is_rotational)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct queue_limits limits = {
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA |
			    (is_rotational ? BLK_FEAT_ROTATIONAL : 0),
		.max_hw_sectors = sectors,
		.max_segments = USHRT_MAX,
		.max_segment_size = UINT_MAX,
	};

	return blk_mq_alloc_disk(tags, &limits, NULL);
#else
	struct gendisk *disk = blk_mq_alloc_disk(tags, NULL);

	if (IS_ERR(disk))
		return disk;
	blk_queue_max_hw_sectors(disk->queue, sectors);
	blk_queue_max_segments(disk->queue, USHRT_MAX);
	blk_queue_max_segment_size(disk->queue, UINT_MAX);
	blk_queue_write_cache(disk->queue, true, true);
	if (!is_rotational)
		blk_queue_flag_set(QUEUE_FLAG_NONROT, disk->queue);
	return disk;
#endif
}

#endif /* KMOD_COMPAT_H */
