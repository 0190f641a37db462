// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes: split -> converted into bounce pages -> submitted -> ended.
 *
 * Each fragment goes to the lower device as one bio, or with others as one, so it is as large as
 * that takes: a disk may be limited by requests rather than by bytes. Its conversion is shared with
 * other threads.
 *
 * The submitter also submits what it has converted itself, inside map. All else goes to a writer
 * (writers.c), but for a device that ends bios within submit_bio(). So does this while a writer is
 * busy: what it submits is sorted and merged.
 *
 * If the IV generator or an authenticated cipher asks for it, a write is copied into its bounce
 * pages and converted there. A write that is small enough to be one fragment needs no clone: the
 * base bio itself goes to the lower device, with bounce pages in place of the writer's memory. With
 * metadata there is always a clone, since the metadata is attached to that.
 *
 * Waiting for memory. A write's fragment needs, in this order,
 *
 *	1. the base's page for metadata (on a device that has it),
 *	2. its object (unless it is the base's first),
 *	3. a clone bio, and for that a payload for metadata, from the allocator,
 *	4. at least one bounce page.
 *
 * A base bio that goes to the lower device itself needs pages only. A splitter sleeps for one of
 * these only on split_wq or meta_wq, and only while it holds nothing that comes later. The resource
 * that it waits for is held by fragments that have all they need, or by splitters that wait for
 * something later in the order; a fragment that has all it needs ends by itself. Metadata is held
 * while the base waits in a queue as well: it may be in use, by fragments that were split off
 * before, or hold the tags of a read that is to be read again. So only bases that have none are
 * queued on split_wq, and those that have some on meta_wq, where none waits for metadata. (A read
 * through bounce pages takes its metadata on split_wq, and all else that it needs after that.) A
 * bio that is made of several fragments (join.c) comes from the clones' pool without waiting, and
 * ends by itself.
 *
 * Pages after the first are taken only if they are at hand: the fragment is trimmed to the pages
 * that it got; one write at a time that must not be split waits for all of its pages (see pages.c).
 * Below map nothing sleeps, since bios submitted there wait on current->bio_list for map to return:
 * when something is missing, the rest goes to one of these queues.
 */
#include "write.h"

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/sched.h>

#include "../dm-crypt-async.h"
#include "charge.h"
#include "base.h"
#include "convert.h"
#include "decide.h"
#include "dispatch.h"
#include "fragment.h"
#include "meta.h"
#include "pages.h"
#include "split.h"
#include "stats.h"
#include "submit.h"
#include "workers.h"
#include "writers.h"
#include "zoned.h"

/*
 * Whether a fragment is better off with others: neighbours that come under the same plug, and that
 * workers convert, meet it there.
 */
static bool wants_writer(const struct ca_base *base)
{
	const struct ca_device *ca = base->ca;

	return ca_writers_are_wanted(&ca->writers, !base->is_depth_one) ||
	       (base->is_plugged && ca_workers_are_running(&ca->workers));
}

/*
 * Whether a thread that has converted another task's write submits it. To a device that ends each
 * bio within submit_bio(), as a RAM disk does by copying it, a submission is not a wait for others,
 * but work, which is shared like the conversion. But a flush may take long there as well; and a
 * thread that is in submit_bio() itself, of another bio, would have it wait until that is over.
 */
static bool may_submit_for_others(const struct dm_crypt_io *io)
{
	return bdev_synchronous(io->ca->dev->bdev) && !current->bio_list &&
	       !(io->base->bio->bi_opf & (REQ_FUA | REQ_PREFLUSH));
}

/* Goes on when a share of a fragment is converted. */
static void write_converted(struct dm_crypt_io *io, bool in_task)
{
	const bool is_ordered = io->ca->zoned.is_ordered;

	/* Only the last one may touch it any more. Acquire orders the others' shares. */
	if (atomic_read_acquire(&io->unconverted) != 1 && !atomic_dec_and_test(&io->unconverted))
		return;
	if (unlikely(io->ctx.error || io->share_error)) {
		if (is_ordered)
			ca_zoned_leave(io);
		ca_submit_drop(io, true);
		return;
	}
	ca_fragment_move(io, CA_FRAGMENT_CONVERTED);
	if (is_ordered)
		ca_zoned_submit(io);
	else if (in_task && ca_base_is_in_submit(io->base) && !wants_writer(io->base))
		ca_submit_own(io);
	else if (in_task && may_submit_for_others(io))
		ca_submit_write(io);
	else
		ca_writers_add(&io->ca->writers, io);
}

/* The same for a share that is a fragment of its own. The whole has a reference on the base. */
static void share_converted(struct dm_crypt_io *io, bool in_task)
{
	struct dm_crypt_io *whole = io->whole;

	if (unlikely(io->ctx.error))
		cmpxchg(&whole->share_error, 0, io->ctx.error);
	ca_fragment_end(io, BLK_STS_OK);
	write_converted(whole, in_task);
}

/*
 * Whether a write is small enough to be one fragment, the base's own, with the bounce pages in the
 * base bio itself; others need a clone. Nothing has been split off yet.
 */
static bool is_one_fragment(const struct ca_base *base)
{
	const struct ca_device *ca = base->ca;
	unsigned int bytes = base->rest.bi_size;

	return !base->is_started && bytes <= CA_BASE_PAGES * PAGE_SIZE && !ca->meta.size &&
	       ((bytes <= READ_ONCE(ca->dispatch.fragment_bytes[WRITE]) && !base->min_split) ||
		base->bio->bi_opf & REQ_ATOMIC);
}

/* The fragment writes what its bounce pages have room for, from the beginning of the rest on. */
static void place(struct dm_crypt_io *io)
{
	io->sector = ca_base_rest_sector(io->base);
	io->bytes = io->bounce.bytes;
}

/* Return: whether the first fragment now has all of the base bio, and pages for it. */
static bool take_all(struct ca_base *base)
{
	struct dm_crypt_io *io = &base->first;
	struct ca_device *ca = base->ca;

	io->bounce.vecs = base->bounce_vecs;
	if (!ca_pages_fill_all(&ca->pages, &io->bounce, base->rest.bi_size, false))
		return false;
	bio_set_dev(base->bio, ca->dev->bdev);
	base->is_started = true;
	place(io);
	ca_split_take(io, base->rest.bi_size);
	return true;
}

/*
 * Return: a clone for @io with pages for as much of @wanted as there are, for all of it if
 * @is_whole; NULL if something is missing.
 */
static struct bio *make_write_clone(struct dm_crypt_io *io, unsigned int wanted, bool is_whole,
				    bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;
	struct ca_device *ca = io->ca;
	struct bio *clone;

	clone = ca_fragment_alloc_bio(io->base, ca_base_rest_sector(io->base), wanted, gfp);
	if (!clone)
		return NULL;
	io->bounce.vecs = clone->bi_io_vec;
	if (!ca_meta_reserve(&ca->meta, clone, gfp) ||
	    !(is_whole ? ca_pages_fill_all(&ca->pages, &io->bounce, wanted, may_wait) :
			 ca_pages_fill(&ca->pages, &io->bounce, wanted, may_wait))) {
		bio_put(clone);
		return NULL;
	}
	clone->bi_vcnt = io->bounce.count;
	clone->bi_iter.bi_size = io->bounce.bytes;
	return clone;
}

/*
 * Return: the next fragment of a write, with all it needs to come to its end; NULL if something is
 * missing and the caller may not wait. The last one takes over a reference of the splitter on the
 * base.
 */
static struct dm_crypt_io *split_off(struct ca_base *base, bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;
	const bool is_whole = base->bio->bi_opf & REQ_ATOMIC;
	unsigned int rest = base->rest.bi_size;
	struct dm_crypt_io *io = &base->first;
	unsigned int wanted;

	if (!ca_meta_get(base, gfp))
		return NULL;
	if (base->is_started)
		io = ca_fragment_alloc(base, gfp);
	if (!io)
		return NULL;
	wanted = is_whole ? rest : ca_dispatch_write_size(base);
	io->converted = write_converted;
	io->clone = make_write_clone(io, wanted, is_whole, may_wait);
	if (!io->clone) {
		ca_fragment_free(io);
		return NULL;
	}
	if (io->bounce.bytes < wanted)
		ca_count(base->ca, CA_STAT_TRIMMED);
	if (!base->is_started && io->bounce.bytes < rest && !base->ca->zoned.is_ordered)
		ca_charge_start(base);
	base->is_started = true;
	if (io->bounce.bytes < rest)
		atomic_inc(&base->refs);
	place(io);
	if (base->ca->zoned.is_ordered)
		ca_zoned_enter(io);
	return io;
}

/*
 * Hands out a fragment's conversion in shares, except for what the caller converts itself. Without
 * memory for a share, the rest is converted as one.
 */
static void share_out(struct dm_crypt_io *io, enum ca_caller caller, bool helps)
{
	struct ca_base *base = io->base;
	unsigned int left = io->bytes;
	const bool more = left < base->rest.bi_size;
	unsigned int bytes;

	while ((bytes = ca_dispatch_split_size(base)) < left) {
		struct dm_crypt_io *share = ca_fragment_alloc(base, GFP_NOWAIT | __GFP_NOWARN);

		if (!share)
			break;
		share->whole = io;
		share->converted = share_converted;
		atomic_inc(&base->refs);
		atomic_inc(&io->unconverted);
		ca_split_take(share, bytes);
		ca_split_dispatch(share, caller, true, helps);
		left -= bytes;
	}
	ca_split_take(io, left);
	ca_split_dispatch(io, caller, more, helps);
}

/*
 * Return: whether all of the base bio has been split, which ends the splitter. Then nothing of it
 * may be touched any more.
 */
static bool split_write(struct ca_base *base, enum ca_caller caller)
{
	const bool helps = ca_split_helps_out(caller) &&
			   ca_dispatch_split_size(base) < base->rest.bi_size;
	bool more;

	if (helps)
		atomic_inc(&base->refs);
	do {
		struct dm_crypt_io *io = split_off(base, caller == CA_FROM_SLEEPER);

		if (!io) {
			if (helps) {
				/* Nobody may have begun what was handed out before. */
				ca_workers_ensure(&base->ca->workers);
				atomic_dec(&base->refs);
			}
			return false;
		}
		more = io->bytes < base->rest.bi_size;
		share_out(io, caller, helps);
	} while (more);
	if (helps && ca_split_help_out(base, caller))
		ca_base_end(base);
	return true;
}

/* Converts a base bio as one fragment without a clone. Return: false if memory is short. */
static bool convert_whole(struct ca_base *base, enum ca_caller caller)
{
	struct dm_crypt_io *io = &base->first;

	io->converted = write_converted;
	if (!take_all(base))
		return false;
	if (base->ca->zoned.is_ordered)
		ca_zoned_enter(io);
	ca_split_dispatch(io, caller, false, false);
	return true;
}

/* Converts a base bio, as one fragment if it can be one. Return: as split_write(). */
static bool convert_write(struct ca_base *base, enum ca_caller caller)
{
	return (is_one_fragment(base) && convert_whole(base, caller)) || split_write(base, caller);
}

/* A splitter that may sleep for memory. */
static void split_work(struct work_struct *work)
{
	struct ca_base *base = container_of(work, struct ca_base, job.work);
	struct ca_device *ca = base->ca;
	struct ca_worker_scope scope = ca_worker_begin(&ca->workers, base);

	convert_write(base, CA_FROM_SLEEPER);
	atomic_dec(&ca->split.waiting);
	ca_worker_end(scope);
}

/**
 * ca_write_start() - splits, converts and writes a base bio
 * @base: the base, new
 *
 * Context: Task, inside submit_bio(); does not sleep for memory.
 */
void ca_write_start(struct ca_base *base)
{
	if (base->is_plugged && !base->ca->zoned.is_ordered)
		ca_writers_expect(&base->ca->writers);
	/* Writes that came earlier and wait for memory are not overtaken. */
	if (atomic_read(&base->ca->split.waiting) || !convert_write(base, CA_FROM_MAP))
		ca_split_defer(base, split_work);
}
