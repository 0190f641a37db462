// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads into bounce pages. A read of which a tag did not match, or for which there was no memory,
 * is read again by a worker, a unit or a logical block of the lower device at a time, into a page
 * to which nobody else writes, and converted there unit by unit. A read with memory that the lower
 * device cannot use is read in this way only, in larger parts.
 *
 * A program may write to its buffer while it is read, so that correct data does not match its tag.
 * Only a unit that fails here is reported.
 */
#include "recheck.h"

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/minmax.h>
#include <linux/wait_bit.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "convert.h"
#include "decide.h"
#include "fragment.h"
#include "latency.h"
#include "meta.h"
#include "pages.h"
#include "workers.h"

/* The largest part of a read that has not been read before; memory may be short. In bytes. */
#define PART_BYTES	(64U * 1024)

/* Shorter than the time after which a waiting task counts as hung, in jiffies. */
#define RECHECK_WAIT	(60 * HZ)

/*
 * A unit's conversion is over. The state is the last thing that is written: the worker that sees it
 * may end the base at once.
 */
static void recheck_converted(struct dm_crypt_io *io, bool in_task)
{
	/* Pairs with the acquire in convert_unit(): with the state it sees all that came before. */
	smp_mb();
	ca_fragment_move(io, CA_FRAGMENT_CONVERTED);
	/*
	 * Pairs with the one in prepare_to_wait_event(): either wake_up_var() sees the waiter, or
	 * the waiter sees the state.
	 */
	smp_mb();
	wake_up_var(&io->state);
}

/* Where the rest begins, relative to the target. */
static sector_t rest_sector(const struct ca_base *base, const struct bvec_iter *rest)
{
	return base->sector + ((base->all.bi_size - rest->bi_size) >> SECTOR_SHIFT);
}

static void complete_part(struct bio *bio)
{
	complete(bio->bi_private);
}

/* The reader's cgroup is charged, not the worker's. Return: 0 or a negative errno. */
static int submit_and_wait(struct ca_base *base, struct bio *bio)
{
	DECLARE_COMPLETION_ONSTACK(done);

	bio->bi_private = &done;
	bio->bi_end_io = complete_part;
	bio->bi_opf |= REQ_SYNC;
	base->first.since = ca_latency_begin(&base->ca->latency);
	dm_submit_bio_remap(base->bio, bio);
	/* The reader's cgroup may be throttled for longer than a task may hang. */
	while (!wait_for_completion_io_timeout(&done, RECHECK_WAIT))
		;
	ca_latency_end(&base->ca->latency, false, CA_PHASE_DEVICE, &base->first.since);
	return blk_status_to_errno(bio->bi_status);
}

/* Converts one unit of what was read. Return: 0 or a negative errno. */
static int convert_unit(struct ca_base *base, const struct bio_vec *vecs,
			const struct bvec_iter *at, sector_t sector)
{
	struct dm_crypt_io *io = &base->first;
	struct ca_device *ca = base->ca;

	ca_fragment_init(io, ca, base, false);
	io->sector = sector;
	io->bytes = ca->unit_size;
	io->converted = recheck_converted;
	io->sleeps = ca->cipher.iv_ops->looks_at_data;
	ca_convert_init(&io->ctx, vecs, at, vecs, NULL, ca->unit_size, 1);
	io->ctx.at.sector = sector + ca->iv_offset;
	io->ctx.at.tag = ca_meta_of(base, sector);
	ca_fragment_move(io, CA_FRAGMENT_SPLIT);
	if (ca_convert(io, CA_FROM_SLEEPER))
		ca_convert_finish(io, true);
	/* Pairs with the first barrier in recheck_converted(). */
	wait_var_event(&io->state, smp_load_acquire(&io->state) == CA_FRAGMENT_CONVERTED);
	return io->ctx.error;
}

