// SPDX-License-Identifier: GPL-2.0-only
/*
 * Base bios and their fragments, from map to bio_endio.
 *
 *	a write:	cut -> convert into bounce pages -> write these -> end
 *	a read:		read into the base bio -> cut -> convert in place -> end
 *
 * If the IV generator or an authenticated cipher asks for it, a write is copied into its bounce
 * pages and converted there.
 *
 * A read, and a write that is small enough to be one fragment, need no clone: the base bio itself
 * goes to the device below, with a completion and, if a write, a list of pages of ours in it
 * meanwhile. With metadata there is a clone always, since that is what it is attached to.
 *
 * The base io is the first fragment. Its reference count holds the base bio: one for the cutter,
 * one for each fragment in flight. Who drops the last reference ends the base bio with the first
 * error.
 *
 * Waiting. A write's fragment needs, in this order: the base bio's page for metadata (on a device
 * that has it), its object (but for the base io), a clone bio (and there a payload for metadata,
 * from the allocator), at least one bounce page. A base bio that goes below itself needs pages
 * only. The cutter sleeps for one of these only on cut_wq, and only while it holds nothing that
 * comes later. What it waits for is held by fragments that have all they need, or by cutters that
 * wait for something later in the order; a fragment that has all it needs ends on its own. More
 * pages than one are taken only if they are at hand: the fragment is trimmed to what it got; one
 * write at a time that must not be cut waits for all of its pages (see pages.c). Below map nothing
 * sleeps, since bios submitted there wait on current->bio_list for map to return: at the first miss
 * the rest goes to cut_wq.
 */
#include "dm-crypt-async.h"

#include <linux/completion.h>
#include <linux/highmem.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#define DM_MSG_PREFIX	CA_NAME

static unsigned int pool_reserve = 16;
module_param(pool_reserve, uint, 0644);
MODULE_PARM_DESC(pool_reserve, "Fragments and clones that a new device has in reserve, at least 1");

/* The legal moves: from the row's state to any state in its mask. */
static const unsigned int moves[CA_STATES] = {
	[CA_NEW]	= BIT(CA_READING) | BIT(CA_CUT),
	[CA_READING]	= BIT(CA_READ) | BIT(CA_ENDED),
	[CA_READ]	= BIT(CA_CUT),
	[CA_CUT]	= BIT(CA_CONVERTING),
	[CA_CONVERTING]	= BIT(CA_PARKING) | BIT(CA_CONVERTED) | BIT(CA_ENDED) | BIT(CA_CHECKING),
	[CA_PARKING]	= BIT(CA_CONVERTING),
	[CA_CONVERTED]	= BIT(CA_WRITING) | BIT(CA_ENDED),
	[CA_WRITING]	= BIT(CA_ENDED),
	[CA_ENDED]	= BIT(CA_CHECKING),
	[CA_CHECKING]	= BIT(CA_CONVERTING),
};

/**
 * ca_io_check_move() - reports a move that is not in the list
 * @io: the fragment, owned by the caller
 * @to: where it goes
 *
 * Context: Any.
 */
void ca_io_check_move(const struct dm_crypt_io *io, enum ca_state to)
{
	WARN_ONCE(!(moves[io->state] & BIT(to)), "fragment moves from %d to %d\n", io->state, to);
}

static unsigned int io_size(const struct ca_device *ca)
{
	return ALIGN(offsetof(struct dm_crypt_io, own) + ca->cipher.request_size,
		     ARCH_KMALLOC_MINALIGN);
}

/* ---------------------------------------------------------------- references and ends */

static void cutter_work(struct work_struct *work);

static void hand_to_cutter(struct dm_crypt_io *base)
{
	atomic_inc(&base->ca->cutters);
	INIT_WORK(&base->cut_work, cutter_work);
	ca_queue_cutter(base);
}

/*
 * A tag did not match: whoever owns the memory may have written to it meanwhile, so look again. Or
 * the driver had no memory: let it sleep for that.
 */
static void check_again(struct dm_crypt_io *base)
{
	base->checks_again = true;
	base->status = BLK_STS_OK;
	atomic_set(&base->refs, 1);
	ca_io_move(base, CA_CHECKING);
	INIT_WORK(&base->cut_work, cutter_work);
	ca_queue_cutter(base);
}

/* Has the base bio itself, which is the lower device's already, go below; undone by end_base(). */
static void hook(struct dm_crypt_io *base, bio_end_io_t *end)
{
	struct bio *bio = base->base_bio;

	base->end_io = bio->bi_end_io;
	base->private = bio->bi_private;
	base->vecs = bio->bi_io_vec;
	bio->bi_end_io = end;
	bio->bi_private = base;
	bio_clear_polled(bio);
	bio->bi_iter.bi_sector = base->ca->start + base->sector;
}

