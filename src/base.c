// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a base io, the list of its legal moves, and the copying of its data.
 *
 * A base ends once, after its last fragment, with the first error that any fragment met. The thread
 * that drops the last reference ends it, and reads the error only then.
 */
#include "base.h"

#include <linux/align.h>
#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/build_bug.h>
#include <linux/highmem.h>
#include <linux/minmax.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "../dm-crypt-async.h"
#include "fragment.h"
#include "inflight.h"
#include "meta.h"
#include "stats.h"
#include "trace.h"
#include "watchdog.h"

#define DM_MSG_PREFIX	CA_NAME

/*
 * Iterators are aligned to a long. Otherwise the sector in one could cross a cache line, and would
 * be read byte by byte on machines that cannot read a long at any address.
 */
static_assert(IS_ALIGNED(offsetof(struct ca_base, all), sizeof(long)));
static_assert(IS_ALIGNED(offsetof(struct ca_base, rest), sizeof(long)));
static_assert(IS_ALIGNED(offsetof(struct dm_crypt_io, ctx.at.in), sizeof(long)));
static_assert(IS_ALIGNED(offsetof(struct dm_crypt_io, ctx.at.out), sizeof(long)));

/* The legal moves: from the row's state to any state in its mask. */
const unsigned int ca_base_moves[CA_BASE_STATES] = {
	[CA_BASE_NEW]		= BIT(CA_BASE_READING) | BIT(CA_BASE_RECHECKING) |
				  BIT(CA_BASE_ENDED),
	[CA_BASE_READING]	= BIT(CA_BASE_READ) | BIT(CA_BASE_RECHECKING) |
				  BIT(CA_BASE_ENDED),
	[CA_BASE_READ]		= BIT(CA_BASE_RECHECKING) | BIT(CA_BASE_ENDED),
	[CA_BASE_RECHECKING]	= BIT(CA_BASE_ENDED),
};

/**
 * ca_base_is_in_submit() - says whether the caller is the base's submitter, within submit_bio()
 * @base: the base
 *
 * Context: Any.
 * Return: whether it is.
 */
bool ca_base_is_in_submit(const struct ca_base *base)
{
	return in_task() && current == base->submitter && current->bio_list;
}

/**
 * ca_base_renew_bio() - prepares a bio to be submitted again, since it may have been refused
 * @bio: the bio, its sector and size set; keeps BIO_CGROUP_ACCT, so that its cgroup counts it once
 *
 * Context: Any.
 */
void ca_base_renew_bio(struct bio *bio)
{
	bio->bi_status = BLK_STS_OK;
	bio_clear_flag(bio, BIO_REMAPPED);
	bio_clear_flag(bio, BIO_QOS_THROTTLED);
	bio_clear_flag(bio, BIO_QOS_MERGED);
	/* One that the lower device has split is chained to its parts. */
	bio_clear_flag(bio, BIO_CHAIN);
	atomic_set(&bio->__bi_remaining, 1);
}

/**
 * ca_base_copy() - copies data between a base bio's memory and bounce pages
 * @to: lists the destination
 * @to_at: position there; its bi_size says how much is copied
 * @from: lists the source
 * @from_at: position there
 *
 * Context: Any.
 */
void ca_base_copy(const struct bio_vec *to, struct bvec_iter to_at,
		  const struct bio_vec *from, struct bvec_iter from_at)
{
	while (to_at.bi_size) {
		struct bio_vec out = bvec_iter_bvec(to, to_at);
		struct bio_vec in = bvec_iter_bvec(from, from_at);
		unsigned int bytes = min(out.bv_len, in.bv_len);

		memcpy_page(out.bv_page, out.bv_offset, in.bv_page, in.bv_offset, bytes);
		bvec_iter_advance_single(to, &to_at, bytes);
		bvec_iter_advance_single(from, &from_at, bytes);
	}
}

/**
 * ca_base_report_error() - logs an error of the lower device
 * @base: the base whose I/O failed, or one of whose fragments did
 * @sector: where the I/O began, relative to the target
 * @bytes: its size
 * @status: the error
 *
 * Context: Any.
 */
void ca_base_report_error(const struct ca_base *base, sector_t sector, unsigned int bytes,
			  blk_status_t status)
{
	const struct ca_device *ca = base->ca;

	if (!ca_base_is_error(base, status))
		return;
	DMERR_LIMIT("%s: %s of %u bytes at sector %llu failed on %s (%d): see its messages",
		    ca_device_name(ca), base->is_write ? "write" : "read", bytes,
		    ca->ti->begin + sector, ca->dev->name, blk_status_to_errno(status));
}

/**
 * ca_base_end() - ends the base bio, and with it the base
 * @base: the base, of which the caller had the last reference
 *
 * Context: Any.
 */
void ca_base_end(struct ca_base *base)
{
	struct bio *bio = base->bio;

	if (unlikely(base->state == CA_BASE_ENDED)) {
		ca_watchdog_state_error(base->ca, "a bio ends twice", base->state,
					CA_BASE_ENDED);
		return;
	}
	ca_base_move(base, CA_BASE_ENDED);
	if (unlikely(base->status) && ca_base_is_error(base, ca_base_status(base)))
		ca_count(base->ca, CA_STAT_ERRORS);
	if (base->meta)
		ca_meta_put(base);
	trace_ca_bio_end(base);
	ca_inflight_end(base->inflight);
	bio->bi_status = ca_base_status(base);
	if (!base->end_io) {
		bio_endio(bio);
		return;
	}
	/* bio_endio() has run already: only the completion of the bio's owner is left. */
	bio->bi_io_vec = base->vecs;
	bio->bi_private = base->private;
	bio->bi_end_io = base->end_io;
	bio->bi_end_io(bio);
}
