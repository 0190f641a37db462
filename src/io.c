// SPDX-License-Identifier: GPL-2.0-only
/*
 * Base bios and their fragments, from map to bio_endio.
 *
 *	a write:	cut -> convert into bounce pages -> write the clone -> end
 *	a read:		read into the base bio -> cut -> convert in place -> end
 *
 * If the IV generator or an authenticated cipher asks for it, a write is copied into its bounce
 * pages and converted there.
 *
 * The base io is the first fragment. Its reference count holds the base bio: one for the cutter,
 * one for each fragment in flight. Who drops the last reference ends the base bio with the first
 * error.
 *
 * Waiting. A write's fragment needs, in this order: the base bio's page for metadata (on a device
 * that has it), its object (but for the base io), a clone bio (and there a payload for metadata,
 * from the allocator), at least one bounce page. The cutter sleeps for one of these only on
 * cut_wq, and only while it holds nothing that comes later. What it waits for is held by fragments
 * that have all they need, or by cutters that wait for something later in the order; a fragment
 * that has all it needs ends on its own. More pages than one are taken only if they are at hand:
 * the fragment is trimmed to what it got; one write at a time that must not be cut waits for all of
 * its pages (see pages.c). Below map nothing sleeps, since bios submitted there wait on
 * current->bio_list for map to return: at the first miss the rest goes to cut_wq.
 */
#include "dm-crypt-async.h"

#include <linux/completion.h>
#include <linux/highmem.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

/* A read's fragments, the base io included. */
#define MAX_READ_PARTS	16

static unsigned int fragment_kib = 128;
module_param(fragment_kib, uint, 0644);
MODULE_PARM_DESC(fragment_kib, "Most that a fragment of a new device converts, in KiB, 4 to 1024");

static unsigned int pool_reserve = 16;
module_param(pool_reserve, uint, 0644);
MODULE_PARM_DESC(pool_reserve, "Fragments and clones that a new device has in reserve, at least 1");

#ifdef CA_DEBUG
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
#endif

/**
 * ca_io_move() - brings a fragment into its next state
 * @io: the fragment, owned by the caller
 * @to: the state; a move that is not in the list is a bug, which DEBUG=y reports
 *
 * Context: Any.
 */
void ca_io_move(struct dm_crypt_io *io, enum ca_state to)
{
#ifdef CA_DEBUG
	WARN_ONCE(!(moves[io->state] & BIT(to)), "fragment moves from %d to %d\n", io->state, to);
#endif
	io->state = to;
}

static unsigned int io_size(const struct ca_device *ca)
{
	return ALIGN(offsetof(struct dm_crypt_io, own) + ca->cipher.request_size,
		     ARCH_KMALLOC_MINALIGN);
}

/* ---------------------------------------------------------------- references and ends */

static void hand_to_cutter(struct dm_crypt_io *base)
{
	atomic_inc(&base->ca->cutters);
	ca_queue_cutter(base);
}

/* A tag did not match. Whoever owns the memory may have written to it meanwhile, so look again. */
static void check_again(struct dm_crypt_io *base)
{
	base->checks_again = true;
	base->status = BLK_STS_OK;
	atomic_set(&base->refs, 1);
	ca_io_move(base, CA_CHECKING);
	ca_queue_cutter(base);
}

