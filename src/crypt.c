// SPDX-License-Identifier: GPL-2.0-only
/*
 * Converts the units of a fragment; the only caller of the Crypto API's encrypt and decrypt.
 * Submits no bio.
 *
 * One thread at a time, the converter, walks a fragment. Each unit becomes a request to the crypto
 * driver, which answers in one of four ways:
 *
 *	0		done; the same request serves the next unit
 *	-EINPROGRESS	taken; the result comes by request_done(), in any context and order
 *	-EBUSY		taken as well, but the driver's queue is full: the converter parks,
 *			that is, it returns and leaves no thread behind, until request_done()
 *			hears -EINPROGRESS (the request has moved up) or the result
 *	else		refused: this fragment fails, and no other
 *
 * The converter can also park for want of a request: every fragment has one built in, further
 * ones are taken only if memory is at hand. So a fragment never waits for memory that another one
 * holds.
 */
#include "dm-crypt-async.h"

#include <linux/sched.h>
#include <linux/slab.h>

/* Bytes that a converter may do between two offers of its CPU to others. */
#define RESCHED_BYTES	(64 * 1024)

/* Records the first error of the fragment. */
static void fail(struct convert_context *ctx, int err)
{
	cmpxchg(&ctx->error, 0, err);
}

/*
 * Resumes the fragment if it is parked; if its converter is still at work, tells it not to park.
 * The caller has a part in ctx->pending, or the converter has, so the fragment is still there.
 */
static void kick(struct dm_crypt_io *io)
{
	atomic_t *run = &io->ctx.run;
	int old = atomic_read(run);

	do {
		if (old == CA_KICKED)
			return;
	} while (!atomic_try_cmpxchg(run, &old, old == CA_PARKED ? CA_RUNNING : CA_KICKED));

	if (old == CA_PARKED)
		ca_queue_fragment(io);
}

/*
 * The converter stops until ctx->awaited gets on. Return: false if that has happened already and
 * the converter goes on; if true, nothing of the fragment may be touched any more.
 */
static bool park(struct dm_crypt_io *io)
{
	ca_io_move(io, CA_PARKING);
	ca_count(io->ca, CA_STAT_PARKED);
	if (atomic_cmpxchg(&io->ctx.run, CA_RUNNING, CA_PARKED) == CA_RUNNING)
		return true;

	ca_io_move(io, CA_CONVERTING);
	ca_count(io->ca, CA_STAT_RESUMED);
	return false;
}

/* The driver found no memory for a unit without sleeping: a worker, which may, tries again. */
static void go_on_in_worker(struct dm_crypt_io *io, const struct ca_position *at)
{
	io->ctx.at = *at;
	ca_io_move(io, CA_PARKING);
	ca_count(io->ca, CA_STAT_PARKED);
	ca_queue_fragment(io);
}

/* From here on an event of @r resumes the converter, should it park. */
static void await(struct convert_context *ctx, struct ca_request *r)
{
	WRITE_ONCE(ctx->awaited, r);
	atomic_set(&ctx->run, CA_RUNNING);
}

/* Return: a request that nobody uses, or NULL if the converter has to park for the built-in one. */
static struct ca_request *get_request(struct dm_crypt_io *io)
{
	struct convert_context *ctx = &io->ctx;
	struct ca_request *r;

	if (!test_and_set_bit(0, &ctx->own_busy))
		return &io->own;

	r = kmalloc(io->ca->cipher.request_size, GFP_NOWAIT | __GFP_NOWARN);
	if (r) {
		r->io = io;
		return r;
	}

	await(ctx, &io->own);
	/* Pairs with the one in request_done(): it sees awaited, or this sees own free. */
	smp_mb();
	return test_and_set_bit(0, &ctx->own_busy) ? NULL : &io->own;
}

/* Gives back a request that the driver does not own. */
static void put_request(struct dm_crypt_io *io, struct ca_request *r)
{
	if (r == &io->own)
		clear_bit_unlock(0, &io->ctx.own_busy);
	else
		kfree(r);
}

/*
 * The driver's callback; any context. @err is -EINPROGRESS when a backlogged request has moved up.
 */
static void request_done(void *data, int err)
{
	struct ca_request *r = data;
	struct dm_crypt_io *io = r->io;
	struct convert_context *ctx = &io->ctx;
	bool over = err != -EINPROGRESS;

	if (over) {
		if (err) {
			fail(ctx, err);
			ca_count(io->ca, CA_STAT_REFUSED);
		}
		put_request(io, r);
		/* Pairs with the barrier in get_request(). */
		smp_mb();
	}
	/* If put_request() freed r, this compares its address and nothing more. */
	if (READ_ONCE(ctx->awaited) == r)
		kick(io);
	if (over && atomic_dec_and_test(&ctx->pending))
		ca_io_converted(io);
}

CA_COMPLETION(request_done)

/*
 * Lists a unit's memory in @sg and moves @iter behind it. Usually that is one piece; a caller of
 * the block layer may hand in memory that changes in the middle of a unit.
 */
static int map_unit(struct scatterlist *sg, struct bio *bio, struct bvec_iter *iter,
		    unsigned int bytes)
{
	struct bio_vec bv = mp_bvec_iter_bvec(bio->bi_io_vec, *iter);
	unsigned int pieces = 0;

	if (bv.bv_len >= bytes) {
		sg_init_table(sg, 1);
		sg_set_page(sg, bv.bv_page + bv.bv_offset / PAGE_SIZE, bytes,
			    offset_in_page(bv.bv_offset));
		bio_advance_iter_single(bio, iter, bytes);
		return 0;
	}

	sg_init_table(sg, CA_UNIT_PIECES);
	while (bytes) {
		unsigned int length;

		if (pieces == CA_UNIT_PIECES)
			return -EIO;
		bv = mp_bvec_iter_bvec(bio->bi_io_vec, *iter);
		length = min(bv.bv_len, bytes);
		sg_set_page(&sg[pieces++], bv.bv_page + bv.bv_offset / PAGE_SIZE, length,
			    offset_in_page(bv.bv_offset));
		bio_advance_iter_single(bio, iter, length);
		bytes -= length;
	}
	sg_mark_end(&sg[pieces - 1]);
	return 0;
}