/* Whether an error is one: not for who would not wait, and goes on to try in another way. */
static bool matters(const struct bio *bio, blk_status_t status)
{
	return status != BLK_STS_AGAIN && !(bio->bi_opf & REQ_RAHEAD);
}

/* The end of a base bio, and of its base io. */
static void end_base(struct dm_crypt_io *base)
{
	struct bio *bio = base->base_bio;

	if (unlikely(base->status) && matters(bio, base->status))
		ca_count(base->ca, CA_STAT_ERRORS);
	trace_ca_bio_end(base);
	ca_leave(base);
	bio->bi_status = base->status;
	if (!base->end_io) {
		bio_endio(bio);
		return;
	}
	/* bio_endio() has been there already: the rest is what whoever made this bio does. */
	bio->bi_io_vec = base->vecs;
	bio->bi_private = base->private;
	bio->bi_end_io = base->end_io;
	bio->bi_end_io(bio);
}

/* Drops a reference on the base. Nobody touches the base io after its last one. */
static void put_base(struct dm_crypt_io *base)
{
	/* Who holds the only one need not tell anybody; the others' decrements came before. */
	if (atomic_read_acquire(&base->refs) != 1 && !atomic_dec_and_test(&base->refs))
		return;
	if (base->mismatch && !base->checks_again) {
		check_again(base);
		return;
	}
	if (base->meta)
		ca_meta_put(base);
	end_base(base);
}

/* The fragment owns nothing any more but its reference on the base, which goes now. */
static void end_fragment(struct dm_crypt_io *io, blk_status_t status)
{
	struct dm_crypt_io *base = ca_base(io);

	if (status)
		cmpxchg(&base->status, BLK_STS_OK, status);
	ca_io_move(io, CA_ENDED);
	if (io != base)
		mempool_free(io, &io->ca->fragments);
	put_base(base);
}

/* Gives back what a write fragment goes below with. */
static void put_write(struct dm_crypt_io *io, bool clear)
{
	ca_pages_free(io->ca, &io->bounce, clear);
	if (io->clone)
		bio_put(io->clone);
	io->clone = NULL;
}

/* The device below failed something. */
static void report_below(const struct dm_crypt_io *io, blk_status_t status)
{
	const struct ca_device *ca = io->ca;

	if (!matters(io->base_bio, status))
		return;
	DMERR_LIMIT("%s: %s of %u bytes at sector %llu failed on %s (%d): see its messages",
		    dm_table_device_name(ca->ti->table),
		    bio_data_dir(io->base_bio) == WRITE ? "write" : "read", io->bytes,
		    ca->ti->begin + io->sector, ca->dev->name, blk_status_to_errno(status));
}

/* The device below has answered. */
static void leave_device(struct dm_crypt_io *io, blk_status_t status)
{
	if (unlikely(io->since)) {
		ca_latency_end(io, CA_PHASE_DEVICE, io->since);
		io->since = 0;
	}
	if (unlikely(status))
		report_below(io, status);
}

static void finish_write(struct bio *bio)
{
	struct dm_crypt_io *io = bio->bi_private;
	blk_status_t status = bio->bi_status;

	leave_device(io, status);
	put_write(io, false);
	end_fragment(io, status);
}

/* A converted fragment that is not to be written ends here. */
static void drop_write(struct dm_crypt_io *io)
{
	put_write(io, false);
	end_fragment(io, BLK_STS_IOERR);
}

/* The base bio goes below with the ciphertext in place of the writer's memory. */
static void submit_base(struct dm_crypt_io *base)
{
	struct bio *bio = base->base_bio;

	hook(base, finish_write);
	bio->bi_io_vec = base->bounce.vecs;
	bio->bi_iter = (struct bvec_iter) {
		.bi_sector = bio->bi_iter.bi_sector, .bi_size = base->bounce.bytes };
	dm_submit_bio_remap(bio, NULL);
}

/*
 * dm_submit_bio_remap() starts the base bio's accounting with its first clone, without a lock.
 * Fragments may be submitted at the same time, so one of them does that for all.
 */
static void submit_write(struct dm_crypt_io *io)
{
	struct dm_crypt_io *base = ca_base(io);

	io->since = ca_latency_begin(io);
	/* The submitter may not be made to wait; a worker may. */
	if (current != base->submitter)
		(io->clone ?: io->base_bio)->bi_opf &= ~REQ_NOWAIT;
	if (!io->clone) {
		ca_io_move(io, CA_WRITING);
		submit_base(io);
		return;
	}
	if (base->meta && ca_meta_attach(io->ca, io->clone, ca_meta_of(base, io->sector))) {
		drop_write(io);
		return;
	}
	ca_io_move(io, CA_WRITING);
	if (test_and_set_bit(0, &base->accounted))
		submit_bio_noacct(io->clone);
	else
		dm_submit_bio_remap(io->base_bio, io->clone);
}

