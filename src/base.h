/* SPDX-License-Identifier: GPL-2.0-only */
/* A base io: a bio that the block layer handed to map, from its start to its end. */
#ifndef CA_BASE_H
#define CA_BASE_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/bits.h>
#include <linux/blk_types.h>
#include <linux/types.h>

#include "fragment.h"
#include "trace.h"
#include "watchdog.h"
#include "workers.h"

struct ca_device;
struct ca_inflight;
struct cgroup_subsys_state;
struct task_struct;

/* A write of at most so many pages needs no clone. */
#define CA_BASE_PAGES	8

/*
 * The states of a base io. Only its owner may change the state: the splitter, or the completion of
 * a read, or the thread that dropped the last reference. base.c has the list of legal moves.
 *
 * CA_BASE_NEW:		map has it; a write stays in this state until it ends
 * CA_BASE_READING:	(read only) the lower device has it, or its clone; if it is read in parts,
 *	the first ones are split and converted meanwhile
 * CA_BASE_READ:	(read only) the ciphertext is in its memory, and is split and converted
 * CA_BASE_RECHECKING:	(read only) a worker reads it into bounce pages, one part after the other:
 *	for the first time, or again since a tag did not match or memory was short
 * CA_BASE_ENDED:	its bio has ended; the memory is not ours any more
 */
enum ca_base_state {
	CA_BASE_NEW,
	CA_BASE_READING,
	CA_BASE_READ,
	CA_BASE_RECHECKING,
	CA_BASE_ENDED,
	CA_BASE_STATES
};

/**
 * struct ca_base - a base io, in the per-bio data of its base bio
 *
 * Set at its start, then constant:
 * @bio: the base bio
 * @ca: the device
 * @sector: where it begins, relative to the target, in sectors
 * @all: the base bio's position and size as it came
 * @is_write: the direction
 * @submitter: the task that it came from, to be compared only
 * @nice: that task's nice value
 * @inflight: the counters of the CPU that it came from
 * @is_depth_one: the submitter seems to wait for it: no other bio of that CPU was in flight when it
 *	came, see ca_inflight_start()
 * @is_plugged: (write) the submitter has a plug, so that more may come at once
 *
 * Set before the first fragment is split off, then constant:
 * @meta: the metadata of all units, NULL on a device without
 * @is_meta_pooled: that is a page of ca_meta.pages
 *
 * Touched by the owner only:
 * @is_nowait: the submitter asked not to wait for the lower device; cleared when a worker
 *	submits the read
 *
 * Owned by the splitter:
 * @rest: the part that has not been split off yet
 * @min_split: 0 if all fragments are of one size. Else they become smaller towards the bio's end,
 *	and this is the smallest, in bytes
 * @sharers: if @min_split is set, the next fragment is the rest divided by this number
 * @splitter_bytes: bytes that the splitter converted itself, if it is a task; the submitter reads
 *	them without a lock
 * @is_started: the first fragment is in use
 * @part: (read) bytes at the beginning of the rest that the lower device reads now, if the rest is
 *	read in parts; else 0
 *
 * (write) Set by ca_charge_start(): by the splitter before the first of several fragments is
 * dispatched, else by the writer that gets the only one:
 * @is_accounted: ca_charge_start() was called
 * @css: the control group of the bio that the device mapper was given, NULL for none; it lives as
 *	long as that bio
 *
 * Shared:
 * @refs: one for each fragment in flight, and one for the splitter. The splitter gives its own to
 *	the last fragment, unless it goes on with fragments that it handed out. The thread that
 *	drops the last reference ends the base bio, and with it the base's memory is gone.
 * @status: the first error of any fragment, a blk_status_t; ca_base_fail() sets it. Written before
 *	the writer's reference is dropped, read after the last one was. An int, since some machines
 *	cannot exchange a single byte atomically
 * @is_mismatch: (read) a tag did not match, or the driver had no memory. Set before the writer's
 *	reference is dropped, read after the last one was
 *
 * Touched by the owner only:
 * @state: see enum ca_base_state
 * @job: hands the base to another thread: to a splitter, a read that completed to a worker or a
 *	soft interrupt, or a read that failed, was refused, or of which a part ended late, to a
 *	worker that reads again
 * @end_io: bi_end_io of a base bio that itself goes to the lower device, as it was before
 * @private: bi_private, likewise
 * @vecs: bi_io_vec, likewise
 * @bounce_vecs: room for the list of bounce pages of a write whose base bio itself goes to the
 *	lower device; the first fragment owns the pages
 *
 * @first: the first fragment; last, since its size depends on the cipher
 */
