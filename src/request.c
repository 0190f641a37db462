// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes requests to the crypto driver. Each is for one unit: its memory, its IV, and the call of
 * the Crypto API, which no other file calls to encrypt or decrypt data.
 */
#include "request.h"

#include <linux/bio.h>
#include <linux/highmem.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "cipher.h"
#include "convert.h"
#include "fragment.h"
#include "iv.h"
#include "iv_simple.h"
#include "table.h"

/* ---------------------------------------------------------------------- the IV generator */

/* Fills in a unit as the IV generator sees it; unmap_unit() undoes it. */
static void map_unit(struct dm_crypt_io *io, struct ca_request *r, struct ca_unit *unit)
{
	const struct ca_cipher *cipher = &io->ca->cipher;
	struct scatterlist *data = &r->in[cipher->aead ? 1 : 0];

	unit->iv = ca_request_iv(cipher, r);
	unit->sector = r->sector;
	unit->is_write = io->is_write;
	unit->scratch = ca_request_scratch(cipher, r);
	unit->data = NULL;
	if (cipher->iv_ops->looks_at_data)
		unit->data = (u8 *)kmap_local_page(sg_page(data)) + data->offset;
}

static void unmap_unit(struct ca_unit *unit)
{
	if (unit->data)
		kunmap_local(unit->data);
}

/* ------------------------------------------------------------------------- the lists of memory */

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
 * of which one piece ends in the middle of a unit. Return: false if it is more than CA_UNIT_PIECES.
 */
static bool add_unit(struct scatterlist *list, unsigned int *count, const struct bio_vec *vecs,
		     struct bvec_iter iter, unsigned int bytes)
{
	const unsigned int max = *count + CA_UNIT_PIECES;

	while (bytes) {
		struct bio_vec bv = mp_bvec_iter_bvec(vecs, iter);
		unsigned int length = min(bv.bv_len, bytes);

		if (*count == max)
			return false;
		add_piece(list, count, bv.bv_page + bv.bv_offset / PAGE_SIZE, length,
			  offset_in_page(bv.bv_offset));
		bvec_iter_advance_single(vecs, &iter, length);
		bytes -= length;
	}
	return true;
}

/* Whether a piece is all of a unit and can be mapped as one page. */
static bool is_one_page(const struct scatterlist *sg, unsigned int bytes)
{
	return sg->length == bytes && sg->offset + bytes <= PAGE_SIZE;
}

/* Tells the cipher where the unit is; a write that was copied is in its bounce page already. */
static __always_inline void set_lists(struct dm_crypt_io *io, struct ca_request *r, bool is_copied)
{
	const struct ca_cipher *cipher = &io->ca->cipher;

	skcipher_request_set_crypt(ca_request_crypto(cipher, r), r->in,
				   io->ctx.to == io->ctx.from || is_copied ? r->in : r->out,
				   io->ca->unit_size, ca_request_iv(cipher, r));
}

/*
 * Lists a copy of a unit whose own memory is in too many pieces. A write is copied to its bounce
 * page and converted there. A read is converted in a buffer and copied back by finish_copy(); if
 * there is no memory for one, it is read once more, into a bounce page, for which a worker waits.
 */
static int add_copy(struct dm_crypt_io *io, struct ca_request *r, unsigned int *count)
{
	const unsigned int unit = io->ca->unit_size;
	struct convert_context *ctx = &io->ctx;
	const struct bio_vec *to = &r->copy.buffer;
	struct bvec_iter at = { };

	if (ctx->to != ctx->from) {
		to = ctx->to;
		at = ctx->at.out;
		set_lists(io, r, true);
	} else {
		void *buffer = kmalloc(unit, GFP_NOWAIT | __GFP_NOWARN);

		if (!buffer)
			return -ENOMEM;
		r->copy.buffer.bv_page = virt_to_page(buffer);
		r->copy.buffer.bv_len = unit;
		r->copy.buffer.bv_offset = offset_in_page(buffer);
		r->copy.at = ctx->at.in;
		r->copy.at.bi_size = unit;
	}
	at.bi_size = unit;
	ca_base_copy(to, at, ctx->from, ctx->at.in);
	add_unit(r->in, count, to, at, unit);
	r->is_copied = true;
	return 0;
}

/* Ends what add_copy() began. @err: the outcome of the conversion. Return: the same. */
static noinline int finish_copy(struct dm_crypt_io *io, struct ca_request *r, int err)
{
	const struct bvec_iter all = { .bi_size = io->ca->unit_size };

	r->is_copied = false;
	if (io->ctx.to != io->ctx.from) {
		set_lists(io, r, false);
		return err;
	}
	if (!err)
		ca_base_copy(io->ctx.from, r->copy.at, &r->copy.buffer, all);
	kfree(bvec_virt(&r->copy.buffer));
	return err;
}