/* ------------------------------------------------------- writes in order, on zoned devices */

/* The fragment takes its place in the order of writes, with all it needs to come to its end. */
static void enter_order(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;
	unsigned long flags;

	spin_lock_irqsave(&ca->order_lock, flags);
	io->order_ready = false;
	list_add_tail(&io->order_entry, &ca->order);
	spin_unlock_irqrestore(&ca->order_lock, flags);
}

/* The oldest fragment, if it is converted and the caller is to submit it. */
static struct dm_crypt_io *next_in_order(struct ca_device *ca)
{
	struct dm_crypt_io *io;

	lockdep_assert_held(&ca->order_lock);
	io = list_first_entry_or_null(&ca->order, struct dm_crypt_io, order_entry);
	if (!io || !io->order_ready)
		return NULL;
	list_del(&io->order_entry);
	return io;
}

/* One thread at a time submits what can be; a worker, whose bios do not wait for map to return. */
static void submit_in_order(struct ca_device *ca)
{
	struct dm_crypt_io *io;

	spin_lock_irq(&ca->order_lock);
	if (ca->submitting) {
		spin_unlock_irq(&ca->order_lock);
		return;
	}
	ca->submitting = true;
	while ((io = next_in_order(ca))) {
		spin_unlock_irq(&ca->order_lock);
		/* Behind a part that failed the zone's write pointer is not where this belongs. */
		if (READ_ONCE(ca_base(io)->status))
			drop_write(io);
		else
			submit_write(io);
		spin_lock_irq(&ca->order_lock);
	}
	ca->submitting = false;
	spin_unlock_irq(&ca->order_lock);
}

/*
 * A fragment that failed leaves the order; a worker looks whether others waited for it. Those of
 * the same base must see the error, so that it comes first.
 */
static void leave_order(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;
	unsigned long flags;

	cmpxchg(&ca_base(io)->status, BLK_STS_OK, BLK_STS_IOERR);
	spin_lock_irqsave(&ca->order_lock, flags);
	list_del(&io->order_entry);
	spin_unlock_irqrestore(&ca->order_lock, flags);
	ca_queue_order(ca);
}

/* Submits the clone, in a task. */
static void start_write(struct dm_crypt_io *io)
{
	struct ca_device *ca = io->ca;

	if (!ca->in_order) {
		submit_write(io);
		return;
	}
	spin_lock_irq(&ca->order_lock);
	io->order_ready = true;
	spin_unlock_irq(&ca->order_lock);
	submit_in_order(ca);
}

static void order_work(struct work_struct *work)
{
	submit_in_order(container_of(work, struct ca_device, order_work));
}

/* ------------------------------------------------------------------------- conversion */

/* Copies as much as @to_at has left. */
static void copy_data(const struct bio_vec *to, struct bvec_iter to_at,
		      const struct bio_vec *from, struct bvec_iter from_at)
{
	while (to_at.bi_size) {
		struct bio_vec out = bvec_iter_bvec(to, to_at);
		struct bio_vec in = bvec_iter_bvec(from, from_at);
		unsigned int bytes = min(out.bv_len, in.bv_len);

		memcpy_page(out.bv_page, out.bv_offset, in.bv_page, in.bv_offset, bytes);
		bvec_iter_advance_single(to, &to_at, bytes);
		bvec_iter_advance_single(from, &from_at, bytes);
	}
}

/*
 * A write that is converted in place is tried again: what the driver made of its next unit before
 * it found no memory gives way to what the writer has there.
 */
static void restore_unit(struct dm_crypt_io *io)
{
	struct bvec_iter from = ca_base(io)->all;
	struct bvec_iter to = io->ctx.at.in;

	if (!io->bounce.count || !io->ca->cipher.in_place || !to.bi_size)
		return;
	bio_advance_iter(io->base_bio, &from,
			 ((io->sector - ca_base(io)->sector) << SECTOR_SHIFT) +
			 io->bytes - to.bi_size);
	to.bi_size = io->ca->unit_size;
	copy_data(io->ctx.to, to, io->base_bio->bi_io_vec, from);
}

/*
 * Whether a fragment that failed may be well when it is read and converted once more: its tag did
 * not match, or the driver had no memory, and may have left its data half converted. A driver may
 * answer anything: only a read can be read again.
 */
