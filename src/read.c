// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads: read into the base bio -> split -> converted in place -> ended. A large one may be read in
 * parts, each of which is split off when it is there.
 *
 * A read needs no memory: the base bio itself goes to the lower device, with its bi_end_io replaced
 * until it comes back. With metadata there is a clone, since the metadata is attached to that. A
 * read whose tag does not match goes on in recheck.c.
 */
#include "read.h"

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "convert.h"
#include "decide.h"
#include "dispatch.h"
#include "fragment.h"
#include "latency.h"
#include "meta.h"
#include "recheck.h"
#include "softirq.h"
#include "split.h"
#include "stats.h"
#include "workers.h"

/* ---------------------------------------------------------------------------- the end */

/* All fragments have ended: a read that failed in the cipher is read once more. */
static void end_read(struct ca_base *base)
{
	if (unlikely(base->is_mismatch))
		ca_recheck_start(base);
	else
		ca_base_end(base);
}

/*
 * Whether a fragment that failed may be well when it is read and converted once more: its tag did
 * not match, or the driver had no memory and may have left its data half converted.
 */
static bool is_worth_recheck(const struct dm_crypt_io *io)
{
	int err = io->ctx.error;

	return err == -ENOMEM || (err == -EBADMSG && io->ca->cipher.aead);
}

/* Goes on when a fragment's conversion is over. */
static void read_converted(struct dm_crypt_io *io, bool in_task)
{
	blk_status_t status = BLK_STS_OK;
	struct ca_base *base;

	if (unlikely(io->ctx.error)) {
		status = BLK_STS_IOERR;
		if (is_worth_recheck(io))
			WRITE_ONCE(io->base->is_mismatch, true);
	}
	base = ca_fragment_end(io, status);
	if (base)
		end_read(base);
}

/* ---------------------------------------------------------------------------- splitting */

/*
 * The ciphertext is in memory: splits it and converts the fragments that are not handed out. Does
 * not wait for fragments: if none can be allocated, the base's own converts the rest.
 */
static void split_read(struct ca_base *base, enum ca_caller caller)
{
	struct dm_crypt_io *io = &base->first;
	unsigned int part = ca_dispatch_split_size(base);
	bool helps = ca_split_helps_out(caller) && part < base->rest.bi_size;

	io->converted = read_converted;
	if (helps)
		atomic_inc(&base->refs);
	for (; part < base->rest.bi_size; part = ca_dispatch_split_size(base)) {
		io = ca_fragment_alloc(base, GFP_NOWAIT | __GFP_NOWARN);
		if (!io)
			break;
		io->converted = read_converted;
		atomic_inc(&base->refs);
		ca_split_take(io, part);
		ca_split_dispatch(io, caller, true, helps);
	}
	io = &base->first;
	ca_split_take(io, base->rest.bi_size);
	ca_split_dispatch(io, caller, false, helps);
	if (helps && ca_split_help_out(base, caller))
		end_read(base);
}

/* A worker of the list splits a read. */
static void split_read_job(struct ca_job *job, enum ca_caller caller)
{
	struct ca_base *base = container_of(job, struct ca_base, job);

	ca_latency_end(&base->ca->latency, false, CA_PHASE_QUEUE, &base->first.queued_at);
	split_read(base, caller);
}

/* Leaves a read to a worker. */
static void defer_read(struct ca_base *base)
{
	struct ca_device *ca = base->ca;

	ca_count(ca, CA_STAT_DEFERRED);
	base->first.queued_at = ca_latency_begin(&ca->latency);
	base->job.run = split_read_job;
	base->job.base = base;
	base->job.bytes = base->all.bi_size;
	base->job.is_share = false;
	base->job.may_place = true;
	ca_workers_add(&ca->workers, &base->job, ca_dispatch_is_sync_submitter(base));
}

/* --------------------------------------------------------- where a read goes on */

static void read_again(struct ca_base *base);

/* Splits a read in a soft interrupt, within bounds of size and time, or leaves it to a worker. */
static void split_in_softirq(struct ca_base *base)
{
	const unsigned int bytes = base->rest.bi_size;
	const bool is_whole = bytes <= READ_ONCE(base->ca->dispatch.fragment_bytes[READ]);
	u64 now = local_clock();

	if (ca_dispatch_decide_read(base, CA_FROM_SOFTIRQ, is_whole, now) == CA_QUEUE) {
		defer_read(base);
		return;
	}
	if (is_whole) {
		base->first.converted = read_converted;
		ca_split_take(&base->first, bytes);
		ca_split_convert_in_softirq(&base->first, now);
		return;
	}
	/*
	 * A conversion that is short enough for here ends before another CPU could begin to help.
	 */
	base->min_split = 0;
	split_read(base, CA_FROM_SOFTIRQ);
}