/* Drops a reference on the base. Nobody touches the base io after its last one. */
static void put_base(struct dm_crypt_io *base)
{
	struct bio *bio = base->base_bio;

	if (!atomic_dec_and_test(&base->refs))
		return;
	if (base->mismatch && !base->checks_again) {
		check_again(base);
		return;
	}
	ca_meta_put(base);
	if (base->status)
		ca_count(base->ca, CA_STAT_ERRORS);
	bio->bi_status = base->status;
	bio_endio(bio);
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

static void put_write_clone(struct dm_crypt_io *io, bool clear)
{
	ca_pages_free(io->ca, io->clone, clear);
	bio_put(io->clone);
	io->clone = NULL;
}

static void finish_write(struct bio *clone)
{
	struct dm_crypt_io *io = clone->bi_private;
	blk_status_t status = clone->bi_status;

	put_write_clone(io, false);
	end_fragment(io, status);
}

/* A converted fragment that is not to be written ends here. */
static void drop_write(struct dm_crypt_io *io)
{
	put_write_clone(io, false);
	end_fragment(io, BLK_STS_IOERR);
}

/*
 * dm_submit_bio_remap() starts the base bio's accounting with its first clone, without a lock.
 * Fragments may be submitted at the same time, so one of them does that for all.
 */
static void submit_write(struct dm_crypt_io *io)
{
	struct dm_crypt_io *base = ca_base(io);

	if (ca_meta_attach(io->ca, io->clone, ca_meta_of(base, io->sector))) {
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

/* @in_task: the caller may submit bios */
static void finish_conversion(struct dm_crypt_io *io, bool in_task)
{
	ca_unwatch(io);
	if (io->waiter) {
		complete(io->waiter);
	} else if (io->ctx.error) {
		if (io->clone && io->ca->in_order)
			leave_order(io);
		if (io->clone)
			put_write_clone(io, true);
		/* A driver may answer anything: only a read can be read again. */
		if (io->ctx.error == -EBADMSG && io->ca->cipher.aead &&
		    bio_data_dir(io->base_bio) == READ)
			WRITE_ONCE(ca_base(io)->mismatch, true);
		end_fragment(io, BLK_STS_IOERR);
	} else if (!io->clone) {
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

static void start_conversion(struct dm_crypt_io *io, bool may_sleep)
{
	if (ca_convert(io, may_sleep))
		finish_conversion(io, true);
}

/* ---------------------------------------------------------------------------- cutting */

static void fragment_work(struct work_struct *work);
static void cutter_work(struct work_struct *work);

static void init_io(struct dm_crypt_io *io, struct ca_device *ca, struct dm_crypt_io *base,
		    struct bio *base_bio)
{
	io->ca = ca;
	io->base_io = base;
	io->base_bio = base_bio;
	io->clone = NULL;
	io->waiter = NULL;
	io->state = CA_NEW;
	io->is_watched = false;
	INIT_WORK(&io->work, fragment_work);
}

/* Copies as much as @to has room for. */
static void copy_data(struct bio *to, struct bvec_iter to_at, struct bio *from,
		      struct bvec_iter from_at)
{
	while (to_at.bi_size) {
		struct bio_vec out = bio_iter_iovec(to, to_at);
		struct bio_vec in = bio_iter_iovec(from, from_at);
		unsigned int bytes = min(out.bv_len, in.bv_len);

		memcpy_page(out.bv_page, out.bv_offset, in.bv_page, in.bv_offset, bytes);
		bio_advance_iter_single(to, &to_at, bytes);
		bio_advance_iter_single(from, &from_at, bytes);
	}
}

/*
 * Cuts @bytes off the rest of the base bio. The fragment holds the base from here on. @out_bio is
 * where the result goes: the fragment's clone, or the base bio itself.
 */
static void take_part(struct dm_crypt_io *io, unsigned int bytes, struct bio *out_bio)
{
	struct dm_crypt_io *base = ca_base(io);
	struct bvec_iter part = base->rest;
	u8 *meta = ca_meta_of(base, base->rest_sector);
	struct bio *in_bio = base->base_bio;

	part.bi_size = bytes;
	io->sector = base->rest_sector;
	io->bytes = bytes;
	atomic_inc(&base->refs);
	if (out_bio == in_bio) {
		ca_convert_init(io, in_bio, part, in_bio, part, meta);
	} else if (io->ca->cipher.in_place) {
		copy_data(out_bio, out_bio->bi_iter, in_bio, part);
		ca_convert_init(io, out_bio, out_bio->bi_iter, out_bio, out_bio->bi_iter, meta);
	} else {
		ca_convert_init(io, in_bio, part, out_bio, out_bio->bi_iter, meta);
	}
	bio_advance_iter(base->base_bio, &base->rest, bytes);
	base->rest_sector += bytes >> SECTOR_SHIFT;
	ca_io_move(io, CA_CUT);
	ca_count(io->ca, CA_STAT_FRAGMENTS);
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

/*
 * Return: the next fragment of a write, with all it needs to come to its end; or NULL if
 * @may_wait is false.
 */
static struct dm_crypt_io *cut_write_fragment(struct dm_crypt_io *base, bool may_wait)
{
	struct ca_device *ca = base->ca;
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;
	const bool whole = base->base_bio->bi_opf & REQ_ATOMIC;
	unsigned int wanted = whole ? base->rest.bi_size :
				      min(base->rest.bi_size, ca->fragment_bytes);
	struct dm_crypt_io *io = base;
	struct bio *clone;

	if (!ca_meta_get(base, gfp))
		return NULL;
	if (base->started)
		io = alloc_fragment(base, gfp);
	if (!io)
		return NULL;
	clone = alloc_part(base, base->rest_sector, wanted, gfp);
	if (!clone)
		goto free_fragment;
	if (!ca_meta_reserve(ca, clone, gfp))
		goto put_clone;
	if (!(whole ? ca_pages_fill_all(ca, clone, wanted, may_wait) :
		      ca_pages_fill(ca, clone, wanted, may_wait)))
		goto put_clone;
	if (clone->bi_iter.bi_size < wanted)
		ca_count(ca, CA_STAT_TRIMMED);

	clone->bi_end_io = finish_write;
	clone->bi_private = io;
	io->clone = clone;
	base->started = true;
	take_part(io, clone->bi_iter.bi_size, clone);
	if (ca->in_order)
		enter_order(io);
	return io;

put_clone:
	bio_put(clone);
free_fragment:
	if (io != base)
		mempool_free(io, &ca->fragments);
	return NULL;
}

/*
 * Return: whether all of the base bio has been cut, which ends the cutter and its part in the base.
 */
static bool cut_write(struct dm_crypt_io *base, enum ca_caller caller)
{
	const bool may_wait = caller == CA_FROM_CUTTER;
	struct ca_device *ca = base->ca;

	while (base->rest.bi_size) {
		struct dm_crypt_io *io = cut_write_fragment(base, may_wait);
		struct ca_choice choice = { .caller = caller };

		if (!io)
			return false;
		choice.bytes = io->ctx.at.in.bi_size;
		choice.last = !base->rest.bi_size;
		choice.worker_only = ca->cipher.in_place || ca->in_order;
		if (ca_choose(&choice) == CA_INLINE) {
			ca_count(ca, CA_STAT_INLINE);
			start_conversion(io, may_wait);
		} else {
			ca_count(ca, CA_STAT_QUEUED);
			ca_queue_fragment(io);
		}
	}
	put_base(base);
	return true;
}

/*
 * The data of a read is there: cuts it, hands out all but the first part, and converts that one.
 * Does not wait for fragments; with fewer of them at hand the first part is larger.
 */
static void cut_read(struct dm_crypt_io *base)
{
	struct dm_crypt_io *more[MAX_READ_PARTS - 1];
	struct ca_device *ca = base->ca;
	unsigned int total = base->rest.bi_size;
	unsigned int part = max(ca->fragment_bytes,
				round_up(total / MAX_READ_PARTS + 1, CA_MAX_UNIT));
	unsigned int wanted = (total - 1) / part;
	unsigned int got = 0;
	unsigned int i;

	while (got < wanted) {
		more[got] = alloc_fragment(base, GFP_NOWAIT | __GFP_NOWARN);
		if (!more[got])
			break;
		got++;
	}

	take_part(base, got ? (wanted - got + 1) * part : total, base->base_bio);
	for (i = 0; i < got; i++) {
		take_part(more[i], min(base->rest.bi_size, part), base->base_bio);
		ca_count(ca, CA_STAT_QUEUED);
		ca_queue_fragment(more[i]);
	}
	ca_count(ca, CA_STAT_INLINE);
	start_conversion(base, true);
	put_base(base);
}

/* ---------------------------------------------------------------------------- reading */

static void finish_read(struct bio *clone)
{
	struct dm_crypt_io *base = clone->bi_private;
	blk_status_t status = clone->bi_status;

	bio_put(clone);
	if (status) {
		end_fragment(base, status);
	} else {
		ca_io_move(base, CA_READ);
		ca_queue_fragment(base);
	}
}

/* Return: whether the read is under way; false only if the caller may not wait. */
static bool start_read(struct dm_crypt_io *base, bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;
	struct ca_device *ca = base->ca;
	struct bio *clone;

	if (!ca_meta_get(base, gfp))
		return false;
	clone = bio_alloc_clone(ca->dev->bdev, base->base_bio, gfp, &ca->bios);
	if (!clone)
		return false;
	clone->bi_iter.bi_sector = ca->start + base->rest_sector;
	if (!ca_meta_reserve(ca, clone, gfp)) {
		bio_put(clone);
		return false;
	}
	clone->bi_private = base;
	clone->bi_end_io = finish_read;
	bio_clear_polled(clone);
	ca_io_move(base, CA_READING);
	if (ca_meta_attach(ca, clone, base->meta)) {
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
	ca_convert_init(base, bio, at, bio, at, meta);
	if (ca_convert(base, true))
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
	struct bvec_iter part = *at;
	struct bio *bio;
	int err;

	bio = alloc_part(base, base->sector, ca->unit_size, GFP_NOIO);
	ca_meta_reserve(ca, bio, GFP_NOIO);
	ca_pages_fill(ca, bio, ca->unit_size, true);
	err = read_privately(base, bio);
	if (!err) {
		part.bi_size = ca->unit_size;
		copy_data(base->base_bio, part, bio, (struct bvec_iter){
			  .bi_size = ca->unit_size });
	}
	ca_pages_free(ca, bio, true);
	bio_put(bio);
	bio_advance_iter(base->base_bio, at, ca->unit_size);
	return err;
}

/* Reads a base bio again, unit by unit, and ends it with what is found then. */
static void check_units(struct dm_crypt_io *base)
{
	struct bvec_iter at = base->base_bio->bi_iter;
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

/* Crypto drivers may allocate; reclaim must not come back to this device for that. */
static void fragment_work(struct work_struct *work)
{
	struct dm_crypt_io *io = container_of(work, struct dm_crypt_io, work);
	unsigned int noio = memalloc_noio_save();

	switch (io->state) {
	case CA_READ:
		cut_read(io);
		break;
	case CA_PARKING:
		ca_count(io->ca, CA_STAT_RESUMED);
		fallthrough;
	case CA_CUT:
		start_conversion(io, true);
		break;
	case CA_CONVERTED:
		start_write(io);
		break;
	default:
		WARN_ONCE(1, "no work for a fragment in state %d\n", io->state);
	}
	memalloc_noio_restore(noio);
}

static void cutter_work(struct work_struct *work)
{
	struct dm_crypt_io *base = container_of(work, struct dm_crypt_io, cut_work);
	unsigned int noio = memalloc_noio_save();
	struct ca_device *ca = base->ca;

	if (base->checks_again) {
		check_units(base);
		memalloc_noio_restore(noio);
		return;
	}
	if (bio_data_dir(base->base_bio) == READ)
		start_read(base, true);
	else
		cut_write(base, CA_FROM_CUTTER);
	atomic_dec(&ca->cutters);
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
	INIT_WORK(&base->cut_work, cutter_work);
	base->rest = bio->bi_iter;
	base->rest_sector = dm_target_offset(ca->ti, bio->bi_iter.bi_sector);
	base->meta = NULL;
	base->started = false;
	base->mismatch = false;
	base->checks_again = false;
	base->accounted = 0;
	atomic_set(&base->refs, 1);
	base->status = BLK_STS_OK;
	/* For a worker that reads again. */
	if (ca->meta_size)
		bio_associate_blkg(bio);

	if (bio_data_dir(bio) == READ) {
		ca_count(ca, CA_STAT_READS);
		done = start_read(base, false);
	} else {
		ca_count(ca, CA_STAT_WRITES);
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

	ca->fragment_bytes = rounddown_pow_of_two(clamp(fragment_kib, 4U, 1024U)) * 1024;
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