static bool is_worth_reading_again(const struct dm_crypt_io *io)
{
	int err = io->ctx.error;

	return bio_data_dir(io->base_bio) == READ &&
	       (err == -ENOMEM || (err == -EBADMSG && io->ca->cipher.aead));
}

/* @in_task: the caller may submit bios */
static void finish_conversion(struct dm_crypt_io *io, bool in_task)
{
	ca_unwatch(io);
	if (unlikely(io->since)) {
		ca_latency_end(io, CA_PHASE_CONVERT, io->since);
		io->since = 0;
	}
	if (io->waiter) {
		complete(io->waiter);
	} else if (io->ctx.error) {
		if (io->bounce.count && io->ca->in_order)
			leave_order(io);
		if (io->bounce.count)
			put_write(io, true);
		if (is_worth_reading_again(io))
			WRITE_ONCE(ca_base(io)->mismatch, true);
		end_fragment(io, BLK_STS_IOERR);
	} else if (!io->bounce.count) {
		end_fragment(io, BLK_STS_OK);
	} else {
		ca_io_move(io, CA_CONVERTED);
		if (in_task)
			start_write(io);
		else
			ca_queue_fragment(io);
	}
}

/**
 * ca_io_converted() - goes on with a fragment whose last request the crypto driver has answered
 * @io: the fragment
 *
 * Context: Any.
 */
void ca_io_converted(struct dm_crypt_io *io)
{
	finish_conversion(io, false);
}

static void start_conversion(struct dm_crypt_io *io, enum ca_caller caller)
{
	if (io->state == CA_CUT)
		io->since = ca_latency_begin(io);
	if (ca_convert(io, caller))
		finish_conversion(io, true);
}

/* The same for a fragment that has been cut in a soft interrupt, whose time is limited. */
static void convert_in_softirq(struct dm_crypt_io *io, u64 begun)
{
	ca_count(io->ca, CA_STAT_INLINE);
	io->since = ca_latency_begin(io);
	if (ca_convert(io, CA_FROM_SOFTIRQ)) {
		ca_spend(io, begun);
		finish_conversion(io, false);
	} else {
		ca_spend(NULL, begun);
	}
}

/* ---------------------------------------------------------------------------- cutting */

static void init_io(struct dm_crypt_io *io, struct ca_device *ca, struct dm_crypt_io *base,
		    struct bio *base_bio)
{
	io->ca = ca;
	io->base_io = base;
	io->base_bio = base_bio;
	io->clone = NULL;
	io->bounce.count = 0;
	io->bounce.bytes = 0;
	io->waiter = NULL;
	io->state = CA_NEW;
	io->queued_at = 0;
	io->since = 0;
	io->is_watched = false;
	io->sleeps = false;
}

/*
 * Cuts @bytes off the rest of the base bio; they are converted into the fragment's bounce pages if
 * it has any, else in place. The fragment takes over a reference on the base.
 */
static void take_part(struct dm_crypt_io *io, unsigned int bytes)
{
	struct dm_crypt_io *base = ca_base(io);
	const struct bio_vec *from = base->base_bio->bi_io_vec;
	const struct bio_vec *to = io->bounce.count ? io->bounce.vecs : from;
	u8 *meta = base->meta ? ca_meta_of(base, base->rest_sector) : NULL;
	const struct bvec_iter start = { .bi_size = bytes };

	io->sector = base->rest_sector;
	io->bytes = bytes;
	io->sleeps = io->ca->cipher.iv_ops->looks_at_data;
	if (to != from && io->ca->cipher.in_place) {
		copy_data(to, start, from, base->rest);
		ca_convert_init(io, bytes, to, &start, to, meta);
	} else {
		ca_convert_init(io, bytes, from, &base->rest, to, meta);
	}
	if (bytes == base->rest.bi_size)
		base->rest.bi_size = 0;
	else
		bvec_iter_advance(base->base_bio->bi_io_vec, &base->rest, bytes);
	base->rest_sector += bytes >> SECTOR_SHIFT;
	ca_io_move(io, CA_CUT);
}

static struct dm_crypt_io *alloc_fragment(struct dm_crypt_io *base, gfp_t gfp)
{
	struct dm_crypt_io *io = mempool_alloc(&base->ca->fragments, gfp);

	if (io)
		init_io(io, base->ca, base, base->base_bio);
	return io;
}

/*
 * A bio for a part of the base bio at a sector of the target, without pages, with the priority and
 * the cgroup of the one who submitted the base. Below map that one is the caller, and the base bio
 * does not say; ca_io_map() has it say so for workers.
 */
