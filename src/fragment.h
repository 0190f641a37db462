/* SPDX-License-Identifier: GPL-2.0-only */
/* A fragment: one contiguous part of a base bio on its way through the cipher. */
#ifndef CA_FRAGMENT_H
#define CA_FRAGMENT_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/bits.h>
#include <linux/blk_types.h>
#include <linux/mempool.h>
#include <linux/types.h>

#include "convert.h"
#include "pages.h"
#include "request.h"
#include "trace.h"
#include "watchdog.h"
#include "workers.h"

struct ca_base;
struct ca_device;

/*
 * The states of a fragment. Only its owner, the thread that moves it on, may touch the state; a
 * thread hands the fragment over with a job, a bio or a crypto request. fragment.c has the list of
 * legal moves, and each move is checked.
 *
 * CA_FRAGMENT_NEW:	nothing has been split off for it; owns nothing
 * CA_FRAGMENT_SPLIT:	it has its part of the base bio and, if a write, bounce pages for all of
 *	that part
 * CA_FRAGMENT_CONVERTING: a thread is in ca_convert(), or it has left and the crypto driver has not
 *	answered all requests
 * CA_FRAGMENT_PARKING:	no thread is in ca_convert(), or it is about to leave: the fragment waits
 *	for the crypto driver (convert_context.run decides whether it really does), or for a worker
 *	that may sleep for the driver's memory
 * CA_FRAGMENT_CONVERTED: no request is with the driver. The pages of a write hold the ciphertext,
 *	also those of its shares; a read gets here only in a recheck
 * CA_FRAGMENT_WRITING:	(write only) the lower device has its bounce pages. If that refuses to wait
 *	for room, or a bio that writes several fragments fails, the fragment is CONVERTED again
 * CA_FRAGMENT_ENDED:	it owns nothing but its reference on the base, which goes next
 */
enum ca_fragment_state {
	CA_FRAGMENT_NEW,
	CA_FRAGMENT_SPLIT,
	CA_FRAGMENT_CONVERTING,
	CA_FRAGMENT_PARKING,
	CA_FRAGMENT_CONVERTED,
	CA_FRAGMENT_WRITING,
	CA_FRAGMENT_ENDED,
	CA_FRAGMENT_STATES
};

/**
 * struct dm_crypt_io - a fragment; the first one of a bio is part of its base, further ones come
 *	from ca_fragments. The structure and its context are called as in dm-crypt
 *
 * A write's fragment goes to the lower device as one bio, or with others as one. Other threads can
 * convert shares of it: these are fragments as well, from SPLIT to CONVERTING and ENDED, which own
 * no pages and belong to a whole, the one that is written. That converts the last share itself.
 *
 * Set when it is made or split off, then constant until it ends, when @clone and @bounce are given
 * back. (A recheck uses a first fragment anew for each unit.)
 * @ca: the device
 * @base: the base that it is a part of; the fragment holds a reference
 * @sector: where this part begins, relative to the target, in sectors
 * @bytes: its size; of a whole, with its shares
 * @whole: of a share: the fragment that it is a share of; else NULL
 * @is_write: the direction
 * @clone: the clone that writes it, until that has ended; NULL for a read, and for a write that the
 *	base bio itself does
 * @bounce: a write's bounce pages
 * @converted: goes on with it when its conversion is over; in_task says whether bios may be
 *	submitted there. Any context
 *
 * Touched by the owner only:
 * @state: see enum ca_fragment_state
 * @sleeps: its conversion may have to sleep for the crypto driver's memory, so no other job may
 *	wait behind it
 * @is_alone: a bio that wrote it with others has failed, so it goes by itself
 * @job: hands it to another thread, or has it wait for a writer; of the first of several that one
 *	bio writes: the list of the others
 * @ctx: the conversion; see there for the parts that the driver's callbacks share
 *
 * Shared by a whole and its shares:
 * @unconverted: its shares that are not converted, its own last one included. The thread that takes
 *	it to zero, or is the last one, owns the whole
 * @share_error: the first error of a share, as a negative errno
 *
 * In ca_zoned.order, protected by its lock:
 * @order_entry: the entry
 * @is_order_ready: converted, it can be submitted once it is the oldest
 *
 * For the watchdog:
 * @watch_entry: in ca_watchdog.watched
 * @is_watched: it is there; touched by the owner only
 * @is_reported: the user has been told; protected by ca_watchdog.lock
 * @asked: when the converter handed the driver its last request, in jiffies
 *
 * @submitted: when the lower device got a write, in jiffies; touched by the owner only
 *
 * For the histograms, touched by the owner only; 0 while they are off:
 * @queued_at: when it was left to a worker, in ns. In a first fragment also when a whole read was
 *	left to a worker or a soft interrupt
 * @since: when its conversion began, or the lower device got it, in ns. In a first fragment also
 *	when the lower device got a whole read
 *
 * @request: the one that every fragment can count on; last, since its size depends on the cipher
 */