struct ca_base {
	struct ca_job job;
	struct bvec_iter all;
	unsigned int min_split;

	struct bio *bio;
	struct ca_device *ca;
	sector_t sector;
	struct bvec_iter rest;
	atomic_t refs;
	enum ca_base_state state;
	int status;
	bool is_write;
	bool is_depth_one;
	bool is_nowait;
	bool is_plugged;
	bool is_accounted;
	bool is_started;
	bool is_mismatch;
	bool is_meta_pooled;
	unsigned int sharers;
	struct cgroup_subsys_state *css;
	struct ca_inflight *inflight;
	bio_end_io_t *end_io;
	void *private;
	struct bio_vec *vecs;
	struct task_struct *submitter;
	u8 *meta;
	int nice;
	unsigned int splitter_bytes;
	unsigned int part;
	struct bio_vec bounce_vecs[CA_BASE_PAGES];

	struct dm_crypt_io first;
};

/* Whether a fragment is the first of its base, whose memory is in the base. */
static inline bool ca_is_first(const struct dm_crypt_io *io)
{
	return io == &io->base->first;
}

/* The sector of the target where the rest of the base begins. */
static inline sector_t ca_base_rest_sector(const struct ca_base *base)
{
	return base->sector + ((base->all.bi_size - base->rest.bi_size) >> SECTOR_SHIFT);
}

static inline blk_status_t ca_base_status(const struct ca_base *base)
{
	return (__force blk_status_t)base->status;
}

/* Notes an error, unless there was one before. */
static inline void ca_base_fail(struct ca_base *base, blk_status_t status)
{
	cmpxchg(&base->status, 0, (__force int)status);
}

/* Whether to count and log an error: REQ_NOWAIT and readahead failures are expected. */
static inline bool ca_base_is_error(const struct ca_base *base, blk_status_t status)
{
	return status != BLK_STS_AGAIN && !(base->bio->bi_opf & REQ_RAHEAD);
}

extern const unsigned int ca_base_moves[CA_BASE_STATES];

/**
 * ca_base_move() - brings a base into its next state
 * @base: the base, owned by the caller
 * @to: the state
 *
 * A move that is not legal is a bug, of this module or of something that wrote to its memory: it is
 * reported, and the device refuses writes from then on.
 *
 * Context: Any.
 */
static inline void ca_base_move(struct ca_base *base, enum ca_base_state to)
{
	if (unlikely(base->state >= CA_BASE_STATES || !(ca_base_moves[base->state] & BIT(to))))
		ca_watchdog_state_error(base->ca, "a bio makes an illegal move", base->state, to);
	trace_ca_base_move(base, base->state, to);
	WRITE_ONCE(base->state, to);
}

/**
 * ca_base_put() - drops a reference
 * @base: the base
 *
 * Context: Any.
 * Return: whether it was the last one. Then the caller owns the base and ends it; else nothing of
 * it may be touched any more.
 */
static inline bool ca_base_put(struct ca_base *base)
{
	struct ca_device *ca = base->ca;
	int left;

	/* The sole holder skips the atomic decrement; acquire orders earlier puts. */
	if (atomic_read_acquire(&base->refs) == 1) {
		atomic_set(&base->refs, 0);
		return true;
	}
	left = atomic_dec_return(&base->refs);
	if (unlikely(left < 0))
		ca_watchdog_state_error(ca, "a bio's reference count is negative", left + 1, left);
	return !left;
}

/**
 * ca_base_redirect_bio() - prepares the base bio itself to go to the lower device
 * @base: the base; ca_base_end() restores its bio
 * @sector: the first sector there
 * @end: the completion for the lower device, with the base in bi_private
 *
 * Call bio_set_dev() first.
 *
 * Context: Any.
 */
static inline void ca_base_redirect_bio(struct ca_base *base, sector_t sector,
					bio_end_io_t *end)
{
	struct bio *bio = base->bio;

	base->end_io = bio->bi_end_io;
	base->private = bio->bi_private;
	base->vecs = bio->bi_io_vec;
	bio->bi_end_io = end;
	bio->bi_private = base;
	bio_clear_polled(bio);
	bio->bi_iter.bi_sector = sector;
}

bool ca_base_is_in_submit(const struct ca_base *base);
void ca_base_renew_bio(struct bio *bio);
void ca_base_copy(const struct bio_vec *to, struct bvec_iter to_at,
		  const struct bio_vec *from, struct bvec_iter from_at);
void ca_base_report_error(const struct ca_base *base, sector_t sector, unsigned int bytes,
			  blk_status_t status);
void ca_base_end(struct ca_base *base);

#endif /* CA_BASE_H */
