// SPDX-License-Identifier: GPL-2.0-only
/*
 * Submits converted write fragments. A fragment goes to the lower device as a clone or as the base
 * bio itself, and ends when that has answered.
 */
#include "submit.h"

#include <linux/bio.h>
#include <linux/sched.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "fragment.h"
#include "latency.h"
#include "meta.h"
#include "pages.h"
#include "watchdog.h"
#include "workers.h"

/* Gives back everything that a fragment goes to the lower device with, and ends it. */
static void end_write(struct dm_crypt_io *io, blk_status_t status, bool clear)
{
	struct ca_base *base;

	ca_pages_free(&io->ca->pages, &io->bounce, clear);
	if (io->clone)
		bio_put(io->clone);
	io->clone = NULL;
	base = ca_fragment_end(io, status);
	if (base)
		ca_base_end(base);
}

/* The lower device has answered. */
static void complete_write(struct dm_crypt_io *io, blk_status_t status)
{
	ca_latency_end(&io->ca->latency, true, CA_PHASE_DEVICE, &io->since);
	if (unlikely(status))
		ca_base_report_error(io->base, io->sector, io->bytes, status);
	end_write(io, status, false);
}

static void complete_write_clone(struct bio *clone)
{
	complete_write(clone->bi_private, clone->bi_status);
}

static void complete_write_base(struct bio *bio)
{
	struct ca_base *base = bio->bi_private;

	complete_write(&base->first, bio->bi_status);
}

/* The base bio goes to the lower device, with the ciphertext in place of the writer's memory. */
static void submit_base(struct ca_base *base)
{
	const struct ca_bounce *bounce = &base->first.bounce;
	struct bio *bio = base->bio;

	ca_base_redirect_bio(base, base->ca->start + base->sector, complete_write_base);
	bio->bi_io_vec = bounce->vecs;
	bio->bi_iter = (struct bvec_iter) {
		.bi_sector = bio->bi_iter.bi_sector, .bi_size = bounce->bytes };
	dm_submit_bio_remap(bio, NULL);
}

static void submit_clone(struct dm_crypt_io *io)
{
	io->clone->bi_end_io = complete_write_clone;
	io->clone->bi_private = io;
	/* Not submit_bio_noacct(): only the device mapper knows which cgroup to charge. */
	dm_submit_bio_remap(io->base->bio, io->clone);
}

static void note_end(struct bio *bio)
{
	*(bool *)bio->bi_private = true;
}

/**
 * ca_submit_account() - starts the base bio's accounting, before its fragments are submitted
 * @base: of a write of several fragments, none of which has been dispatched
 *
 * dm_submit_bio_remap() starts the accounting with the first bio that it gets, without a lock, and
 * fragments are submitted at the same time. So it first gets a bio that goes nowhere: the block
 * layer refuses an append at sector 1, at once and on any device, since no zone begins there and
 * others than zoned devices take no appends. The bio may lie on the stack for that reason. Zoned
 * devices need none of that, as their fragments are submitted one by one.
 *
 * Context: Task; does not sleep.
 */
void ca_submit_account(struct ca_base *base)
{
	const struct ca_device *ca = base->ca;
	bool has_ended = false;
	struct bio bio;

	if (ca->zoned.is_ordered)
		return;
	bio_init(&bio, ca->dev->bdev, NULL, 0, REQ_OP_ZONE_APPEND);
	bio.bi_iter.bi_sector = 1;
	bio.bi_private = &has_ended;
	bio.bi_end_io = note_end;
	dm_submit_bio_remap(base->bio, &bio);
	WARN_ON_ONCE(!has_ended);
	bio_uninit(&bio);
}

/**
 * ca_submit_drop() - ends a fragment with an error instead of writing it
 * @io: the fragment, owned by the caller, which must not touch it afterwards
 * @clear: its encryption failed half way, so that its pages may hold anything
 *
 * Context: Any.
 */
void ca_submit_drop(struct dm_crypt_io *io, bool clear)
{
	end_write(io, BLK_STS_IOERR, clear);
}

/**
 * ca_submit_write() - hands a fragment to the lower device
 * @io: the fragment, converted, owned by the caller, which must not touch it afterwards
 *
 * Context: Task. May sleep for as long as the lower device likes.
 */
void ca_submit_write(struct dm_crypt_io *io)
{
	struct ca_base *base = io->base;
	struct ca_device *ca = io->ca;

	io->since = ca_latency_begin(&ca->latency);
	/* The submitter may not be made to wait; a worker may. */
	if (current != base->submitter)
		(io->clone ?: base->bio)->bi_opf &= ~REQ_NOWAIT;
	/* A device that found a state of its own wrong does not trust what it has converted. */
	if (ca_watchdog_is_broken(&ca->watchdog) ||
	    (base->meta && ca_meta_attach(ca, io->clone, ca_meta_of(base, io->sector)))) {
		ca_submit_drop(io, false);
		return;
	}
	ca_fragment_move(io, CA_FRAGMENT_WRITING);
	if (io->clone)
		submit_clone(io);
	else
		submit_base(base);
}

static void submit_write_work(struct work_struct *work)
{
	struct dm_crypt_io *io = container_of(work, struct dm_crypt_io, job.work);
	struct ca_worker_scope scope = ca_worker_begin(&io->ca->workers, io->base);

	ca_latency_end(&io->ca->latency, true, CA_PHASE_QUEUE, &io->queued_at);
	ca_submit_write(io);
	ca_worker_end(scope);
}

/**
 * ca_submit_queue() - has a worker of this CPU submit a fragment
 * @io: the fragment, converted, owned by the caller, which must not touch it afterwards
 *
 * The ciphertext is in this CPU's cache.
 *
 * Context: Any.
 */
void ca_submit_queue(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;

	io->queued_at = ca_latency_begin(&ca->latency);
	INIT_WORK(&io->job.work, submit_write_work);
	ca_workers_queue_here(&ca->workers, &io->job.work);
}
