// SPDX-License-Identifier: GPL-2.0-only
/*
 * Submits converted write fragments. A fragment goes to the lower device as a clone, as the base
 * bio itself or with others as one bio (join.c), and ends when that has answered.
 *
 * A submitter inside map does not wait for room in a lower device that can tell that it has none.
 * Then the fragment goes to a writer, which waits. So a program that asked not to wait is never
 * told that its write would have had to: parts of it may be written already.
 */
#include "submit.h"

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/jiffies.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "fragment.h"
#include "join.h"
#include "latency.h"
#include "meta.h"
#include "pages.h"
#include "watchdog.h"
#include "writers.h"

/* The bio that writes a fragment. */
static struct bio *bio_of(const struct dm_crypt_io *io)
{
	return io->clone ?: io->base->bio;
}

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

/*
 * Whether the lower device would have had to wait for room, or was changed meanwhile for one that
 * cannot tell.
 */
static bool is_refused(const struct dm_crypt_io *io, blk_status_t status)
{
	return bio_of(io)->bi_opf & REQ_NOWAIT &&
	       (status == BLK_STS_AGAIN || status == BLK_STS_NOTSUPP);
}

static void finish_write(struct dm_crypt_io *io, blk_status_t status)
{
	ca_latency_end(&io->ca->latency, true, CA_PHASE_DEVICE, &io->since);
	if (unlikely(status))
		ca_base_report_error(io->base, io->sector, io->bytes, status);
	end_write(io, status, false);
}