/* The soft interrupt that follows a hard one. */
static void softirq_job(struct ca_job *job, enum ca_caller caller)
{
	struct ca_base *base = container_of(job, struct ca_base, job);

	ca_latency_end(&base->ca->latency, false, CA_PHASE_QUEUE, &base->first.queued_at);
	split_in_softirq(base);
}

/* Bios cannot be converted in a hard interrupt: leaves the read to a soft one or to a worker. */
static void leave_hardirq(struct ca_base *base)
{
	struct ca_device *ca = base->ca;

	if (ca_dispatch_decide_read(base, CA_FROM_HARDIRQ, true, 0) == CA_QUEUE) {
		defer_read(base);
		return;
	}
	base->first.queued_at = ca_latency_begin(&ca->latency);
	base->job.run = softirq_job;
	ca_softirq_add(ca->softirqs, &base->job);
}

/*
 * Whether a program that asked not to wait can still be told to try again. Behind a thread of the
 * kernel it has been told already that its read is under way.
 */
static bool can_tell(const struct ca_base *base)
{
	return ca_base_is_in_submit(base) && !(current->flags & PF_KTHREAD);
}

/* ----------------------------------------------------------------------- reads in parts */

static void submit_read_base(struct ca_base *base)
{
	struct ca_device *ca = base->ca;

	base->first.since = ca_latency_begin(&ca->latency);
	dm_submit_bio_remap(base->bio, NULL);
}

/* Makes the base bio one that reads @bytes of the rest, for the first time or once more. */
static void aim_at_rest(struct ca_base *base, unsigned int bytes)
{
	struct bio *bio = base->bio;

	/* The lower device may have passed it on to another one. */
	bio_set_dev(bio, base->ca->dev->bdev);
	bio->bi_iter = base->rest;
	bio->bi_iter.bi_sector = base->ca->start + ca_base_rest_sector(base);
	bio->bi_iter.bi_size = bytes;
	ca_base_renew_bio(bio);
}

/* Reads @bytes of the rest. The control group is charged for that as for another bio. */
static void read_rest(struct ca_base *base, unsigned int bytes)
{
	struct bio *bio = base->bio;

	bio_clear_flag(bio, BIO_CGROUP_ACCT);
	/* Has bio_set_dev() forget that the bio was throttled. */
	bio->bi_bdev = NULL;
	aim_at_rest(base, bytes);
	submit_read_base(base);
}

/* Has the lower device read the next part, after the caller has returned to submit_bio(). */
static void read_part(struct ca_base *base, unsigned int bytes)
{
	base->part = bytes;
	read_rest(base, bytes);
}

/* Splits what is left after the last part was read. */
static void convert_last_part(struct ca_base *base)
{
	base->part = 0;
	ca_base_move(base, CA_BASE_READ);
	split_read(base, CA_FROM_SUBMITTER);
	if (ca_split_help_out(base, CA_FROM_SUBMITTER))
		end_read(base);
}

/*
 * Converts a part, and reads the next one. Without memory for a fragment, that part is read again
 * with all of the rest, which needs none.
 */
static void convert_part(struct ca_base *base)
{
	struct dm_crypt_io *io = ca_fragment_alloc(base, GFP_NOWAIT | __GFP_NOWARN);

	if (!io) {
		read_part(base, base->rest.bi_size);
		return;
	}
	io->converted = read_converted;
	atomic_inc(&base->refs);
	ca_split_take(io, base->part);
	ca_split_dispatch(io, CA_FROM_SUBMITTER, true, true);
	read_part(base, ca_dispatch_part_size(base));
}

/*
 * Stops reading in parts before the last one is split. Perhaps no worker has begun the earlier
 * ones, which the splitter does not convert any more: one is woken.
 */
static void give_up_parts(struct ca_base *base)
{
	base->part = 0;
	ca_workers_ensure(&base->ca->workers);
	atomic_dec(&base->refs);
}

static void read_rest_work(struct work_struct *work)
{
	struct ca_base *base = container_of(work, struct ca_base, job.work);
	struct ca_worker_scope scope = ca_worker_begin(&base->ca->workers, base);

	read_rest(base, base->rest.bi_size);
	ca_worker_end(scope);
}