/* The sector of the fragment's next unit, plus iv_offset; the unit after that comes next. */
static u64 next_sector(struct dm_crypt_io *io)
{
#ifdef CA_SHARED_CONTEXT
	struct convert_context *ctx = &ca_base(io)->ctx;
#else
	struct convert_context *ctx = &io->ctx;
#endif
	u64 sector = ctx->at.sector;

	ctx->at.sector += 1 << io->ca->unit_shift;
	return sector;
}

/* Hands the next unit to the driver and moves behind it. Return: what the driver answered. */
static int submit_unit(struct dm_crypt_io *io, struct ca_request *r, bool may_sleep)
{
	const struct ca_device *ca = io->ca;
	const struct ca_cipher *cipher = &ca->cipher;
	struct convert_context *ctx = &io->ctx;
	struct skcipher_request *req = ca_request_skcipher(cipher, r);
	struct scatterlist *out = r->in;
	u8 *iv = ca_request_iv(cipher, r);
	u64 sector;
	int err;

	err = map_unit(r->in, ctx->bio_in, &ctx->at.in, ca->unit_size);
	if (!err && ctx->bio_out != ctx->bio_in) {
		out = r->out;
		err = map_unit(out, ctx->bio_out, &ctx->at.out, ca->unit_size);
	}
	if (err)
		return err;

	sector = next_sector(io);
	cipher->iv_ops->generate(ca, iv, ca_has(ca, CA_OPT_IV_LARGE_SECTORS) ?
				 sector >> ca->unit_shift : sector);
	skcipher_request_set_tfm(req, cipher->tfms[sector & (cipher->tfm_count - 1)]);
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				      (may_sleep ? CRYPTO_TFM_REQ_MAY_SLEEP : 0),
				      ca_completion(request_done), r);
	skcipher_request_set_crypt(req, r->in, out, ca->unit_size, iv);

	await(ctx, r);
	return bio_data_dir(io->base_bio) == WRITE ? crypto_skcipher_encrypt(req) :
						     crypto_skcipher_decrypt(req);
}

/**
 * ca_convert_init() - points a fragment's conversion at its memory
 * @io: the fragment, with ca, base_bio and sector set
 * @bio_in: lists the source
 * @in: position there; its bi_size is what the fragment converts, in bytes, a multiple of the unit
 * @bio_out: lists the destination; @bio_in to convert in place
 * @out: position there
 */
void ca_convert_init(struct dm_crypt_io *io, struct bio *bio_in, struct bvec_iter in,
		     struct bio *bio_out, struct bvec_iter out)
{
	struct convert_context *ctx = &io->ctx;

	ctx->bio_in = bio_in;
	ctx->bio_out = bio_out;
	ctx->at.in = in;
	ctx->at.out = out;
	ctx->at.sector = io->sector + io->ca->iv_offset;
	ctx->settled = 0;
	atomic_set(&ctx->pending, in.bi_size / io->ca->unit_size + 1);
	atomic_set(&ctx->run, CA_RUNNING);
	ctx->awaited = NULL;
	ctx->own_busy = 0;
	ctx->error = 0;
	io->own.io = io;
}

/**
 * ca_convert() - converts a fragment, from where it stands
 * @io: the fragment, cut or parked and resumed
 * @may_sleep: the caller's context allows it
 *
 * Context: Any but hard interrupt. One caller at a time.
 * Return: true if the conversion is over and the caller has the fragment, with the outcome in
 * ctx.error; false if ca_io_converted() gets or has got it, and the caller must not touch it.
 */
bool ca_convert(struct dm_crypt_io *io, bool may_sleep)
{
	const unsigned int unit = io->ca->unit_size;
	struct convert_context *ctx = &io->ctx;
	struct ca_request *r = NULL;
	unsigned int quota = RESCHED_BYTES;

	ca_io_move(io, CA_CONVERTING);
	while (ctx->at.in.bi_size && !READ_ONCE(ctx->error)) {
		const struct ca_position here = ctx->at;

		if (!r)
			r = get_request(io);
		if (!r) {
			if (park(io))
				return false;
			continue;
		}

		switch (submit_unit(io, r, may_sleep)) {
		case 0:
			ctx->settled++;
			break;
		case -EINPROGRESS:
			r = NULL;
			ca_watch(io);
			break;
		case -EBUSY:
			r = NULL;
			ca_watch(io);
			if (park(io))
				return false;
			break;
		case -ENOMEM:
			if (!may_sleep) {
				put_request(io, r);
				go_on_in_worker(io, &here);
				return false;
			}
			fallthrough;
		default:
			ca_count(io->ca, CA_STAT_REFUSED);
			ctx->settled++;
			fail(ctx, -EIO);
		}

		if (quota > unit) {
			quota -= unit;
		} else {
			quota = RESCHED_BYTES;
			if (may_sleep)
				cond_resched();
		}
	}
	if (r)
		put_request(io, r);

	/* Units that were never submitted, after an error, are over too. */
	ctx->settled += ctx->at.in.bi_size / unit;
	return atomic_sub_and_test(ctx->settled + 1, &ctx->pending);
}