/* The lower device has answered. */
static void complete_write(struct dm_crypt_io *io, blk_status_t status)
{
	if (unlikely(status && is_refused(io, status))) {
		ca_fragment_move(io, CA_FRAGMENT_CONVERTED);
		ca_writers_add(&io->ca->writers, io);
		return;
	}
	ca_writers_note_age(&io->ca->writers, jiffies - io->submitted);
	finish_write(io, status);
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
static void redirect_base(struct ca_base *base)
{
	/* Not if the lower device refused it before. */
	if (!base->end_io)
		ca_base_redirect_bio(base, 0, complete_write_base);
	base->bio->bi_io_vec = base->first.bounce.vecs;
}

static void prepare_clone(struct dm_crypt_io *io)
{
	io->clone->bi_end_io = complete_write_clone;
	io->clone->bi_private = io;
}

/* Hands a fragment to the lower device; @nowait: REQ_NOWAIT, or 0 if the caller may wait. */
static void submit(struct dm_crypt_io *io, blk_opf_t nowait)
{
	struct ca_base *base = io->base;
	struct ca_device *ca = io->ca;
	struct bio *bio = bio_of(io);

	io->since = ca_latency_begin(&ca->latency);
	/* A device that found a state of its own wrong does not trust what it has converted. */
	if (ca_watchdog_is_broken(&ca->watchdog) ||
	    (base->meta && ca_meta_attach(ca, bio, ca_meta_of(base, io->sector)))) {
		ca_submit_drop(io, false);
		return;
	}
	ca_fragment_move(io, CA_FRAGMENT_WRITING);
	io->submitted = jiffies;
	if (io->clone)
		prepare_clone(io);
	else
		redirect_base(base);
	/* As if for the first time: the lower device may have refused it. */
	bio->bi_iter = (struct bvec_iter) {
		.bi_sector = ca->start + io->sector, .bi_size = io->bytes };
	ca_base_renew_bio(bio);
	bio->bi_opf = (bio->bi_opf & ~REQ_NOWAIT) | nowait;
	/* Not submit_bio_noacct(): only the device mapper knows which cgroup to charge. */
	dm_submit_bio_remap(base->bio, io->clone);
}

/*
 * Whether the lower device can tell that it has no room for the bio, instead of waiting. A queue of
 * requests can: it has begun nothing then. A stack of devices may have written a part, and raid1
 * and raid10 of some kernels lose a write of one of their disks. Bios that have to be split are
 * refused always: an entry of the list of pages may be several segments. Metadata is attached to a
 * bio only once.
 */
static bool can_refuse(const struct dm_crypt_io *io)
{
	struct block_device *bdev = io->ca->dev->bdev;
	struct request_queue *queue = bdev_get_queue(bdev);

	return queue_is_mq(queue) && bdev_nowait(bdev) && !io->base->meta &&
	       io->bytes >> SECTOR_SHIFT <= queue_max_sectors(queue) &&
	       io->bounce.count + io->bytes / queue_max_segment_size(queue) <=
	       queue_max_segments(queue);
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
 * ca_submit_own() - hands a fragment of the caller's own bio to the lower device
 * @io: the fragment, converted, owned by the caller, which must not touch it afterwards
 *
 * If the lower device cannot tell that it has no room, and the submitter asked not to wait, a
 * writer submits it.
 *
 * Context: The submitter's task, inside submit_bio().
 */
void ca_submit_own(struct dm_crypt_io *io)
{
	const bool is_asked = can_refuse(io);

	if (io->base->is_nowait && !is_asked)
		ca_writers_add(&io->ca->writers, io);
	else
		submit(io, is_asked ? REQ_NOWAIT : 0);
}

/**
 * ca_submit_write() - hands a fragment to the lower device
 * @io: the fragment, converted, owned by the caller, which must not touch it afterwards
 *
 * Context: Task. May sleep for as long as the lower device likes.
 */
void ca_submit_write(struct dm_crypt_io *io)
{
	submit(io, 0);
}

static void complete_joined_one(struct dm_crypt_io *io, blk_status_t status)
{
	if (unlikely(status)) {
		io->is_alone = true;
		ca_fragment_move(io, CA_FRAGMENT_CONVERTED);
		ca_writers_add(&io->ca->writers, io);
		return;
	}
	finish_write(io, BLK_STS_OK);
}

static void complete_joined(struct bio *bio)
{
	struct dm_crypt_io *first = bio->bi_private;
	blk_status_t status = bio->bi_status;
	struct dm_crypt_io *io;
	struct dm_crypt_io *next;
	LIST_HEAD(others);

	/* Any of the fragments may be the last one of its device. */
	bio_put(bio);
	ca_writers_note_age(&first->ca->writers, jiffies - first->submitted);
	list_splice(&first->job.todo, &others);
	complete_joined_one(first, status);
	list_for_each_entry_safe(io, next, &others, job.todo)
		complete_joined_one(io, status);
}

static void begin_joined(struct dm_crypt_io *io)
{
	ca_latency_end(&io->ca->latency, true, CA_PHASE_QUEUE, &io->queued_at);
	io->since = ca_latency_begin(&io->ca->latency);
	io->submitted = jiffies;
	ca_fragment_move(io, CA_FRAGMENT_WRITING);
}

static void submit_joined(struct dm_crypt_io *first, struct bio *bio)
{
	struct dm_crypt_io *io;

	begin_joined(first);
	list_for_each_entry(io, &first->job.todo, job.todo)
		begin_joined(io);
	bio->bi_end_io = complete_joined;
	dm_submit_bio_remap(first->base->bio, bio);
}

/**
 * ca_submit_list() - hands fragments to the lower device, several as one bio where that helps
 * @list: fragments, converted, owned by the caller, neighbours one behind the other; empty
 *	afterwards
 *
 * Context: Task. May sleep for as long as the lower device likes.
 */
void ca_submit_list(struct list_head *list)
{
	struct dm_crypt_io *io;
	struct bio *bio;

	while (!list_empty(list)) {
		io = list_first_entry(list, struct dm_crypt_io, job.todo);
		list_del(&io->job.todo);
		bio = ca_join(io, list);
		if (bio) {
			submit_joined(io, bio);
			continue;
		}
		ca_latency_end(&io->ca->latency, true, CA_PHASE_QUEUE, &io->queued_at);
		submit(io, 0);
	}
}
