/* SPDX-License-Identifier: GPL-2.0-only */
/* The conversion of a fragment, unit by unit, and where it stands. */
#ifndef CA_CONVERT_H
#define CA_CONVERT_H

#include <linux/atomic.h>
#include <linux/bvec.h>
#include <linux/types.h>

#include "decide.h"

struct ca_request;
struct dm_crypt_io;

/* The values of convert_context.run: whether a thread converts the fragment at the moment. */
enum ca_run {
	CA_RUNNING,	/* running, or about to */
	CA_KICKED,	/* running, but must not park: the event to wait for has happened */
	CA_PARKED,	/* stopped; the driver's callback sets CA_RUNNING and queues the fragment */
};

/**
 * struct ca_position - the next unit of a conversion
 * @in: the source, and with its bi_size the bytes that are left
 * @out: the destination; unused when converting in place
 * @sector: the unit's first sector plus iv_offset
 * @tag: the unit's metadata, NULL on a device without
 *
 * A struct bvec_iter alone is aligned to four bytes at most; base.c says why these are aligned to a
 * long.
 */
struct ca_position {
	struct bvec_iter in;
	struct bvec_iter out __aligned(sizeof(long));
	u64 sector;
	u8 *tag;
};

/**
 * struct convert_context - where a conversion stands; each fragment has one of its own, and no two
 *	fragments ever share one
 *
 * Owned by the converter, the one thread that is in ca_convert(); passed on through @run:
 * @from: list of the source's memory
 * @to: list of the destination's; the same list when converting in place
 * @at: the next unit
 * @settled: units that the converter itself knows to be over, not yet taken off @pending; after an
 *	error also those that were never submitted
 *
 * Shared with the crypto driver's callbacks:
 * @pending: one for the converter and one for each unit of the fragment that is not over. Set
 *	once, before the first request, so that a request costs no atomic operation unless its
 *	callback comes. The thread that takes it to zero ends the conversion, and no other thread
 *	touches the fragment any more.
 * @run: see enum ca_run
 * @awaited: the request that the converter submitted last, or the built-in one while it waits for
 *	that; an event of this request resumes a parked fragment
 * @is_request_busy: the request that is built into the fragment is with the driver
 * @error: the first error of this fragment, as a negative errno
 */
struct convert_context {
	const struct bio_vec *from;
	const struct bio_vec *to;
	struct ca_position at;
	unsigned int settled;

	atomic_t pending;
	atomic_t run;
	int error;
	struct ca_request *awaited;
	unsigned long is_request_busy;
};

/**
 * ca_convert_init() - points a conversion at its memory
 * @ctx: the conversion
 * @from: lists the source
 * @in: position there; @bytes of it are converted
 * @to: lists the destination; @from to convert in place
 * @out: position there; unused when converting in place
 * @bytes: a multiple of the unit
 * @units: the same in units
 *
 * Context: Any. The caller also sets the position's sector and tag.
 */
static inline void ca_convert_init(struct convert_context *ctx, const struct bio_vec *from,
				   const struct bvec_iter *in, const struct bio_vec *to,
				   const struct bvec_iter *out, unsigned int bytes,
				   unsigned int units)
{
	ctx->from = from;
	ctx->to = to;
	ctx->at.in = *in;
	ctx->at.in.bi_size = bytes;
	if (to != from) {
		ctx->at.out = *out;
		ctx->at.out.bi_size = bytes;
	}
	ctx->settled = 0;
	atomic_set(&ctx->pending, units + 1);
	ctx->is_request_busy = 0;
	ctx->error = 0;
}

/*
 * Converts. If it returns true, the caller calls _finish(), which calls the fragment's converted().
 */
bool ca_convert(struct dm_crypt_io *io, enum ca_caller caller);
void ca_convert_finish(struct dm_crypt_io *io, bool in_task);
/* Converts from the beginning and goes on: in this task, or in a worker. */
void ca_convert_start(struct dm_crypt_io *io, enum ca_caller caller);
void ca_convert_queue(struct dm_crypt_io *io, bool is_share);

#endif /* CA_CONVERT_H */