static struct bio *alloc_part(struct dm_crypt_io *base, sector_t sector, unsigned int bytes,
			      gfp_t gfp)
{
	struct ca_device *ca = base->ca;
	struct bio *bio = base->base_bio;
	struct bio *clone;

	clone = bio_alloc_bioset(ca->dev->bdev, DIV_ROUND_UP(bytes, PAGE_SIZE), bio->bi_opf, gfp,
				 &ca->bios);
	if (!clone)
		return NULL;
	clone->bi_iter.bi_sector = ca->start + sector;
	clone->bi_ioprio = bio->bi_ioprio;
	bio_clear_polled(clone);
	ca_bio_copy_hints(clone, bio);
	bio_clone_blkg_association(clone, bio);
	return clone;
}

/* Whether all of the base bio can be one fragment that goes below without a clone. */
static bool is_one_fragment(const struct dm_crypt_io *base, unsigned int bytes)
{
	return !base->started && bytes == base->rest.bi_size &&
	       bytes <= CA_OWN_PAGES * PAGE_SIZE && !base->ca->meta_size;
}

/* Return: whether the base io now has all of the base bio, and its pages. */
static bool take_all(struct dm_crypt_io *base)
{
	base->bounce.vecs = base->own_pages;
	if (!ca_pages_fill_all(base->ca, &base->bounce, base->rest.bi_size, false))
		return false;
	/* Now: it also puts down whose cgroup this is for, which a worker could not. */
	bio_set_dev(base->base_bio, base->ca->dev->bdev);
	base->started = true;
	take_part(base, base->rest.bi_size);
	return true;
}

/* Return: a clone with pages for as much of @wanted as there are, NULL if something is missing. */
static struct bio *make_write_clone(struct dm_crypt_io *io, unsigned int wanted, bool whole,
				    bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;
	struct dm_crypt_io *base = ca_base(io);
	struct ca_device *ca = io->ca;
	struct bio *clone;

	clone = alloc_part(base, base->rest_sector, wanted, gfp);
	if (!clone)
		return NULL;
	io->bounce.vecs = clone->bi_io_vec;
	if (!ca_meta_reserve(ca, clone, gfp) ||
	    !(whole ? ca_pages_fill_all(ca, &io->bounce, wanted, may_wait) :
		      ca_pages_fill(ca, &io->bounce, wanted, may_wait))) {
		bio_put(clone);
		return NULL;
	}
	clone->bi_vcnt = io->bounce.count;
	clone->bi_iter.bi_size = io->bounce.bytes;
	clone->bi_end_io = finish_write;
	clone->bi_private = io;
	return clone;
}

/* Whether a cutter stays until all of its fragments have been begun. */
static bool helps_out(enum ca_caller caller)
{
	return caller == CA_FROM_MAP || caller == CA_FROM_SUBMITTER;
}

/*
 * Return: the next fragment of a write, with all it needs to come to its end; or NULL if
 * it may not wait. The last one takes over the cutter's part in the base, unless the cutter
 * will look for more to do and there are several.
 */
static struct dm_crypt_io *cut_write_fragment(struct dm_crypt_io *base, enum ca_caller caller)
{
	bool may_wait = caller == CA_FROM_SLEEPER;
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;
	const bool whole = base->base_bio->bi_opf & REQ_ATOMIC;
	unsigned int rest = base->rest.bi_size;
	unsigned int wanted = whole ? rest : ca_part(base);
	struct ca_device *ca = base->ca;
	struct dm_crypt_io *io = base;

	if (is_one_fragment(base, wanted) && take_all(base))
		return base;
	if (!ca_meta_get(base, gfp))
		return NULL;
	if (base->started)
		io = alloc_fragment(base, gfp);
	if (!io)
		return NULL;
	io->clone = make_write_clone(io, wanted, whole, may_wait);
	if (!io->clone) {
		if (io != base)
			mempool_free(io, &ca->fragments);
		return NULL;
	}
	if (io->bounce.bytes < wanted)
		ca_count(ca, CA_STAT_TRIMMED);
	base->started = true;
	if (io->bounce.bytes < rest || (io != base && helps_out(caller)))
		atomic_inc(&base->refs);
	take_part(io, io->bounce.bytes);
	return io;
}

/* Another worker, which submitted the base bio, may look at it when it hands on a fragment. */
static void add_own(struct dm_crypt_io *base, unsigned int bytes)
{
	WRITE_ONCE(base->own_bytes, base->own_bytes + bytes);
}

/* Converts a fragment, for the cutter. */
static __always_inline void convert_own(struct dm_crypt_io *io, enum ca_caller caller)
{
	if (caller == CA_FROM_SOFTIRQ) {
		convert_in_softirq(io, local_clock());
		return;
	}
	ca_count(io->ca, caller == CA_FROM_WORKER ? CA_STAT_QUEUED : CA_STAT_INLINE);
	add_own(ca_base(io), io->bytes);
	start_conversion(io, caller);
}