/* Converts what was read, and copies each unit that is well to the reader's memory. */
static int check_units(struct ca_base *base, const struct ca_bounce *bounce, struct bvec_iter *rest)
{
	struct bvec_iter at = { .bi_size = bounce->bytes };
	const unsigned int unit = base->ca->unit_size;

	while (at.bi_size) {
		sector_t sector = rest_sector(base, rest);
		struct bvec_iter to = *rest;
		int err = convert_unit(base, bounce->vecs, &at, sector);

		if (err == -EBADMSG)
			ca_meta_report_auth_error(base, sector);
		if (err)
			return err;
		to.bi_size = unit;
		ca_base_copy(base->bio->bi_io_vec, to, bounce->vecs, at);
		bvec_iter_advance(bounce->vecs, &at, unit);
		bvec_iter_advance(base->bio->bi_io_vec, rest, unit);
	}
	return 0;
}

/*
 * Reads @bytes at the beginning of the rest into bounce pages, and takes what is well off the rest.
 * Return: 0 or a negative errno.
 */
static int read_part(struct ca_base *base, struct bvec_iter *rest, unsigned int bytes)
{
	sector_t sector = rest_sector(base, rest);
	struct ca_device *ca = base->ca;
	struct ca_bounce bounce = { };
	struct bio *bio;
	int err;

	bio = ca_fragment_alloc_bio(base, sector, bytes, GFP_NOIO);
	ca_meta_reserve(&ca->meta, bio, GFP_NOIO);
	bounce.vecs = bio->bi_io_vec;
	ca_pages_fill(&ca->pages, &bounce, bytes, true);
	bio->bi_vcnt = bounce.count;
	bio->bi_iter.bi_size = bounce.bytes;
	err = ca_meta_attach(ca, bio, ca_meta_of(base, sector)) ?: submit_and_wait(base, bio) ?:
	      check_units(base, &bounce, rest);
	ca_pages_free(&ca->pages, &bounce, true);
	bio_put(bio);
	return err;
}

/* Reads the base bio, @bytes at a time, and ends it. */
static void read_parts(struct ca_base *base, unsigned int bytes)
{
	struct bvec_iter rest = base->all;
	int err = 0;

	while (rest.bi_size && !err)
		err = read_part(base, &rest, min(bytes, rest.bi_size));
	if (err)
		ca_base_fail(base, err == -EBADMSG ? BLK_STS_PROTECTION :
						     errno_to_blk_status(err));
	ca_base_end(base);
}

/* The second reading. A unit may be smaller than what the lower device reads. */
static void recheck_work(struct work_struct *work)
{
	struct ca_base *base = container_of(work, struct ca_base, job.work);
	struct ca_worker_scope scope = ca_worker_begin(&base->ca->workers, base);

	base->bio->bi_opf &= ~REQ_NOWAIT;
	read_parts(base, max(base->ca->unit_size,
			     bdev_logical_block_size(base->ca->dev->bdev)));
	ca_worker_end(scope);
}

/* The only reading. */
static void bounce_work(struct work_struct *work)
{
	struct ca_base *base = container_of(work, struct ca_base, job.work);
	struct ca_worker_scope scope = ca_worker_begin(&base->ca->workers, base);

	base->bio->bi_opf &= ~REQ_NOWAIT;
	ca_meta_get(base, GFP_NOIO);
	read_parts(base, PART_BYTES);
	ca_worker_end(scope);
}

static void queue(struct ca_base *base, work_func_t work)
{
	ca_base_move(base, CA_BASE_RECHECKING);
	INIT_WORK(&base->job.work, work);
	ca_workers_queue_splitter(&base->ca->workers, &base->job.work, base->meta);
}

/**
 * ca_recheck_start() - reads a base bio again, and ends it
 * @base: the base, all of its fragments ended, owned by the caller
 *
 * Context: Any.
 */
void ca_recheck_start(struct ca_base *base)
{
	base->status = 0;
	queue(base, recheck_work);
}

/**
 * ca_recheck_bounce() - reads a base bio into bounce pages, converts it there, and ends it
 * @base: the base, new
 *
 * For memory that the lower device cannot use.
 *
 * Context: Task, the submitter inside submit_bio().
 */
void ca_recheck_bounce(struct ca_base *base)
{
	queue(base, bounce_work);
}
