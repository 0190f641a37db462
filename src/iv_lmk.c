// SPDX-License-Identifier: GPL-2.0-only
/*
 * lmk: loop-AES's multi-key modes. The key of a unit is one of 64; its IV is a hash of its
 * plaintext but for the first block, so it can be made only before encryption. When it is read,
 * the first block is decrypted with an IV of zero and the real one is put in afterwards, from the
 * rest of the plaintext.
 *
 * Version 3 has a 65th key as a seed for the hash; which version a volume has follows from the
 * length of its key. Formats: loop-AES's documentation and Documentation/.../dm-crypt.rst.
 */
#include "iv_lmk.h"

#include <linux/crypto.h>
#include <linux/err.h>
#include <linux/fips.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <crypto/md5.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "iv.h"
#include "key.h"

#define BLOCK		16		/* the first bytes of a sector, which are not hashed */
#define SEED_SIZE	64		/* hashed as one block of MD5: the seed, and zeros */
#define SECTOR_BITS	56		/* of the sector number that are hashed */
#define DATA_BITS	(8 * (SECTOR_SIZE - BLOCK) + 56)

struct lmk {
	struct crypto_shash *md5;
	bool seeded;
	u8 seed[SEED_SIZE];
};

/* The hash's state as it is exported begins with the chaining value, in the CPU's byte order. */
union md5_export {
	u32 chain[MD5_HASH_WORDS];
	u8 bytes[256];
};

/* Whether a wrong IV spoils the first block and no other, and by a plain XOR. */
static bool is_cbc(const struct ca_cipher *cipher)
{
	const char *name = ca_cipher_name(cipher);

	if (ca_cipher_block_size(cipher) != cipher->iv_size)
		return false;
	return !strncmp(name, "cbc(", strlen("cbc(")) || strstr(name, "(cbc(");
}

static const char *init_lmk(struct ca_device *ca, const char *opts, int *err)
{
	struct ca_cipher *cipher = &ca->cipher;
	struct lmk *lmk;

	if (cipher->aead)
		return "cipher: lmk is not for authenticated ciphers";
	if (fips_enabled)
		return "cipher: lmk is made with md5, which FIPS mode does not allow";
	if (!is_cbc(cipher))
		return "cipher: lmk needs the mode cbc, other modes cannot be decrypted";
	if (ca->unit_size != SECTOR_SIZE)
		return "cipher: lmk needs a sector_size of 512";
	if (cipher->iv_size > MD5_DIGEST_SIZE)
		return "cipher: lmk needs a cipher with an IV of at most 16 bytes";

	lmk = kzalloc(sizeof(*lmk), GFP_KERNEL);
	if (!lmk) {
		*err = -ENOMEM;
		return "cipher: out of memory";
	}
	lmk->md5 = crypto_alloc_shash("md5", 0, 0);
	if (IS_ERR(lmk->md5)) {
		*err = PTR_ERR(lmk->md5);
		kfree(lmk);
		return "cipher: lmk needs the hash md5, which this kernel does not have";
	}
	if (crypto_shash_statesize(lmk->md5) > sizeof(union md5_export)) {
		crypto_free_shash(lmk->md5);
		kfree(lmk);
		return "cipher: lmk does not know this kernel's md5";
	}

	/* A key that cannot be divided by the number of transforms has one part more: the seed. */
	lmk->seeded = cipher->key.size % cipher->key.parts;
	if (lmk->seeded) {
		cipher->key.parts++;
		cipher->key.extra = cipher->key.size / cipher->key.parts;
	}
	cipher->iv_state = lmk;
	return NULL;
}

static void exit_lmk(struct ca_cipher *cipher)
{
	struct lmk *lmk = cipher->iv_state;

	crypto_free_shash(lmk->md5);
	kfree_sensitive(lmk);
}

static int set_lmk_key(struct ca_cipher *cipher)
{
	struct lmk *lmk = cipher->iv_state;
	const struct ca_key *key = &cipher->key;
	unsigned int part = key->size / key->parts;

	if (lmk->seeded)
		memcpy(lmk->seed, key->bytes + cipher->tfm_count * part,
		       min_t(unsigned int, key->extra, MD5_DIGEST_SIZE));
	return 0;
}

static void wipe_lmk(struct ca_cipher *cipher)
{
	struct lmk *lmk = cipher->iv_state;

	memzero_explicit(lmk->seed, sizeof(lmk->seed));
}

static int hash_unit(const struct lmk *lmk, const struct ca_unit *unit, union md5_export *state)
{
	u64 sector = unit->sector & ((1ULL << SECTOR_BITS) - 1);
	SHASH_DESC_ON_STACK(desc, lmk->md5);
	__le32 tail[4];
	int err;

	/* What MD5 would do itself at the end: mark it, and count the bits. */
	tail[0] = cpu_to_le32(lower_32_bits(sector));
	tail[1] = cpu_to_le32(upper_32_bits(sector) | 0x80000000);
	tail[2] = cpu_to_le32(DATA_BITS);
	tail[3] = 0;

	desc->tfm = lmk->md5;
	err = crypto_shash_init(desc);
	if (!err && lmk->seeded)
		err = crypto_shash_update(desc, lmk->seed, SEED_SIZE);
	if (!err)
		err = crypto_shash_update(desc, unit->data + BLOCK, SECTOR_SIZE - BLOCK);
	if (!err)
		err = crypto_shash_update(desc, (u8 *)tail, sizeof(tail));
	if (!err)
		err = crypto_shash_export(desc, state);
	shash_desc_zero(desc);
	return err;
}

/* Writes the IV of a unit whose plaintext is at hand. Return: 0 or a negative errno. */
static int make_iv(const struct ca_cipher *cipher, const struct ca_unit *unit, u8 *iv)
{
	union md5_export state;
	__le32 digest[MD5_HASH_WORDS] = {};
	unsigned int i;
	int err;

	err = hash_unit(cipher->iv_state, unit, &state);
	if (err)
		return err;
	for (i = 0; i < MD5_HASH_WORDS; i++)
		digest[i] = cpu_to_le32(state.chain[i]);
	memcpy(iv, digest, cipher->iv_size);
	memzero_explicit(&state, sizeof(state));
	return 0;
}

static int generate_lmk(const struct ca_device *ca, struct ca_unit *unit)
{
	if (unit->is_write)
		return make_iv(&ca->cipher, unit, unit->iv);
	memset(unit->iv, 0, ca->cipher.iv_size);
	return 0;
}

static int finish_lmk(const struct ca_device *ca, struct ca_unit *unit, int err)
{
	u8 iv[MD5_DIGEST_SIZE];

	if (err || unit->is_write)
		return err;
	err = make_iv(&ca->cipher, unit, iv);
	if (!err)
		crypto_xor(unit->data, iv, ca->cipher.iv_size);
	return err;
}

const struct ca_iv_ops ca_iv_lmk = {
	.name		= "lmk",
	.looks_at_data	= true,
	.init		= init_lmk,
	.exit		= exit_lmk,
	.set_key	= set_lmk_key,
	.wipe		= wipe_lmk,
	.generate	= generate_lmk,
	.finish		= finish_lmk,
};