/* Converts a fragment here, or hands it on. */
static __always_inline void place(struct dm_crypt_io *io, enum ca_caller caller, bool more)
{
	if (ca_place(io, caller, more) == CA_INLINE)
		convert_own(io, caller);
	else
		ca_queue_fragment(io);
}

/* Somebody begins with a fragment, or goes on with it. */
static void leave_queue(struct dm_crypt_io *io)
{
	if (unlikely(io->queued_at)) {
		ca_latency_end(io, CA_PHASE_QUEUE, io->queued_at);
		io->queued_at = 0;
	}
}

/*
 * All of the base bio has been cut. What no worker has begun the cutter does, rather than wait;
 * then it drops its reference.
 */
static void help_out(struct dm_crypt_io *base, enum ca_caller caller)
{
	struct dm_crypt_io *io;

	while ((io = ca_take_back(base, caller))) {
		leave_queue(io);
		if (io->state == CA_CUT) {
			convert_own(io, caller);
		} else {
			add_own(base, io->bytes);
			ca_io_run(io, caller);
		}
	}
	put_base(base);
}

/*
 * Return: whether all of the base bio has been cut, which ends the cutter. Then nothing of it may
 * be touched any more.
 */
static bool cut_write(struct dm_crypt_io *base, enum ca_caller caller)
{
	bool several;
	bool more;

	do {
		struct dm_crypt_io *io = cut_write_fragment(base, caller);

		if (!io)
			return false;
		more = base->rest.bi_size;
		several = io != base;
		if (base->ca->in_order)
			enter_order(io);
		place(io, caller, more);
	} while (more);
	if (several && helps_out(caller))
		help_out(base, caller);
	return true;
}

/*
 * The data of a read is there: cuts it, and converts what it does not hand on. Does not wait for
 * fragments: what there is none for goes with the base io, the last.
 */
static void cut_read(struct dm_crypt_io *base, enum ca_caller caller)
{
	unsigned int part = ca_part(base);
	bool helps = helps_out(caller) && part < base->rest.bi_size;

	if (helps)
		atomic_inc(&base->refs);
	for (; part < base->rest.bi_size; part = ca_part(base)) {
		struct dm_crypt_io *io = alloc_fragment(base, GFP_NOWAIT | __GFP_NOWARN);

		if (!io)
			break;
		atomic_inc(&base->refs);
		take_part(io, part);
		place(io, caller, true);
	}
	take_part(base, base->rest.bi_size);
	place(base, caller, false);
	if (helps)
		help_out(base, caller);
}

/* ---------------------------------------------------------------------------- reading */

/* Leaves a read to a worker. */
static void defer_read(struct dm_crypt_io *base)
{
	ca_count(base->ca, CA_STAT_DEFERRED);
	ca_queue_fragment(base);
}

/* Goes on with a read in an interrupt, within bounds of size and time. */
static void cut_read_in_softirq(struct dm_crypt_io *base)
{
	const unsigned int bytes = base->rest.bi_size;
	const bool whole = bytes <= READ_ONCE(base->ca->fragment_bytes);
	u64 now = local_clock();

	if (ca_place_read(base, CA_FROM_SOFTIRQ, whole, now) == CA_QUEUE) {
		defer_read(base);
		return;
	}
	if (whole) {
		take_part(base, bytes);
		convert_in_softirq(base, now);
		return;
	}
	/* What is short enough for here is over before somebody else could begin with a part. */
	base->least_part = 0;
	cut_read(base, CA_FROM_SOFTIRQ);
}

/* The ciphertext is there, or an error. */
static void finish_read(struct dm_crypt_io *base, blk_status_t status)
{
	enum ca_caller caller = ca_caller(base);

	leave_device(base, status);
	if (status) {
		end_fragment(base, status);
		return;
	}
	ca_io_move(base, CA_READ);
	if (caller == CA_FROM_SUBMITTER)
		cut_read(base, caller);
	else if (caller == CA_FROM_SOFTIRQ)
		cut_read_in_softirq(base);
	else if (ca_place_read(base, caller, true, 0) == CA_QUEUE)
		defer_read(base);
	else
		ca_queue_softirq(base);
}

static void finish_base_read(struct bio *bio)
{
	finish_read(bio->bi_private, bio->bi_status);
}

static void finish_cloned_read(struct bio *clone)
{
	struct dm_crypt_io *base = clone->bi_private;
	blk_status_t status = clone->bi_status;

	bio_put(clone);
	finish_read(base, status);
}

/* Return: the clone for a read with metadata, NULL if @gfp does not allow to wait for it. */
static struct bio *make_read_clone(struct dm_crypt_io *base, gfp_t gfp)
{
	struct ca_device *ca = base->ca;
	struct bio *clone;

