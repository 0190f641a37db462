/* SPDX-License-Identifier: GPL-2.0-only */
/* The transforms of a device: the cipher argument, allocation, keys and sizes. */
#ifndef CA_CIPHER_H
#define CA_CIPHER_H

#include <linux/types.h>

#include <crypto/aead.h>
#include <crypto/skcipher.h>

#include "key.h"

struct ca_device;
struct ca_iv_ops;

#define CA_MAX_KEYS		65536	/* keys of one device, a power of two */
#define CA_LMK_KEYS		64	/* keys of the generator lmk */

/**
 * struct ca_cipher - the transforms of a device and the sizes that follow from them; immutable
 *	after ctr, except for the key
 * @aead: the transform of an authenticated cipher, else NULL
 * @tfms: the transforms of another cipher, else NULL; unit n takes number n modulo @tfm_count
 * @tfm_count: a power of two, 1 for an authenticated cipher
 * @key: the key
 * @spec: the first argument of the table line, as it was given
 * @iv_size: bytes of the IV's memory, 0 for a cipher without IV
 * @iv_align: of the IV's address, minus one
 * @request_size: bytes of a &struct ca_request with everything that follows it
 * @iv_ops: the IV generator; the one that does nothing for a cipher without IV
 * @iv_state: the generator's own
 * @benbi_shift: log2 of blocks in a sector, for the benbi generator
 * @stores_iv: the IV is random; it is written to the unit's metadata, behind the tag
 * @is_authenticated: the option integrity asks for an authenticated cipher
 * @tag_size: bytes of the authentication tag at the beginning of the metadata, 0 for none
 * @is_simple: a unit needs an IV from its sector's number, and nothing else
 * @is_in_place: a write is copied to its bounce pages and converted there: the IV generator looks
 *	at the data, or the data that is authenticated must be the data that is stored even if the
 *	writer changes its memory meanwhile
 */
struct ca_cipher {
	struct crypto_aead *aead;
	struct crypto_skcipher **tfms;
	unsigned int tfm_count;
	unsigned int iv_size;
	unsigned int iv_align;
	unsigned int request_size;
	const struct ca_iv_ops *iv_ops;
	void *iv_state;
	unsigned int benbi_shift;
	unsigned int tag_size;
	bool stores_iv;
	bool is_authenticated;
	bool is_simple;
	bool is_in_place;
	char *spec;
	struct ca_key key;
};

const char *ca_cipher_init(struct ca_device *ca, const char *text, int *err);
void ca_cipher_exit(struct ca_cipher *cipher);
int ca_cipher_set_key(struct ca_cipher *cipher);
int ca_cipher_set_tag_size(struct ca_cipher *cipher, unsigned int size);

/* The size of the cipher's blocks in bytes, 1 for a stream cipher. */
static inline unsigned int ca_cipher_block_size(const struct ca_cipher *cipher)
{
	return cipher->aead ? crypto_aead_blocksize(cipher->aead) :
			      crypto_skcipher_blocksize(cipher->tfms[0]);
}

static inline struct crypto_tfm *ca_cipher_tfm(const struct ca_cipher *cipher)
{
	return cipher->aead ? crypto_aead_tfm(cipher->aead) :
			      crypto_skcipher_tfm(cipher->tfms[0]);
}

/* The algorithm's name in the Crypto API, valid as long as the device. */
static inline const char *ca_cipher_name(const struct ca_cipher *cipher)
{
	return crypto_tfm_alg_name(ca_cipher_tfm(cipher));
}

/* The name of the driver that the Crypto API chose, valid as long as the device. */
static inline const char *ca_cipher_driver(const struct ca_cipher *cipher)
{
	return crypto_tfm_alg_driver_name(ca_cipher_tfm(cipher));
}

#endif /* CA_CIPHER_H */
