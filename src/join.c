// SPDX-License-Identifier: GPL-2.0-only
/*
 * Joins write fragments of different bios to one bio for the lower device.
 *
 * File systems and the page cache write many small bios side by side. A queue of requests merges
 * them. Other devices (device mapper, MD, DRBD) take each by itself, and do all of their work for
 * each: a journal entry, a packet, a lookup.
 *
 * If such a bio fails, each of its fragments is written by itself, so that an error is that of the
 * program whose data could not be written. Writes that ask for no second try are not joined.
 */
#include "join.h"

#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "fragment.h"
#include "watchdog.h"

/* The most that one joined bio writes, in bytes. */
#define MAX_BYTES	(128 * 1024U)

/* The bio that writes a fragment when it goes by itself. */
static struct bio *own_bio(const struct dm_crypt_io *io)
{
	return io->clone ?: io->base->bio;
}

/*
 * Whether the lower device is to charge the same control group. Where the device mapper does not
 * set the group of what it submits, that of the own bio counts.
 */
static bool is_of_one_group(const struct dm_crypt_io *a, const struct dm_crypt_io *b)
{
	return a->base->css == b->base->css &&
	       bio_blkcg_css(own_bio(a)) == bio_blkcg_css(own_bio(b));
}

/* Whether one bio can write a fragment and the one that follows it in a writer's list. */
static bool is_joinable(const struct dm_crypt_io *io, const struct dm_crypt_io *next)
{
	const struct bio *a = io->base->bio;
	const struct bio *b = next->base->bio;

	return io->sector + (io->bytes >> SECTOR_SHIFT) == next->sector &&
	       !((a->bi_opf ^ b->bi_opf) & ~REQ_NOWAIT) && a->bi_ioprio == b->bi_ioprio &&
	       is_of_one_group(io, next) && !next->is_alone && ca_bio_has_hints_of(a, b);
}

/* Whether a fragment may be joined to others at all. */
static bool may_join(const struct dm_crypt_io *io)
{
	const struct ca_device *ca = io->ca;

	return !io->is_alone && !io->base->meta &&
	       !(io->base->bio->bi_opf & (REQ_ATOMIC | REQ_FAILFAST_MASK)) &&
	       !queue_is_mq(bdev_get_queue(ca->dev->bdev)) &&
	       !ca_watchdog_is_broken(&ca->watchdog);
}

/*
 * Return: the last of the fragments at the head of @list that follow @first on the device, without
 * a gap, and can be joined to it; NULL if there is none. @bytes and @vecs are those of all of them.
 */
static struct dm_crypt_io *find_last(struct dm_crypt_io *first, struct list_head *list,
				     unsigned int *bytes, unsigned int *vecs)
{
	struct dm_crypt_io *last = first;
	struct dm_crypt_io *next;

	*bytes = first->bytes;
	*vecs = first->bounce.count;
	list_for_each_entry(next, list, job.todo) {
		if (*bytes + next->bytes > MAX_BYTES || !is_joinable(last, next))
			break;
		*bytes += next->bytes;
		*vecs += next->bounce.count;
		last = next;
	}
	return last == first ? NULL : last;
}

static void add_vecs(struct bio *bio, const struct dm_crypt_io *io)
{
	memcpy(&bio->bi_io_vec[bio->bi_vcnt], io->bounce.vecs,
	       io->bounce.count * sizeof(*io->bounce.vecs));
	bio->bi_vcnt += io->bounce.count;
}

/**
 * ca_join() - makes a bio of a fragment and of those that follow it
 * @first: a fragment, which is in no list
 * @list: converted fragments, neighbours one behind the other. Those that are joined are moved to
 *	the list @first->job.todo
 *
 * Context: Task; does not sleep for memory.
 * Return: the bio, which has yet to get its end_io; NULL if @first goes by itself, since nothing
 * can be joined to it, or there is no memory.
 */
struct bio *ca_join(struct dm_crypt_io *first, struct list_head *list)
{
	const struct bio *from = first->base->bio;
	struct ca_device *ca = first->ca;
	unsigned int bytes, vecs;
	struct dm_crypt_io *last;
	struct dm_crypt_io *io;
	struct bio *bio;

	if (!may_join(first))
		return NULL;
	last = find_last(first, list, &bytes, &vecs);
	if (!last)
		return NULL;
	bio = bio_alloc_bioset(ca->dev->bdev, vecs, from->bi_opf & ~REQ_NOWAIT,
			       GFP_NOWAIT | __GFP_NOWARN, &ca->fragments.bios);
	if (!bio)
		return NULL;
	bio->bi_iter.bi_sector = ca->start + first->sector;
	bio->bi_iter.bi_size = bytes;
	bio->bi_ioprio = from->bi_ioprio;
	bio->bi_private = first;
	bio_clear_polled(bio);
	ca_bio_copy_hints(bio, from);
	bio_clone_blkg_association(bio, own_bio(first));
	list_cut_position(&first->job.todo, list, &last->job.todo);
	add_vecs(bio, first);
	list_for_each_entry(io, &first->job.todo, job.todo)
		add_vecs(bio, io);
	return bio;
}
