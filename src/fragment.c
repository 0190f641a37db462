// SPDX-License-Identifier: GPL-2.0-only
/* The life of a fragment: its pools, its states and its end. */
#include "fragment.h"

#include <linux/align.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "watchdog.h"

static unsigned int pool_reserve = 16;
module_param(pool_reserve, uint, 0644);
MODULE_PARM_DESC(pool_reserve, "Fragments and clones that a new device has in reserve, at least 1");

/* The legal moves: from the row's state to any state in its mask. */
const unsigned int ca_fragment_moves[CA_FRAGMENT_STATES] = {
	[CA_FRAGMENT_NEW]	 = BIT(CA_FRAGMENT_SPLIT),
	[CA_FRAGMENT_SPLIT]	 = BIT(CA_FRAGMENT_CONVERTING),
	[CA_FRAGMENT_CONVERTING] = BIT(CA_FRAGMENT_PARKING) | BIT(CA_FRAGMENT_CONVERTED) |
				   BIT(CA_FRAGMENT_ENDED),
	[CA_FRAGMENT_PARKING]	 = BIT(CA_FRAGMENT_CONVERTING),
	[CA_FRAGMENT_CONVERTED]	 = BIT(CA_FRAGMENT_WRITING) | BIT(CA_FRAGMENT_ENDED),
	[CA_FRAGMENT_WRITING]	 = BIT(CA_FRAGMENT_CONVERTED) | BIT(CA_FRAGMENT_ENDED),
};

/**
 * ca_fragment_alloc() - takes a further fragment of a base from the pool
 * @base: the base
 * @gfp: with or without waiting
 *
 * Return: the fragment, without a reference on the base; NULL if @gfp does not allow to wait.
 */
struct dm_crypt_io *ca_fragment_alloc(struct ca_base *base, gfp_t gfp)
{
	struct dm_crypt_io *io = mempool_alloc(&base->ca->fragments.pool, gfp);

	if (io)
		ca_fragment_init(io, base->ca, base, base->is_write);
	return io;
}

/**
 * ca_fragment_free() - takes a fragment back; nothing if it is part of its base
 * @io: the fragment, which owns nothing
 *
 * Context: Any.
 */
void ca_fragment_free(struct dm_crypt_io *io)
{
	if (!ca_is_first(io))
		mempool_free(io, &io->ca->fragments.pool);
}

/**
 * ca_fragment_alloc_bio() - a bio for a part of the base bio, without pages
 * @base: the base
 * @sector: where the part begins, relative to the target
 * @bytes: its size
 * @gfp: with or without waiting
 *
 * The bio has the priority of the base bio. Its cgroup is that of the caller until
 * dm_submit_bio_remap() makes it that of the bio that the device mapper was given; the base bio
 * does not name one.
 *
 * Return: the bio, NULL if @gfp does not allow to wait.
 */
struct bio *ca_fragment_alloc_bio(struct ca_base *base, sector_t sector, unsigned int bytes,
				  gfp_t gfp)
{
	struct ca_device *ca = base->ca;
	struct bio *bio = base->bio;
	struct bio *clone;

	clone = bio_alloc_bioset(ca->dev->bdev, DIV_ROUND_UP(bytes, PAGE_SIZE), bio->bi_opf, gfp,
				 &ca->fragments.bios);
	if (!clone)
		return NULL;
	clone->bi_iter.bi_sector = ca->start + sector;
	clone->bi_ioprio = bio->bi_ioprio;
	bio_clear_polled(clone);
	ca_bio_copy_hints(clone, bio);
	return clone;
}

/**
 * ca_fragment_end() - ends a fragment and drops its reference on the base
 * @io: the fragment, which owns nothing else any more
 * @status: its outcome
 *
 * Context: Any.
 * Return: the base if that was its last reference, for the caller to end it; else NULL.
 */
struct ca_base *ca_fragment_end(struct dm_crypt_io *io, blk_status_t status)
{
	struct ca_base *base = io->base;

	if (unlikely(io->state == CA_FRAGMENT_ENDED)) {
		ca_watchdog_state_error(io->ca, "a fragment ends twice", io->state,
					CA_FRAGMENT_ENDED);
		return NULL;
	}
	if (status)
		ca_base_fail(base, status);
	ca_fragment_move(io, CA_FRAGMENT_ENDED);
	ca_fragment_free(io);
	return ca_base_put(base) ? base : NULL;
}

/* Bytes of a structure that ends with a fragment at @offset. */
static unsigned int size_with(const struct ca_device *ca, size_t offset)
{
	return ALIGN(offset + offsetof(struct dm_crypt_io, request) + ca->cipher.request_size,
		     ARCH_KMALLOC_MINALIGN);
}

/**
 * ca_fragments_init() - makes a device's pools of fragments and clones
 * @ca: the device, its cipher set up; sets the size of its per-bio data
 *
 * Return: 0 or -ENOMEM, with nothing left to undo.
 */
int ca_fragments_init(struct ca_device *ca)
{
	unsigned int reserve = clamp(READ_ONCE(pool_reserve), 1U, 1U << 16);
	int err;

	ca->ti->per_io_data_size = size_with(ca, offsetof(struct ca_base, first));
	err = bioset_init(&ca->fragments.bios, reserve, 0, BIOSET_NEED_BVECS);
	if (err)
		return err;
	err = mempool_init_kmalloc_pool(&ca->fragments.pool, reserve, size_with(ca, 0));
	if (err)
		bioset_exit(&ca->fragments.bios);
	return err;
}

/**
 * ca_fragments_exit() - frees the pools
 * @fragments: the pools, with no bio in flight
 */
void ca_fragments_exit(struct ca_fragments *fragments)
{
	mempool_exit(&fragments->pool);
	bioset_exit(&fragments->bios);
}
