// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a bio once more. A read of which a tag did not match, or for which the crypto driver had no
 * memory, is read and converted again by a worker, unit by unit, in a page to which nobody else
 * writes.
 *
 * A program may write to its buffer while it is read, so that correct data does not match its tag.
 * Only a unit that fails here is reported.
 */
#include "recheck.h"

#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/wait_bit.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "convert.h"
#include "decide.h"
#include "fragment.h"
#include "meta.h"
#include "pages.h"
#include "workers.h"

/*
 * A unit's conversion is over. The state is the last thing that is written: the worker that sees it
 * may end the base at once.
 */
static void recheck_converted(struct dm_crypt_io *io, bool in_task)
{
	/* Pairs with the acquire in read_unit(): with the state it sees all that came before. */
	smp_mb();
	ca_fragment_move(io, CA_FRAGMENT_CONVERTED);
	/*
	 * Pairs with the one in prepare_to_wait_event(): the wake-up sees the waiter, or that the
	 * state.
	 */
	smp_mb();
	wake_up_var(&io->state);
}

static void complete_unit(struct bio *bio)
{
	complete(bio->bi_private);
}

/* The reader's cgroup is charged, not the worker's. Return: 0 or a negative errno. */
static int submit_and_wait(struct ca_base *base, struct bio *bio)
{
	DECLARE_COMPLETION_ONSTACK(done);

	bio->bi_private = &done;
	bio->bi_end_io = complete_unit;
	bio->bi_opf |= REQ_SYNC;
	dm_submit_bio_remap(base->bio, bio);
	wait_for_completion_io(&done);
	return blk_status_to_errno(bio->bi_status);
}

/* Reads one unit and converts it. Return: 0 or a negative errno. */
static int read_unit(struct ca_base *base, struct bio *bio, sector_t sector)
{
	struct dm_crypt_io *io = &base->first;
	struct bvec_iter at = bio->bi_iter;
	u8 *meta = ca_meta_of(base, sector);
	int err;

	err = ca_meta_attach(base->ca, bio, meta) ?: submit_and_wait(base, bio);
	if (err)
		return err;

	ca_fragment_init(io, base->ca, base, false);
	io->sector = sector;
	io->bytes = at.bi_size;
	io->converted = recheck_converted;
	io->sleeps = base->ca->cipher.iv_ops->looks_at_data;
	ca_convert_init(&io->ctx, bio->bi_io_vec, &at, bio->bi_io_vec, at.bi_size, 1);
	io->ctx.at.sector = sector + base->ca->iv_offset;
	io->ctx.at.tag = meta;
	ca_fragment_move(io, CA_FRAGMENT_SPLIT);
	if (ca_convert(io, CA_FROM_SLEEPER))
		ca_convert_finish(io, true);
	/* Pairs with the first barrier in recheck_converted(). */
	wait_var_event(&io->state, smp_load_acquire(&io->state) == CA_FRAGMENT_CONVERTED);
	return io->ctx.error;
}

/* Reads one unit into a bounce page, and copies it to the reader's memory if it is well. */
static int check_unit(struct ca_base *base, sector_t sector, struct bvec_iter at)
{
	struct ca_device *ca = base->ca;
	struct ca_bounce bounce = { };
	struct bio *bio;
	int err;

	bio = ca_fragment_alloc_bio(base, sector, ca->unit_size, GFP_NOIO);
	ca_meta_reserve(&ca->meta, bio, GFP_NOIO);
	bounce.vecs = bio->bi_io_vec;
	ca_pages_fill(&ca->pages, &bounce, ca->unit_size, true);
	bio->bi_vcnt = bounce.count;
	bio->bi_iter.bi_size = bounce.bytes;
	err = read_unit(base, bio, sector);
	if (!err) {
		at.bi_size = ca->unit_size;
		ca_base_copy(base->bio->bi_io_vec, at, bounce.vecs,
			     (struct bvec_iter){ .bi_size = ca->unit_size });
	}
	ca_pages_free(&ca->pages, &bounce, true);
	bio_put(bio);
	return err;
}

static void check_units(struct ca_base *base)
{
	struct bvec_iter at = base->all;
	struct ca_device *ca = base->ca;
	sector_t sector = base->sector;
	int err = 0;

	while (at.bi_size && !err) {
		err = check_unit(base, sector, at);
		if (err == -EBADMSG)
			ca_meta_report_auth_error(base, sector);
		bio_advance_iter(base->bio, &at, ca->unit_size);
		sector += ca->unit_size >> SECTOR_SHIFT;
	}
	if (err)
		ca_base_fail(base, err == -EBADMSG ? BLK_STS_PROTECTION :
						     errno_to_blk_status(err));
}

/* Ends the base with the outcome of the second reading. */
static void recheck_work(struct work_struct *work)
{
	struct ca_base *base = container_of(work, struct ca_base, job.work);
	struct ca_worker_scope scope = ca_worker_begin(&base->ca->workers, base);

	base->bio->bi_opf &= ~REQ_NOWAIT;
	check_units(base);
	ca_base_end(base);
	ca_worker_end(scope);
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
	ca_base_move(base, CA_BASE_RECHECKING);
	INIT_WORK(&base->job.work, recheck_work);
	ca_workers_queue_splitter(&base->ca->workers, &base->job.work);
}