	if (!ca_meta_get(base, gfp))
		return NULL;
	clone = bio_alloc_clone(ca->dev->bdev, base->base_bio, gfp, &ca->bios);
	if (!clone)
		return NULL;
	if (!ca_meta_reserve(ca, clone, gfp)) {
		bio_put(clone);
		return NULL;
	}
	clone->bi_iter.bi_sector = ca->start + base->sector;
	clone->bi_private = base;
	clone->bi_end_io = finish_cloned_read;
	bio_clear_polled(clone);
	return clone;
}

/* Return: whether the read is under way; false only if the caller may not wait. */
static bool start_read(struct dm_crypt_io *base, bool may_wait)
{
	struct bio *clone;

	base->since = ca_latency_begin(base);
	if (!base->ca->meta_size) {
		bio_set_dev(base->base_bio, base->ca->dev->bdev);
		hook(base, finish_base_read);
		ca_io_move(base, CA_READING);
		dm_submit_bio_remap(base->base_bio, NULL);
		return true;
	}
	clone = make_read_clone(base, may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN);
	if (!clone)
		return false;
	ca_io_move(base, CA_READING);
	if (ca_meta_attach(base->ca, clone, base->meta)) {
		bio_put(clone);
		end_fragment(base, BLK_STS_IOERR);
	} else {
		dm_submit_bio_remap(base->base_bio, clone);
	}
	return true;
}

/* ------------------------------------------------------------------ reading once more */

/* Reads one unit into a page of our own, to which nobody else writes, and converts it there. */
static int read_privately(struct dm_crypt_io *base, struct bio *bio)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct bvec_iter at = bio->bi_iter;
	u8 *meta = ca_meta_of(base, base->sector);
	int err;

	err = ca_meta_attach(base->ca, bio, meta) ?: submit_bio_wait(bio);
	if (err)
		return err;

	base->waiter = &done;
	ca_convert_init(base, at.bi_size, bio->bi_io_vec, &at, bio->bi_io_vec, meta);
	if (ca_convert(base, CA_FROM_SLEEPER))
		ca_unwatch(base);
	else
		wait_for_completion(&done);
	ca_io_move(base, CA_CHECKING);
	base->waiter = NULL;
	return base->ctx.error;
}

static int check_unit(struct dm_crypt_io *base, struct bvec_iter *at)
{
	struct ca_device *ca = base->ca;
	struct ca_bounce bounce = { };
	struct bvec_iter part = *at;
	struct bio *bio;
	int err;

	bio = alloc_part(base, base->sector, ca->unit_size, GFP_NOIO);
	ca_meta_reserve(ca, bio, GFP_NOIO);
	bounce.vecs = bio->bi_io_vec;
	ca_pages_fill(ca, &bounce, ca->unit_size, true);
	bio->bi_vcnt = bounce.count;
	bio->bi_iter.bi_size = bounce.bytes;
	err = read_privately(base, bio);
	if (!err) {
		part.bi_size = ca->unit_size;
		copy_data(base->base_bio->bi_io_vec, part, bounce.vecs,
			  (struct bvec_iter){ .bi_size = ca->unit_size });
	}
	ca_pages_free(ca, &bounce, true);
	bio_put(bio);
	bio_advance_iter(base->base_bio, at, ca->unit_size);
	return err;
}

/* Reads a base bio again, unit by unit, and ends it with what is found then. */
static void check_units(struct dm_crypt_io *base)
{
	struct bvec_iter at = base->all;
	struct ca_device *ca = base->ca;
	int err = 0;

	base->sector = dm_target_offset(ca->ti, at.bi_sector);
	base->bytes = ca->unit_size;
	while (at.bi_size && !err) {
		err = check_unit(base, &at);
		if (err == -EBADMSG)
			ca_report_forgery(base);
		base->sector += ca->unit_size >> SECTOR_SHIFT;
	}
	if (err)
		base->status = err == -EBADMSG ? BLK_STS_PROTECTION : errno_to_blk_status(err);
	put_base(base);
}

/* ---------------------------------------------------------------------------- workers */

/**
 * ca_io_run() - goes on with a fragment, from its state
 * @io: the fragment
 * @caller: CA_FROM_WORKER or CA_FROM_SLEEPER; for a read that has completed CA_FROM_SOFTIRQ, too
 */
