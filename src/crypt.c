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

#include <linux/highmem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#define DM_MSG_PREFIX	CA_NAME

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

/*
 * The driver found no memory for a write's unit without sleeping: a worker, which may, tries again.
 * (A read has been decrypted in place, and may have been half way: it fails, and is read again.)
 */
static void go_on_in_worker(struct dm_crypt_io *io)
{
	io->sleeps = true;
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

/* What an IV generator gets to see of a unit; unshow_unit() undoes it. */
static void show_unit(struct dm_crypt_io *io, struct ca_request *r, struct ca_unit *unit)
{
	const struct ca_cipher *cipher = &io->ca->cipher;
	struct scatterlist *data = &r->in[cipher->aead ? 1 : 0];

	unit->iv = ca_request_iv(cipher, r);
	unit->sector = r->sector;
	unit->write = bio_data_dir(io->base_bio) == WRITE;
	unit->scratch = ca_request_scratch(cipher, r);
	unit->data = NULL;
	if (cipher->iv_ops->looks_at_data)
		unit->data = (u8 *)kmap_local_page(sg_page(data)) + data->offset;
}

static void unshow_unit(struct ca_unit *unit)
{
	if (unit->data)
		kunmap_local(unit->data);
}

/* Return: the outcome of a unit, of which @err is that of its conversion. */
static int finish_unit(struct dm_crypt_io *io, struct ca_request *r, int err)
{
	const struct ca_iv_ops *ops = io->ca->cipher.iv_ops;
	struct ca_unit unit;

	if (!ops->looks_at_data)
		return err;
	show_unit(io, r, &unit);
	err = ops->finish(io->ca, &unit, err);
	unshow_unit(&unit);
	return err;
}

/* A unit failed, and with it the fragment. */
static void refused(struct dm_crypt_io *io, int err)
{
	const struct ca_device *ca = io->ca;

	if (err != -EBADMSG) {
		ca_count(ca, CA_STAT_REFUSED);
		DMERR_LIMIT("%s: %s failed (%d): %s of %u bytes at sector %llu: see its messages",
			    dm_table_device_name(ca->ti->table), ca_cipher_driver(&ca->cipher),
			    err, bio_data_dir(io->base_bio) == WRITE ? "write" : "read",
			    io->bytes, ca->ti->begin + io->sector);
	}
	fail(&io->ctx, err);
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
		err = finish_unit(io, r, err);
		if (err)
			refused(io, err);
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

/* Adds a piece of memory to the @count pieces of a list. */
static void add_piece(struct scatterlist *list, unsigned int *count, struct page *page,
		      unsigned int length, unsigned int offset)
{
	struct scatterlist *sg = &list[*count];

	sg_init_table(sg, 1);
	sg_set_page(sg, page, length, offset);
	if (*count)
		sg_unmark_end(sg - 1);
	(*count)++;
}

static void add_buffer(struct scatterlist *list, unsigned int *count, void *buffer,
		       unsigned int length)
{
	add_piece(list, count, virt_to_page(buffer), length, offset_in_page(buffer));
}

/*
 * Adds a unit's memory. Usually that is one piece; a caller of the block layer may hand in memory
 * that changes in the middle of a unit.
 */
static int add_unit(struct scatterlist *list, unsigned int *count, const struct bio_vec *vecs,
		    struct bvec_iter iter, unsigned int bytes)
{
	const unsigned int most = *count + CA_UNIT_PIECES;

	while (bytes) {
		struct bio_vec bv = mp_bvec_iter_bvec(vecs, iter);
		unsigned int length = min(bv.bv_len, bytes);

		if (*count == most)
			return -EIO;
		add_piece(list, count, bv.bv_page + bv.bv_offset / PAGE_SIZE, length,
			  offset_in_page(bv.bv_offset));
		bvec_iter_advance_single(vecs, &iter, length);
		bytes -= length;
	}
	return 0;
}

/* Whether a piece is all of a unit and can be mapped as one page. */
static bool is_one_page(const struct scatterlist *sg, unsigned int bytes)
{
	return sg->length == bytes && sg->offset + bytes <= PAGE_SIZE;
}

/*
 * Lists the memory of the fragment's next unit. An authenticated cipher gets associated data, the
 * unit and the tag, all in place.
 */
static int list_memory(struct dm_crypt_io *io, struct ca_request *r)
{
	const struct ca_device *ca = io->ca;
	const struct ca_cipher *cipher = &ca->cipher;
	struct convert_context *ctx = &io->ctx;
	unsigned int count = 0;
	int err;

	if (cipher->aead)
		add_buffer(r->in, &count, ca_request_aad(cipher, r), ca_aad_size(cipher));
	err = add_unit(r->in, &count, ctx->from, ctx->at.in, ca->unit_size);
	if (err)
		return err;
	if (cipher->iv_ops->looks_at_data && !is_one_page(&r->in[count - 1], ca->unit_size))
		return -EIO;
	if (cipher->aead)
		add_buffer(r->in, &count, r->tag, cipher->tag_size);
	if (ctx->to == ctx->from)
		return 0;
	count = 0;
	return add_unit(r->out, &count, ctx->to, ctx->at.out, ca->unit_size);
}

/* Where the sector of the next unit is kept, plus iv_offset. */
static u64 *sector_of(struct dm_crypt_io *io)
{
#ifdef CA_SHARED_CONTEXT
	return &ca_base(io)->ctx.at.sector;
#else
	return &io->ctx.at.sector;
#endif
}

/* Goes on to the next unit. */
static void step(struct dm_crypt_io *io)
{
	const struct ca_device *ca = io->ca;
	struct convert_context *ctx = &io->ctx;

	if (ctx->at.in.bi_size == ca->unit_size) {
		ctx->at.in.bi_size = 0;
		return;
	}
	bvec_iter_advance(ctx->from, &ctx->at.in, ca->unit_size);
	if (ctx->to != ctx->from)
		bvec_iter_advance(ctx->to, &ctx->at.out, ca->unit_size);
	if (ctx->at.tag)
		ctx->at.tag += ca->meta_size;
	*sector_of(io) += 1 << ca->unit_shift;
}

/* What the IV generator is told is the unit's sector. */
static u64 iv_sector(const struct ca_device *ca, u64 sector)
{
	return ca_has(ca, CA_OPT_IV_LARGE_SECTORS) ? sector >> ca->unit_shift : sector;
}

/* The unit's metadata: tag, stored IV, and zeros as far as the device below has room. */
static u8 *prepare_tag(struct dm_crypt_io *io)
{
	const struct ca_device *ca = io->ca;
	const struct ca_cipher *cipher = &ca->cipher;
	unsigned int used = cipher->tag_size + (cipher->stores_iv ? cipher->iv_size : 0);
	u8 *tag = io->ctx.at.tag;

	if (tag && bio_data_dir(io->base_bio) == WRITE)
		memset(tag + used, 0, ca->meta_size - used);
	return tag;
}

/*
 * Makes the unit's IV, or takes it from the metadata that was read. With an authenticated cipher,
 * @sector, less iv_offset, is part of what the tag is over, whatever the IV counts in.
 */
static int make_iv(struct dm_crypt_io *io, struct ca_request *r, u64 sector)
{
	const struct ca_device *ca = io->ca;
	const struct ca_cipher *cipher = &ca->cipher;
	struct ca_unit unit;
	int err = 0;

	show_unit(io, r, &unit);
	if (cipher->stores_iv && !unit.write)
		memcpy(unit.iv, r->tag + cipher->tag_size, cipher->iv_size);
	else
		err = cipher->iv_ops->generate(ca, &unit);
	if (cipher->stores_iv && unit.write)
		memcpy(r->tag + cipher->tag_size, unit.iv, cipher->iv_size);
	unshow_unit(&unit);

	if (cipher->aead) {
		u8 *aad = ca_request_aad(cipher, r);

		put_unaligned_le64(sector - ca->iv_offset, aad);
		memcpy(aad + sizeof(__le64), unit.iv, cipher->iv_size);
	}
	return err;
}

/* As sg_init_table() for one entry does. */
static void start_list(struct scatterlist *sg)
{
	*sg = (struct scatterlist) { };
	sg_init_marker(sg, 1);
}

/* What stays the same for all units that a request is used for. */
static void prepare_skcipher(struct dm_crypt_io *io, struct ca_request *r, u32 flags)
{
	const struct ca_cipher *cipher = &io->ca->cipher;
	struct skcipher_request *req = ca_request_crypto(cipher, r);

	start_list(r->in);
	if (io->ctx.to != io->ctx.from)
		start_list(r->out);
	skcipher_request_set_tfm(req, cipher->tfms[0]);
	skcipher_request_set_callback(req, flags, ca_completion(request_done), r);
	skcipher_request_set_crypt(req, r->in, io->ctx.to == io->ctx.from ? r->in : r->out,
				   io->ca->unit_size, ca_request_iv(cipher, r));
}

static __always_inline int start_skcipher(struct dm_crypt_io *io, struct ca_request *r, u64 sector)
{
	const struct ca_cipher *cipher = &io->ca->cipher;
	struct skcipher_request *req = ca_request_crypto(cipher, r);

	if (cipher->tfm_count > 1)
		skcipher_request_set_tfm(req, cipher->tfms[sector & (cipher->tfm_count - 1)]);
	return bio_data_dir(io->base_bio) == WRITE ? crypto_skcipher_encrypt(req) :
						     crypto_skcipher_decrypt(req);
}

static int start_aead(struct dm_crypt_io *io, struct ca_request *r, u32 flags)
{
	const struct ca_cipher *cipher = &io->ca->cipher;
	struct aead_request *req = ca_request_crypto(cipher, r);
	bool write = bio_data_dir(io->base_bio) == WRITE;

	aead_request_set_tfm(req, cipher->aead);
	aead_request_set_callback(req, flags, ca_completion(request_done), r);
	aead_request_set_ad(req, ca_aad_size(cipher));
	aead_request_set_crypt(req, r->in, r->in,
			       io->ca->unit_size + (write ? 0 : cipher->tag_size),
			       ca_request_iv(cipher, r));
	return write ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
}

/* Hands the next unit to the driver. Return: what the driver answered. */
static int submit_unit(struct dm_crypt_io *io, struct ca_request *r, u32 flags)
{
	const struct ca_device *ca = io->ca;
	u64 sector = *sector_of(io);
	int err;

	r->sector = iv_sector(ca, sector);
	r->tag = prepare_tag(io);
	err = list_memory(io, r) ?: make_iv(io, r, sector);
	if (err)
		return err;
	err = ca->cipher.aead ? start_aead(io, r, flags) : start_skcipher(io, r, sector);
	if (err == -EINPROGRESS || err == -EBUSY)
		return err;
	return finish_unit(io, r, err);
}

/* Puts a unit into a list of one entry. Return: false if its memory is not in one piece. */
static bool set_unit(struct scatterlist *sg, const struct bio_vec *vecs, struct bvec_iter at,
		     unsigned int bytes)
{
	struct bio_vec bv = mp_bvec_iter_bvec(vecs, at);

	sg_set_page(sg, bv.bv_page + bv.bv_offset / PAGE_SIZE, bytes,
		    offset_in_page(bv.bv_offset));
	sg_mark_end(sg);	/* it may have been in a longer list */
	return bv.bv_len >= bytes;
}

static noinline int make_simple_iv(const struct ca_device *ca, u8 *iv, u64 sector)
{
	struct ca_unit unit = { .iv = iv, .sector = sector };

	return ca->cipher.iv_ops->generate(ca, &unit);
}

/*
 * The same for a unit of which nothing is kept, looked at or authenticated, in one piece of memory.
 * This is what most volumes are made of, and all that it does is needed.
 */
static int submit_simple_unit(struct dm_crypt_io *io, struct ca_request *r, u32 flags)
{
	const struct ca_device *ca = io->ca;
	struct convert_context *ctx = &io->ctx;
	u64 sector = *sector_of(io);
	u8 *iv = ca_request_iv(&ca->cipher, r);
	int err;

	if (!set_unit(r->in, ctx->from, ctx->at.in, ca->unit_size) ||
	    (ctx->to != ctx->from && !set_unit(r->out, ctx->to, ctx->at.out, ca->unit_size)))
		return submit_unit(io, r, flags);
	if (ca->cipher.iv_ops->generate == ca_iv_generate_plain64) {
		ca_iv_put_plain64(ca, iv, iv_sector(ca, sector));
	} else {
		err = make_simple_iv(ca, iv, iv_sector(ca, sector));
		if (err)
			return err;
	}
	return start_skcipher(io, r, sector);
}

/**
 * ca_convert() - converts a fragment, from where it stands
 * @io: the fragment, cut or parked and resumed
 * @caller: the context: only CA_FROM_SLEEPER sleeps for the driver's memory
 *
 * Context: Any but hard interrupt. One caller at a time.
 * Return: true if the conversion is over and the caller has the fragment, with the outcome in
 * ctx.error; false if ca_io_converted() gets or has got it, and the caller must not touch it.
 */
bool ca_convert(struct dm_crypt_io *io, enum ca_caller caller)
{
	const bool may_sleep = caller == CA_FROM_SLEEPER;
	const u32 flags = CRYPTO_TFM_REQ_MAY_BACKLOG | (may_sleep ? CRYPTO_TFM_REQ_MAY_SLEEP : 0);
	const bool simple = io->ca->cipher.simple;
	const unsigned int unit = io->ca->unit_size;
	struct convert_context *ctx = &io->ctx;
	struct ca_request *r = NULL;
	unsigned int quota = RESCHED_BYTES;
	bool no_memory;
	int err;

	ca_io_move(io, CA_CONVERTING);
	while (ctx->at.in.bi_size && !READ_ONCE(ctx->error)) {
		if (!r) {
			r = get_request(io);
			if (!r && park(io))
				return false;
			if (!r)
				continue;
			await(ctx, r);
			if (!io->ca->cipher.aead)
				prepare_skcipher(io, r, flags);
		}

		err = simple ? submit_simple_unit(io, r, flags) : submit_unit(io, r, flags);
		no_memory = err == -ENOMEM && !may_sleep;
		if (no_memory && io->bounce.count) {
			put_request(io, r);
			go_on_in_worker(io);
			return false;
		}
		step(io);
		if (!err) {
			ctx->settled++;
		} else if (err == -EINPROGRESS || err == -EBUSY) {
			r = NULL;
			ca_watch(io);
			if (err == -EBUSY && park(io))
				return false;
		} else {
			ctx->settled++;
			if (no_memory)
				fail(ctx, err);
			else
				refused(io, err);
		}

		if (quota > unit) {
			quota -= unit;
		} else {
			quota = RESCHED_BYTES;
			if (may_sleep || caller == CA_FROM_WORKER || caller == CA_FROM_MAP)
				cond_resched();
		}
	}
	if (r)
		put_request(io, r);

	/* Units that were never submitted, after an error, are over too. */
	ctx->settled += ctx->at.in.bi_size >> (io->ca->unit_shift + SECTOR_SHIFT);
	return atomic_sub_and_test(ctx->settled + 1, &ctx->pending);
}
