/* SPDX-License-Identifier: GPL-2.0-only */
/* One unit's request to the crypto driver: its memory, and how it is submitted. */
#ifndef CA_REQUEST_H
#define CA_REQUEST_H

#include <linux/align.h>
#include <linux/build_bug.h>
#include <linux/bvec.h>
#include <linux/cache.h>
#include <linux/crypto.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

#include "cipher.h"
#include "iv.h"

struct dm_crypt_io;

#define CA_MAX_UNIT		4096	/* bytes; a unit lies in one bounce page */

/*
 * A unit whose memory comes in more pieces than this is copied: two for one that begins within a
 * page and ends in another one. dm-crypt wants one piece.
 */
#define CA_UNIT_PIECES		2

/**
 * struct ca_request - one request to the crypto driver, for one unit
 * @io: the fragment that the unit belongs to
 * @sector: the unit's number, as its IV counts
 * @tag: the unit's metadata, NULL on a device without
 * @in: the unit's source; with an authenticated cipher, between associated data and tag
 * @out: the unit's destination; unused when it is converted in place
 * @copy: the buffer in which a read's unit is converted if @is_copied, and the position of its own
 *	memory in convert_context.from
 * @is_copied: the unit's own memory is in too many pieces; @in has a copy of it, which is in
 *	@copy.buffer if it is converted in place, else in its bounce page
 * @tail: IV, associated data, the IV generator's scratch, and the crypto request with the driver's
 *	context, as ca_request_iv() and its siblings find them
 *
 * While the driver owns the request (-EINPROGRESS or -EBUSY was returned, the result has not
 * come) nobody else reads, reuses or frees it.
 */
struct ca_request {
	struct dm_crypt_io *io;
	u64 sector;
	u8 *tag;
	struct scatterlist in[CA_UNIT_PIECES + 2];
	union {
		struct scatterlist out[CA_UNIT_PIECES];
		struct {
			struct bio_vec buffer;
			struct bvec_iter at;
		} copy;
	};
	bool is_copied;
	u8 tail[];
};

static inline u8 *ca_request_iv(const struct ca_cipher *cipher, struct ca_request *r)
{
	return PTR_ALIGN(&r->tail[0], cipher->iv_align + 1);
}

/* The sector number and the IV, which an authenticated cipher covers as well. */
static inline u8 *ca_request_aad(const struct ca_cipher *cipher, struct ca_request *r)
{
	return ca_request_iv(cipher, r) + cipher->iv_size;
}

static inline unsigned int ca_aad_size(const struct ca_cipher *cipher)
{
	return cipher->aead ? sizeof(__le64) + cipher->iv_size : 0;
}

static inline u8 *ca_request_scratch(const struct ca_cipher *cipher, struct ca_request *r)
{
	return ca_request_aad(cipher, r) + ca_aad_size(cipher);
}

/*
 * A struct skcipher_request or aead_request, on cache lines of its own: a device may write to the
 * driver's context past the cache, and what a CPU wrote to the same line meanwhile would be lost.
 */
static inline void *ca_request_crypto(const struct ca_cipher *cipher, struct ca_request *r)
{
	BUILD_BUG_ON(ARCH_DMA_MINALIGN % CRYPTO_MINALIGN);
	return PTR_ALIGN(ca_request_scratch(cipher, r) + cipher->iv_ops->scratch,
			 ARCH_DMA_MINALIGN);
}

/*
 * The size of a request with all that follows it, wherever it begins. Only this function and the
 * ones above know the layout. @context: bytes of the crypto request with the driver's context.
 */
static inline unsigned int ca_request_bytes(const struct ca_cipher *cipher, unsigned int context)
{
	return sizeof(struct ca_request) + cipher->iv_align + cipher->iv_size +
	       ca_aad_size(cipher) + cipher->iv_ops->scratch + ARCH_DMA_MINALIGN - 1 +
	       ALIGN(context, ARCH_DMA_MINALIGN);
}

int ca_request_submit(struct dm_crypt_io *io, struct ca_request *r, u32 flags,
		      crypto_completion_t done, unsigned int bytes);
void ca_request_step(struct dm_crypt_io *io);
int ca_request_finish(struct dm_crypt_io *io, struct ca_request *r, int err);

#endif /* CA_REQUEST_H */