struct dm_crypt_io {
	struct ca_device *ca;
	struct ca_base *base;
	sector_t sector;
	struct dm_crypt_io *whole;
	struct bio *clone;
	struct ca_bounce bounce;
	void (*converted)(struct dm_crypt_io *io, bool in_task);

	enum ca_fragment_state state;
	unsigned int bytes;
	bool is_write;
	bool sleeps;
	bool is_alone;
	bool is_order_ready;
	bool is_watched;
	bool is_reported;
	u64 queued_at;
	u64 since;
	struct convert_context ctx;
	atomic_t unconverted;
	int share_error;

	struct ca_job job;
	struct list_head order_entry;
	struct list_head watch_entry;
	unsigned long asked;
	unsigned long submitted;

	struct ca_request request;
};

/**
 * struct ca_fragments - a device's pools for fragments; safe for any context by themselves. In the
 *	order of write.c: @pool, then @bios
 * @pool: fragments other than the first of a base
 * @bios: clones, and bios that write several fragments
 */
struct ca_fragments {
	mempool_t pool;
	struct bio_set bios;
};

extern const unsigned int ca_fragment_moves[CA_FRAGMENT_STATES];

/**
 * ca_fragment_move() - brings a fragment into its next state
 * @io: the fragment, owned by the caller
 * @to: the state
 *
 * A move that is not legal is a bug, of this module or of something that wrote to its memory: it is
 * reported, and the device refuses writes from then on.
 *
 * Context: Any.
 */
static inline void ca_fragment_move(struct dm_crypt_io *io, enum ca_fragment_state to)
{
	if (unlikely(io->state >= CA_FRAGMENT_STATES || !(ca_fragment_moves[io->state] & BIT(to))))
		ca_watchdog_state_error(io->ca, "a fragment makes an illegal move", io->state, to);
	trace_ca_move(io, io->state, to);
	WRITE_ONCE(io->state, to);
}

/**
 * ca_fragment_init() - makes a fragment new
 * @io: its memory
 * @ca: the device
 * @base: the base of which it converts a part
 * @is_write: the base's direction
 *
 * Context: Any.
 */
static inline void ca_fragment_init(struct dm_crypt_io *io, struct ca_device *ca,
				    struct ca_base *base, bool is_write)
{
	io->ca = ca;
	io->base = base;
	io->whole = NULL;
	io->clone = NULL;
	io->bounce.count = 0;
	io->bounce.bytes = 0;
	io->state = CA_FRAGMENT_NEW;
	io->is_write = is_write;
	io->is_alone = false;
	io->is_watched = false;
	atomic_set(&io->unconverted, 1);
	io->share_error = 0;
	io->queued_at = 0;
	io->since = 0;
	io->request.io = io;
}

int ca_fragments_init(struct ca_device *ca);
void ca_fragments_exit(struct ca_fragments *fragments);
struct dm_crypt_io *ca_fragment_alloc(struct ca_base *base, gfp_t gfp);
void ca_fragment_free(struct dm_crypt_io *io);
struct bio *ca_fragment_alloc_bio(struct ca_base *base, sector_t sector, unsigned int bytes,
				  gfp_t gfp);
struct ca_base *ca_fragment_end(struct dm_crypt_io *io, blk_status_t status);

#endif /* CA_FRAGMENT_H */