/*
 * Lists the memory of the fragment's next unit. An authenticated cipher gets associated data, the
 * unit and the tag, all in place.
 */
static int list_memory(struct dm_crypt_io *io, struct ca_request *r)
{
	const struct ca_device *ca = io->ca;
	const struct ca_cipher *cipher = &ca->cipher;
	const unsigned int first = cipher->aead ? 1 : 0;
	struct convert_context *ctx = &io->ctx;
	unsigned int count = 0;
	int err;

	if (cipher->aead)
		add_buffer(r->in, &count, ca_request_aad(cipher, r), ca_aad_size(cipher));
	if (!add_unit(r->in, &count, ctx->from, ctx->at.in, ca->unit_size) ||
	    (cipher->iv_ops->looks_at_data && !is_one_page(&r->in[first], ca->unit_size))) {
		count = first;
		err = add_copy(io, r, &count);
		if (err)
			return err;
	}
	if (cipher->aead)
		add_buffer(r->in, &count, r->tag, cipher->tag_size);
	if (ctx->to == ctx->from || r->is_copied)
		return 0;
	count = 0;
	return add_unit(r->out, &count, ctx->to, ctx->at.out, ca->unit_size) ? 0 : -EIO;
}

/* The unit's number, as the IV counts: in sectors, or in units. */
static u64 iv_sector(const struct ca_device *ca, u64 sector)
{
	return ca_has(ca, CA_OPT_IV_LARGE_SECTORS) ? sector >> ca->unit_shift : sector;
}

/* Clears the part of a write's metadata behind tag and stored IV. Return: the unit's metadata. */
static u8 *prepare_tag(struct dm_crypt_io *io)
{
	const struct ca_device *ca = io->ca;
	const struct ca_cipher *cipher = &ca->cipher;
	unsigned int used = cipher->tag_size + (cipher->stores_iv ? cipher->iv_size : 0);
	u8 *tag = io->ctx.at.tag;

	if (tag && io->is_write)
		memset(tag + used, 0, ca->meta.size - used);
	return tag;
}

/*
 * Makes the unit's IV, or takes it from the metadata that was read. With an authenticated cipher,
 * @sector less iv_offset is authenticated as well, in sectors, whatever the IV counts.
 */
static int make_iv(struct dm_crypt_io *io, struct ca_request *r, u64 sector)
{
	const struct ca_device *ca = io->ca;
	const struct ca_cipher *cipher = &ca->cipher;
	struct ca_unit unit;
	int err = 0;

	map_unit(io, r, &unit);
	if (cipher->stores_iv && !unit.is_write)
		memcpy(unit.iv, r->tag + cipher->tag_size, cipher->iv_size);
	else
		err = cipher->iv_ops->generate(ca, &unit);
	if (cipher->stores_iv && unit.is_write)
		memcpy(r->tag + cipher->tag_size, unit.iv, cipher->iv_size);
	unmap_unit(&unit);

	if (cipher->aead) {
		u8 *aad = ca_request_aad(cipher, r);

		put_unaligned_le64(sector - ca->iv_offset, aad);
		memcpy(aad + sizeof(__le64), unit.iv, cipher->iv_size);
	}
	return err;
}

/**
 * ca_request_finish() - ends a unit: lets the IV generator finish it, and copies it to the reader's
 *	memory if it was converted elsewhere
 * @io: the fragment
 * @r: the unit's request
 * @err: the outcome of its conversion, 0 or a negative errno
 *
 * Context: Any.
 * Return: the outcome of all of it.
 */
int ca_request_finish(struct dm_crypt_io *io, struct ca_request *r, int err)
{
	const struct ca_iv_ops *ops = io->ca->cipher.iv_ops;
	struct ca_unit unit;

	if (ops->looks_at_data) {
		map_unit(io, r, &unit);
		err = ops->finish(io->ca, &unit, err);
		unmap_unit(&unit);
	}
	return unlikely(r->is_copied) ? finish_copy(io, r, err) : err;
}

/* The same as sg_init_table() for one entry, inlined. */
static void start_list(struct scatterlist *sg)
{
	*sg = (struct scatterlist) { };
	sg_init_marker(sg, 1);
}

/* Sets everything that is the same for all units that a request serves. */
static __always_inline void prepare(struct dm_crypt_io *io, struct ca_request *r, u32 flags,
				    crypto_completion_t done)
{
	const struct ca_cipher *cipher = &io->ca->cipher;
	void *req = ca_request_crypto(cipher, r);

	r->is_copied = false;
	if (cipher->aead) {
		aead_request_set_tfm(req, cipher->aead);
		aead_request_set_callback(req, flags, done, r);
		aead_request_set_ad(req, ca_aad_size(cipher));
		return;
	}
	start_list(r->in);
	if (io->ctx.to != io->ctx.from)
		start_list(r->out);
	skcipher_request_set_tfm(req, cipher->tfms[0]);
	skcipher_request_set_callback(req, flags, done, r);
	set_lists(io, r, false);
}