static void split_where_completed(struct ca_base *base);

/*
 * A part was read, but not within submit_bio(). If it is not the last one, a thread that may wait
 * for the lower device reads the rest, with that part, as one.
 */
static void end_late(struct ca_base *base)
{
	const bool is_last = base->part == base->rest.bi_size;

	give_up_parts(base);
	if (is_last) {
		split_where_completed(base);
	} else {
		INIT_WORK(&base->job.work, read_rest_work);
		ca_workers_queue_submission(&base->ca->workers, &base->job.work);
	}
}

/* The lower device has read a part. */
static void complete_part(struct ca_base *base, blk_status_t status)
{
	struct ca_device *ca = base->ca;

	ca_latency_end(&ca->latency, false, CA_PHASE_DEVICE, &base->first.since);
	if (unlikely(status)) {
		ca_base_report_error(base, ca_base_rest_sector(base), base->part, status);
		ca_base_fail(base, status);
		give_up_parts(base);
		if (ca_base_put(base))
			end_read(base);
	} else if (unlikely(!ca_base_is_in_submit(base) || irqs_disabled())) {
		end_late(base);
	} else if (base->part == base->rest.bi_size) {
		convert_last_part(base);
	} else {
		convert_part(base);
	}
}

/* -------------------------------------------------------------------------- completion */

/* All of the rest was read: splits it here, or where it can be converted. */
static void split_where_completed(struct ca_base *base)
{
	ca_base_move(base, CA_BASE_READ);
	if (in_hardirq() || irqs_disabled())
		leave_hardirq(base);
	else if (in_task() && base->submitter == current)
		split_read(base, CA_FROM_SUBMITTER);
	else
		split_in_softirq(base);
}

/* The lower device has answered. */
static void complete_read(struct ca_base *base, blk_status_t status)
{
	if (base->part) {
		complete_part(base, status);
		return;
	}
	if (unlikely(status == BLK_STS_AGAIN && base->is_nowait && !can_tell(base))) {
		read_again(base);
		return;
	}
	ca_latency_end(&base->ca->latency, false, CA_PHASE_DEVICE, &base->first.since);
	if (unlikely(status)) {
		ca_base_report_error(base, ca_base_rest_sector(base), base->rest.bi_size, status);
		ca_base_fail(base, status);
		/* Fragments of parts that were read before this may be in flight. */
		if (ca_base_put(base))
			end_read(base);
		return;
	}
	split_where_completed(base);
}

static void complete_read_base(struct bio *bio)
{
	complete_read(bio->bi_private, bio->bi_status);
}

static void complete_read_clone(struct bio *clone)
{
	struct ca_base *base = clone->bi_private;
	blk_status_t status = clone->bi_status;

	bio_put(clone);
	complete_read(base, status);
}

/* ------------------------------------------------------------------------------- start */

/* Return: the clone for a read with metadata, NULL if @gfp does not allow to wait for it. */
static struct bio *make_read_clone(struct ca_base *base, gfp_t gfp)
{
	struct ca_device *ca = base->ca;
	struct bio *clone;

	if (!ca_meta_get(base, gfp))
		return NULL;
	clone = bio_alloc_clone(ca->dev->bdev, base->bio, gfp, &ca->fragments.bios);
	if (!clone)
		return NULL;
	if (!ca_meta_reserve(&ca->meta, clone, gfp)) {
		bio_put(clone);
		return NULL;
	}
	clone->bi_iter.bi_sector = ca->start + base->sector;
	clone->bi_private = base;
	clone->bi_end_io = complete_read_clone;
	bio_clear_polled(clone);
	return clone;
}

/* Return: whether a read with metadata is under way; false only if @gfp does not allow to wait. */
static bool submit_read_clone(struct ca_base *base, gfp_t gfp)
{
	struct ca_device *ca = base->ca;
	struct bio *clone;

	base->first.since = ca_latency_begin(&ca->latency);
	clone = make_read_clone(base, gfp);
	if (!clone)
		return false;
	if (base->state == CA_BASE_NEW)
		ca_base_move(base, CA_BASE_READING);
	if (ca_meta_attach(ca, clone, base->meta)) {
		bio_put(clone);
		ca_base_fail(base, BLK_STS_IOERR);
		ca_base_end(base);
	} else {
		dm_submit_bio_remap(base->bio, clone);
	}
	return true;
}