void ca_io_run(struct dm_crypt_io *io, enum ca_caller caller)
{
	leave_queue(io);
	switch (io->state) {
	case CA_READ:
		if (caller == CA_FROM_SOFTIRQ)
			cut_read_in_softirq(io);
		else
			cut_read(io, caller);
		break;
	case CA_PARKING:
		ca_count(io->ca, CA_STAT_RESUMED);
		if (io->sleeps)
			restore_unit(io);
		start_conversion(io, caller);
		break;
	case CA_CUT:
		ca_count(io->ca, CA_STAT_QUEUED);
		start_conversion(io, caller);
		break;
	case CA_CONVERTED:
		start_write(io);
		break;
	default:
		WARN_ONCE(1, "no work for a fragment in state %d\n", io->state);
	}
}

/* Crypto drivers may allocate; reclaim must not come back to this device for that. */
static void cutter_work(struct work_struct *work)
{
	struct dm_crypt_io *base = container_of(work, struct dm_crypt_io, cut_work);
	unsigned int noio = memalloc_noio_save();
	const int own = task_nice(current);
	struct ca_device *ca = base->ca;

	ca_be_nice(base, own);
	base->base_bio->bi_opf &= ~REQ_NOWAIT;
	if (base->checks_again) {
		check_units(base);
	} else {
		if (bio_data_dir(base->base_bio) == READ)
			start_read(base, true);
		else
			cut_write(base, CA_FROM_SLEEPER);
		atomic_dec(&ca->cutters);
	}
	ca_be_oneself(own);
	memalloc_noio_restore(noio);
}

/* ------------------------------------------------------------------------------- entry */

/**
 * ca_io_map() - takes over a read or write
 * @ca: the device
 * @bio: of at least one unit, aligned to units
 *
 * Context: Task, below submit_bio; does not sleep for memory.
 */
void ca_io_map(struct ca_device *ca, struct bio *bio)
{
	struct dm_crypt_io *base = dm_per_bio_data(bio, ca->ti->per_io_data_size);
	bool done;

	if (ca->most_sectors && bio_sectors(bio) > ca->most_sectors)
		dm_accept_partial_bio(bio, ca->most_sectors);
	init_io(base, ca, NULL, bio);
	base->all = bio->bi_iter;
	base->rest = bio->bi_iter;
	base->rest_sector = dm_target_offset(ca->ti, bio->bi_iter.bi_sector);
	base->sector = base->rest_sector;
	base->bytes = bio->bi_iter.bi_size;
	base->end_io = NULL;
	base->meta = NULL;
	base->started = false;
	base->mismatch = false;
	base->checks_again = false;
	base->accounted = 0;
	atomic_set(&base->refs, 1);
	base->status = BLK_STS_OK;
	trace_ca_bio(base);
	ca_enter(base);
	/* For a worker that reads again. */
	if (ca->meta_size)
		bio_associate_blkg(bio);

	if (bio_data_dir(bio) == READ) {
		ca_count(ca, CA_STAT_READS);
		ca_count_bytes(ca, CA_STAT_READ_BYTES, base->bytes);
		done = start_read(base, false);
	} else {
		ca_count(ca, CA_STAT_WRITES);
		ca_count_bytes(ca, CA_STAT_WRITTEN_BYTES, base->bytes);
		/* Who came first and waits for memory is not overtaken. */
		done = !atomic_read(&ca->cutters) && cut_write(base, CA_FROM_MAP);
	}
	if (!done) {
		ca_count(ca, CA_STAT_WAITED);
		bio_associate_blkg(bio);
		hand_to_cutter(base);
	}
}

/**
 * ca_io_init() - makes a device's pools of fragments and clones
 * @ca: the device, its cipher set up; sets the size of its per-bio data
 *
 * Return: 0 or -ENOMEM, with nothing left to undo.
 */
int ca_io_init(struct ca_device *ca)
{
	unsigned int reserve = clamp(pool_reserve, 1U, 1U << 16);
	int err;

	ca->ti->per_io_data_size = io_size(ca);
	atomic_set(&ca->cutters, 0);
	spin_lock_init(&ca->order_lock);
	INIT_LIST_HEAD(&ca->order);
	INIT_WORK(&ca->order_work, order_work);

	err = bioset_init(&ca->bios, reserve, 0, BIOSET_NEED_BVECS);
	if (err)
		return err;
	err = mempool_init_kmalloc_pool(&ca->fragments, reserve, io_size(ca));
	if (err)
		goto free_bios;
	err = ca_pages_init(ca);
	if (err)
		goto free_fragments;
	return 0;

free_fragments:
	mempool_exit(&ca->fragments);
free_bios:
	bioset_exit(&ca->bios);
	return err;
}

/**
 * ca_io_exit() - frees the pools
 * @ca: the device, with no bio in flight
 */
void ca_io_exit(struct ca_device *ca)
{
	ca_pages_exit(ca);
	mempool_exit(&ca->fragments);
	bioset_exit(&ca->bios);
}
