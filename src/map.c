// SPDX-License-Identifier: GPL-2.0-only
/*
 * The entry: starts a base io for each read and write, and hands it to read.c or write.c. Other
 * bios (flushes, discards) are passed on by dm-crypt-async.c.
 */
#include "map.h"

#include <linux/bio.h>
#include <linux/sched.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "dispatch.h"
#include "fragment.h"
#include "inflight.h"
#include "read.h"
#include "stats.h"
#include "trace.h"
#include "write.h"

/*
 * Makes a base of a bio, which is cut at the size that its metadata allows. Return: the base, with
 * one reference for the splitter.
 */
static struct ca_base *start_base(struct ca_device *ca, struct bio *bio)
{
	struct ca_base *base = dm_per_bio_data(bio, ca->ti->per_io_data_size);
	const bool is_write = bio_data_dir(bio) == WRITE;

	if (ca->meta.max_sectors && bio_sectors(bio) > ca->meta.max_sectors)
		dm_accept_partial_bio(bio, ca->meta.max_sectors);
	base->bio = bio;
	base->ca = ca;
	base->sector = dm_target_offset(ca->ti, bio->bi_iter.bi_sector);
	base->all = bio->bi_iter;
	base->rest = bio->bi_iter;
	base->state = CA_BASE_NEW;
	base->status = 0;
	base->is_write = is_write;
	base->is_nowait = bio->bi_opf & REQ_NOWAIT;
	base->is_accounted = false;
	base->is_started = false;
	base->is_mismatch = false;
	base->min_split = 0;
	base->splitter_bytes = 0;
	base->part = 0;
	base->end_io = NULL;
	base->meta = NULL;
	base->submitter = current;
	base->nice = task_nice(current);
	atomic_set(&base->refs, 1);
	base->inflight = raw_cpu_ptr(ca->inflight);
	base->is_depth_one = ca_inflight_start(base->inflight, is_write, base->all.bi_size);
	base->is_plugged = current->plug && !base->is_depth_one;
	ca_fragment_init(&base->first, ca, base, is_write);
	trace_ca_bio(base);

	ca_count(ca, is_write ? CA_STAT_WRITES : CA_STAT_READS);
	ca_count_bytes(ca, is_write ? CA_STAT_WRITTEN_BYTES : CA_STAT_READ_BYTES,
		       base->all.bi_size);
	return base;
}

/**
 * ca_map() - takes over a read or write
 * @ca: the device
 * @bio: of at least one unit, aligned to units
 *
 * Context: Task, inside submit_bio(); does not sleep for memory.
 */
void ca_map(struct ca_device *ca, struct bio *bio)
{
	struct ca_base *base = start_base(ca, bio);

	if (base->all.bi_size > CA_SHARED_MIN)
		ca_dispatch_plan_split(base);
	if (base->is_write)
		ca_write_start(base);
	else
		ca_read_start(base);
}
