// SPDX-License-Identifier: GPL-2.0-only
/*
 * Splits a base bio: one fragment after the other takes its part of the rest, and is converted here
 * or handed out. The thread that does so is the splitter: the submitter, a completion, a worker
 * that a read was left to, or, if memory is short, a work item of split_wq or meta_wq, which may
 * sleep.
 */
#include "split.h"

#include <linux/bio.h>
#include <linux/sched/clock.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "cipher.h"
#include "convert.h"
#include "decide.h"
#include "dispatch.h"
#include "fragment.h"
#include "latency.h"
#include "meta.h"
#include "softirq.h"
#include "stats.h"
#include "workers.h"

/* Where a part of a whole has its place among the whole's bounce pages. */
static const struct bio_vec *find_bounce(const struct dm_crypt_io *whole, sector_t sector,
					 struct bvec_iter *at)
{
	const unsigned int bytes = (sector - whole->sector) << SECTOR_SHIFT;

	if (bytes) {
		at->bi_size = whole->bounce.bytes;
		bvec_iter_advance(whole->bounce.vecs, at, bytes);
	}
	return whole->bounce.vecs;
}

/**
 * ca_split_take() - splits a part off the rest of the base bio
 * @io: the part's fragment, new; takes over a reference on the base. A write's fragment, except a
 *	share, has its sector, bytes and bounce pages already
 * @bytes: the size of the part, a multiple of the unit
 *
 * A write is converted into the fragment's bounce pages, a share into those of its whole; a read
 * in place.
 *
 * Context: Any; called by the splitter only.
 */
void ca_split_take(struct dm_crypt_io *io, unsigned int bytes)
{
	struct ca_base *base = io->base;
	const struct ca_cipher *cipher = &base->ca->cipher;
	const struct bio_vec *from = base->bio->bi_io_vec;
	const struct bio_vec *to = from;
	const sector_t sector = ca_base_rest_sector(base);
	unsigned int units = bytes >> (base->ca->unit_shift + SECTOR_SHIFT);
	struct bvec_iter out = { };

	if (io->is_write)
		to = find_bounce(io->whole ?: io, sector, &out);
	if (!io->bounce.count) {
		io->sector = sector;
		io->bytes = bytes;
	}
	out.bi_size = bytes;
	io->sleeps = cipher->iv_ops->looks_at_data;
	if (to != from && cipher->is_in_place) {
		ca_base_copy(to, out, from, base->rest);
		ca_convert_init(&io->ctx, to, &out, to, NULL, bytes, units);
	} else {
		ca_convert_init(&io->ctx, from, &base->rest, to, &out, bytes, units);
	}
	io->ctx.at.sector = sector + base->ca->iv_offset;
	io->ctx.at.tag = base->meta ? ca_meta_of(base, sector) : NULL;
	if (bytes == base->rest.bi_size)
		base->rest.bi_size = 0;
	else
		bvec_iter_advance(from, &base->rest, bytes);
	ca_fragment_move(io, CA_FRAGMENT_SPLIT);
}

/* The submitter reads the sum without a lock, also while another thread splits. */
static void add_own(struct ca_base *base, unsigned int bytes)
{
	WRITE_ONCE(base->splitter_bytes, base->splitter_bytes + bytes);
}

/**
 * ca_split_convert_in_softirq() - converts a fragment in a soft interrupt, whose time is limited
 * @io: the fragment, split off
 * @begun: when the soft interrupt began with it, as local_clock() counts
 */
void ca_split_convert_in_softirq(struct dm_crypt_io *io, u64 begun)
{
	struct ca_device *ca = io->ca;
	const unsigned int bytes = io->bytes;

	ca_count(ca, CA_STAT_INLINE);
	io->since = ca_latency_begin(&ca->latency);
	if (!ca_convert(io, CA_FROM_SOFTIRQ)) {
		/* The crypto driver goes on with it: its speed is another matter. */
		ca_softirq_account(begun);
		return;
	}
	ca_dispatch_learn(&ca->dispatch, ca_softirq_account(begun), bytes);
	ca_convert_finish(io, false);
}

static __always_inline void convert_here(struct dm_crypt_io *io, enum ca_caller caller)
{
	if (caller == CA_FROM_SOFTIRQ) {
		ca_split_convert_in_softirq(io, local_clock());
		return;
	}
	ca_count(io->ca, caller == CA_FROM_WORKER ? CA_STAT_QUEUED : CA_STAT_INLINE);
	add_own(io->base, io->ctx.at.in.bi_size);
	ca_convert_start(io, caller);
}

/**
 * ca_split_dispatch() - converts a fragment here, or hands it out
 * @io: the fragment, split off; the caller must not touch it afterwards
 * @caller: the splitter's context
 * @more: the base bio has further fragments for this splitter
 * @helps: it calls ca_split_help_out() in the end
 */
void ca_split_dispatch(struct dm_crypt_io *io, enum ca_caller caller, bool more, bool helps)
{
	if (ca_dispatch_decide(io, caller, more) == CA_INLINE)
		convert_here(io, caller);
	else
		ca_convert_queue(io, more && ca_dispatch_is_share(io->base, caller, helps));
}

/**
 * ca_split_help_out() - converts fragments of a base that no worker has begun, rather than wait
 * @base: the base, all of it split; the splitter's reference on it is dropped
 * @caller: CA_FROM_MAP or CA_FROM_SUBMITTER
 *
 * Return: whether that was the last reference, and the caller is to end the base; else nothing of
 * it may be touched any more.
 */
bool ca_split_help_out(struct ca_base *base, enum ca_caller caller)
{
	struct ca_job *job;

	while (ca_dispatch_may_dequeue(base, caller)) {
		job = ca_dequeue_own(&base->ca->workers, base);
		if (!job)
			break;
		add_own(base, job->bytes);
		job->run(job, caller);
	}
	/* Another bio may have come, or have its parts behind those of this one. */
	ca_workers_ensure(&base->ca->workers);
	return ca_base_put(base);
}

/**
 * ca_split_defer() - hands a base to a splitter that may sleep for memory
 * @base: the base, owned by the caller
 * @work: the splitter's work, for base.job.work; it lowers ca_split.waiting when it is done
 *
 * Context: Task, the submitter inside submit_bio().
 */
void ca_split_defer(struct ca_base *base, work_func_t work)
{
	struct ca_device *ca = base->ca;

	ca_count(ca, CA_STAT_MEM_WAITS);
	atomic_inc(&ca->split.waiting);
	INIT_WORK(&base->job.work, work);
	ca_workers_queue_splitter(&ca->workers, &base->job.work, base->meta);
}
