/* SPDX-License-Identifier: GPL-2.0-only */
/* Policy: where a fragment is converted, and how large the next one is. */
#ifndef CA_DISPATCH_H
#define CA_DISPATCH_H

#include <linux/types.h>

#include "decide.h"

struct ca_base;
struct ca_device;
struct dm_crypt_io;

/* A bio of at most this size is not split to be shared, in bytes. */
#define CA_SHARED_MIN		(32U * 1024)

/**
 * struct ca_dispatch - what the policy goes by
 *
 * Immutable after ctr:
 * @obeys: no_read_workqueue and no_write_workqueue are a promise, not a hint
 * @no_offload: READ, WRITE: the user's options keep a conversion on its CPU
 * @needs_worker: READ, WRITE: only a worker may convert, see decide.h
 * @block: bios and shares of a write begin at multiples of it, in bytes: the lower device's logical
 *	block, or the largest unit
 *
 * Settings that messages change at any time, each read once where it matters:
 * @fragment_bytes: READ, WRITE: the largest fragment, a multiple of the unit size; @block if that
 *	is larger
 * @inline_bytes: the largest read that is converted in an interrupt, if that takes no longer than
 *	CA_INLINE_NS or the fragment is no larger than CA_INLINE_MIN
 *
 * A guess that anybody may change:
 * @kib_ns: the average time that a soft interrupt took to convert a KiB, in ns; 0 if none did yet,
 *	as with a driver that answers later
 */
struct ca_dispatch {
	bool obeys;
	bool no_offload[2];
	bool needs_worker[2];
	unsigned int block;
	unsigned int fragment_bytes[2];
	unsigned int inline_bytes;
	unsigned int kib_ns;
};

void ca_dispatch_init(struct ca_device *ca);
unsigned int ca_dispatch_emit(const struct ca_device *ca, char *result, unsigned int maxlen);
void ca_dispatch_reset(struct ca_dispatch *dispatch);
void ca_dispatch_set_fragment(struct ca_dispatch *dispatch, int direction, unsigned int bytes);
void ca_dispatch_plan_split(struct ca_base *base);
/* Bytes of the next fragment of a write. */
unsigned int ca_dispatch_write_size(const struct ca_base *base);
/* Bytes of the next part, of a read or a write, that one thread converts. */
unsigned int ca_dispatch_split_size(const struct ca_base *base);
/* Whether a read is read in parts, and bytes of the next one. */
bool ca_dispatch_wants_parts(const struct ca_base *base);
unsigned int ca_dispatch_part_size(const struct ca_base *base);
/* Where a fragment is converted; asked once for each. */
enum ca_where ca_dispatch_decide(struct dm_crypt_io *io, enum ca_caller caller, bool more);
/* Where a read goes on that completed in an interrupt: in that, a soft interrupt, or a worker. */
enum ca_where ca_dispatch_decide_read(const struct ca_base *base, enum ca_caller caller,
				      bool is_whole, u64 now);
bool ca_dispatch_may_place(const struct ca_base *base);
bool ca_dispatch_is_share(const struct ca_base *base, enum ca_caller caller, bool helps);
bool ca_dispatch_may_dequeue(const struct ca_base *base, enum ca_caller caller);
bool ca_dispatch_is_sync_submitter(const struct ca_base *base);
void ca_dispatch_learn(struct ca_dispatch *dispatch, u64 ns, unsigned int bytes);

#endif /* CA_DISPATCH_H */