static __always_inline int start_skcipher(struct dm_crypt_io *io, struct ca_request *r, u64 sector)
{
	const struct ca_cipher *cipher = &io->ca->cipher;
	struct skcipher_request *req = ca_request_crypto(cipher, r);

	if (cipher->tfm_count > 1)
		skcipher_request_set_tfm(req, cipher->tfms[sector & (cipher->tfm_count - 1)]);
	return io->is_write ? crypto_skcipher_encrypt(req) : crypto_skcipher_decrypt(req);
}

static int start_aead(struct dm_crypt_io *io, struct ca_request *r)
{
	const struct ca_cipher *cipher = &io->ca->cipher;
	struct aead_request *req = ca_request_crypto(cipher, r);

	aead_request_set_crypt(req, r->in, r->in,
			       io->ca->unit_size + (io->is_write ? 0 : cipher->tag_size),
			       ca_request_iv(cipher, r));
	return io->is_write ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
}

/* ------------------------------------------------------------------------------ submission */

/* An error that is not the driver's answer must not say that the driver has the request. */
static int final(int err)
{
	return err == -EINPROGRESS || err == -EBUSY ? -EIO : err;
}

/* Any unit of any cipher. */
static noinline int submit_any(struct dm_crypt_io *io, struct ca_request *r)
{
	const struct ca_device *ca = io->ca;
	u64 sector = io->ctx.at.sector;
	int err;

	r->sector = iv_sector(ca, sector);
	r->tag = prepare_tag(io);
	err = list_memory(io, r);
	if (err)
		return final(err);
	err = make_iv(io, r, sector);
	if (err)
		return final(r->is_copied ? finish_copy(io, r, err) : err);
	err = ca->cipher.aead ? start_aead(io, r) : start_skcipher(io, r, sector);
	if (err == -EINPROGRESS || err == -EBUSY)
		return err;
	return final(ca_request_finish(io, r, err));
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
 * A unit of which nothing is kept, looked at or authenticated, in one piece of memory. Most volumes
 * consist of these, and they need no more than is done here.
 */
static __always_inline int submit_simple(struct dm_crypt_io *io, struct ca_request *r)
{
	const struct ca_device *ca = io->ca;
	const struct ca_cipher *cipher = &ca->cipher;
	struct convert_context *ctx = &io->ctx;
	u64 sector = ctx->at.sector;
	u8 *iv = ca_request_iv(cipher, r);
	int err;

	if (!set_unit(r->in, ctx->from, ctx->at.in, ca->unit_size) ||
	    (ctx->to != ctx->from && !set_unit(r->out, ctx->to, ctx->at.out, ca->unit_size)))
		return submit_any(io, r);
	if (cipher->iv_ops->generate == ca_iv_generate_plain64) {
		ca_iv_put_plain64(iv, cipher->iv_size, iv_sector(ca, sector));
	} else {
		err = make_simple_iv(ca, iv, iv_sector(ca, sector));
		if (err)
			return final(err);
	}
	return start_skcipher(io, r, sector);
}

static __always_inline void step(struct dm_crypt_io *io)
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
		ctx->at.tag += ca->meta.size;
	ctx->at.sector += 1 << ca->unit_shift;
}

/**
 * ca_request_step() - goes on to the next unit of a fragment
 * @io: the fragment; the caller is its converter
 *
 * Context: Any.
 */
void ca_request_step(struct dm_crypt_io *io)
{
	step(io);
}

/**
 * ca_request_submit() - hands units to the crypto driver, one after the other, as long as it
 *	converts each of them at once
 * @io: the fragment; the caller is its converter
 * @r: a request that the driver does not own
 * @flags: of the Crypto API
 * @done: the driver's callback, with the request as its data
 * @bytes: converts at most so many, and at least one unit
 *
 * Units that were converted are settled, and the fragment's position is behind them.
 *
 * Context: Any but hard interrupt; only task if the IV generator looks at the data.
 * Return: 0 at the limit, at the fragment's end or when it has failed. Else the driver's answer for
 * the unit at the fragment's position: -EINPROGRESS or -EBUSY if the driver owns the request now;
 * another negative errno if the unit failed.
 */
int ca_request_submit(struct dm_crypt_io *io, struct ca_request *r, u32 flags,
		      crypto_completion_t done, unsigned int bytes)
{
	const bool is_simple = io->ca->cipher.is_simple;
	const unsigned int unit = io->ca->unit_size;
	struct convert_context *ctx = &io->ctx;
	int err;

	prepare(io, r, flags, done);
	do {
		err = is_simple ? submit_simple(io, r) : submit_any(io, r);
		if (err)
			return err;
		step(io);
		ctx->settled++;
		bytes -= min(bytes, unit);
	} while (bytes && ctx->at.in.bi_size && !READ_ONCE(ctx->error));
	return 0;
}