/* Submits a read with metadata, and waits for what it needs. */
static void submit_in_worker(struct ca_base *base)
{
	struct ca_worker_scope scope = ca_worker_begin(&base->ca->workers, base);

	base->is_nowait = false;
	base->bio->bi_opf &= ~REQ_NOWAIT;
	submit_read_clone(base, GFP_NOIO);
	ca_worker_end(scope);
}

/* A splitter that may sleep for memory. */
static void submit_read_work(struct work_struct *work)
{
	struct ca_base *base = container_of(work, struct ca_base, job.work);
	struct ca_device *ca = base->ca;

	submit_in_worker(base);
	atomic_dec(&ca->split.waiting);
}

/* A read with metadata that the lower device refused. */
static void read_clone_again_work(struct work_struct *work)
{
	submit_in_worker(container_of(work, struct ca_base, job.work));
}

/* Submits a read that the lower device refused to wait for. All of it: it may have begun. */
static void read_again_work(struct work_struct *work)
{
	struct ca_base *base = container_of(work, struct ca_base, job.work);
	struct ca_worker_scope scope = ca_worker_begin(&base->ca->workers, base);

	base->is_nowait = false;
	aim_at_rest(base, base->all.bi_size);
	base->bio->bi_opf &= ~REQ_NOWAIT;
	submit_read_base(base);
	ca_worker_end(scope);
}

/*
 * The lower device would have had to wait for room, and it is too late to tell the program, which
 * asked not to wait.
 */
static void read_again(struct ca_base *base)
{
	struct ca_workers *workers = &base->ca->workers;

	if (base->meta) {
		INIT_WORK(&base->job.work, read_clone_again_work);
		ca_workers_queue_splitter(workers, &base->job.work, true);
	} else {
		INIT_WORK(&base->job.work, read_again_work);
		ca_workers_queue_submission(workers, &base->job.work);
	}
}

/*
 * Whether the lower device can use all of a bio's memory. Modules may hand in pieces that begin and
 * end anywhere, and some drivers do not check what they ask for, but return wrong data. A bio of
 * more pieces than a request may have, or with gaps that it may not have, is split; a logical block
 * that lies in several pieces cannot be.
 */
static bool is_usable(const struct bio *bio, struct block_device *bdev)
{
	const unsigned int mask = bdev_dma_alignment(bdev);
	const unsigned int block = bdev_logical_block_size(bdev) - 1;
	const struct request_queue *queue = bdev_get_queue(bdev);
	const unsigned long boundary = queue_virt_boundary(queue);
	struct bvec_iter at = bio->bi_iter;
	unsigned int pieces = 0;
	unsigned int cut = 0;
	unsigned long gap = 0;
	unsigned int end = 0;
	struct bio_vec bv;

	for (;;) {
		bv = mp_bvec_iter_bvec(bio->bi_io_vec, at);
		if ((bv.bv_offset | bv.bv_len) & mask)
			return false;
		cut |= bv.bv_len & block;
		if (pieces++)
			gap |= (end | bv.bv_offset) & boundary;
		if (bv.bv_len == at.bi_size)
			break;
		end = bv.bv_offset + bv.bv_len;
		bvec_iter_advance_single(bio->bi_io_vec, &at, bv.bv_len);
	}
	return likely(!cut) || (!gap && pieces <= queue_max_segments(queue));
}

/**
 * ca_read_start() - reads a base bio, splits and converts it
 * @base: the base, new
 *
 * Context: Task, inside submit_bio(); does not sleep for memory.
 */
void ca_read_start(struct ca_base *base)
{
	struct ca_device *ca = base->ca;

	if (unlikely(!is_usable(base->bio, ca->dev->bdev))) {
		ca_recheck_bounce(base);
		return;
	}
	if (ca->meta.size) {
		if (!submit_read_clone(base, GFP_NOWAIT | __GFP_NOWARN))
			ca_split_defer(base, submit_read_work);
		return;
	}
	bio_set_dev(base->bio, ca->dev->bdev);
	ca_base_redirect_bio(base, ca->start + base->sector, complete_read_base);
	ca_base_move(base, CA_BASE_READING);
	if (ca_dispatch_wants_parts(base)) {
		/* The splitter, which reads them, has a reference of its own. */
		atomic_inc(&base->refs);
		read_part(base, ca_dispatch_part_size(base));
	} else {
		submit_read_base(base);
	}
}
