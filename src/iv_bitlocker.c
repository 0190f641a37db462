// SPDX-License-Identifier: GPL-2.0-only
/*
 * BitLocker's modes. eboiv: the IV is the unit's position in bytes, encrypted with the volume's
 * own key. elephant: eboiv, and two diffusers and a sector key that are applied to the plaintext.
 *
 * Format: Niels Ferguson, "AES-CBC + Elephant diffuser", Microsoft 2006.
 */
#include "iv_bitlocker.h"

#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <crypto/algapi.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "iv.h"
#include "iv_simple.h"
#include "key.h"

#define MAX_BLOCK		32	/* bytes of an IV */
#define SECTOR_KEY_SIZE		32
#define MAX_SECTOR_KEY_KEY	32	/* the sector key's own key */
#define SECTOR_KEY_BLOCK	16

/*
 * The transforms that make IVs and sector keys are synchronous, so that a unit never waits for
 * them; @sector_key is NULL for eboiv.
 */
struct bitlocker {
	struct crypto_sync_skcipher *iv;
	struct crypto_sync_skcipher *sector_key;
};

static void free_transforms(struct bitlocker *b)
{
	if (!IS_ERR_OR_NULL(b->sector_key))
		crypto_free_sync_skcipher(b->sector_key);
	if (!IS_ERR_OR_NULL(b->iv))
		crypto_free_sync_skcipher(b->iv);
	kfree(b);
}

static const char *init_bitlocker(struct ca_device *ca, bool elephant, int *err)
{
	struct ca_cipher *cipher = &ca->cipher;
	struct bitlocker *b;

	if (cipher->aead)
		return "cipher: eboiv and elephant are not for authenticated ciphers";
	if (ca_cipher_block_size(cipher) != cipher->iv_size || cipher->iv_size > MAX_BLOCK)
		return "cipher: eboiv and elephant need an IV as long as the cipher's block";
	if (elephant && cipher->key.size / 2 > MAX_SECTOR_KEY_KEY)
		return "key: too long for elephant";

	b = kzalloc(sizeof(*b), GFP_KERNEL);
	if (!b) {
		*err = -ENOMEM;
		return "cipher: out of memory";
	}
	b->iv = crypto_alloc_sync_skcipher(ca_cipher_name(cipher), 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	if (elephant)
		b->sector_key = crypto_alloc_sync_skcipher("ecb(aes)", 0,
							   CRYPTO_ALG_ALLOCATES_MEMORY);
	if (IS_ERR(b->iv) || IS_ERR(b->sector_key)) {
		*err = PTR_ERR(IS_ERR(b->iv) ? b->iv : b->sector_key);
		free_transforms(b);
		return "cipher: eboiv and elephant need a synchronous driver for their IV";
	}

	if (elephant) {
		cipher->key.parts = 2;
		cipher->key.extra = cipher->key.size / 2;
	}
	cipher->iv_state = b;
	return NULL;
}

static const char *init_eboiv(struct ca_device *ca, const char *opts, int *err)
{
	return init_bitlocker(ca, false, err);
}

static const char *init_elephant(struct ca_device *ca, const char *opts, int *err)
{
	return init_bitlocker(ca, true, err);
}

static void exit_bitlocker(struct ca_cipher *cipher)
{
	free_transforms(cipher->iv_state);
}

static int set_bitlocker_key(struct ca_cipher *cipher)
{
	struct bitlocker *b = cipher->iv_state;
	const struct ca_key *key = &cipher->key;
	unsigned int share = (key->size - key->extra) / cipher->tfm_count;
	int err = 0;
	int first;

	first = crypto_sync_skcipher_setkey(b->iv, key->bytes, share);
	if (b->sector_key)
		err = crypto_sync_skcipher_setkey(b->sector_key,
						  key->bytes + key->size - key->extra, key->extra);
	return first ?: err;
}

/* The transforms' keys are overwritten together with the cipher's, by setting random ones. */
static void wipe_bitlocker(struct ca_cipher *cipher)
{
}

/* Encrypts one block, in place. @iv is NULL for a mode without. */
static int encrypt_block(struct crypto_sync_skcipher *tfm, u8 *block, unsigned int size, u8 *iv)
{
	SYNC_SKCIPHER_REQUEST_ON_STACK(req, tfm);
	struct scatterlist sg;
	int err;

	sg_init_one(&sg, block, size);
	skcipher_request_set_sync_tfm(req, tfm);
	skcipher_request_set_callback(req, 0, NULL, NULL);
	skcipher_request_set_crypt(req, &sg, &sg, size, iv);
	err = crypto_skcipher_encrypt(req);
	skcipher_request_zero(req);
	return err;
}

/* CBC encrypts a block of zeros under the position as IV: the same as encrypting the position. */
static int generate_eboiv(const struct ca_device *ca, struct ca_unit *unit)
{
	const struct bitlocker *b = ca->cipher.iv_state;
	u8 position[MAX_BLOCK] = {};

	put_unaligned_le64(unit->sector * ca->unit_size, position);
	memset(unit->iv, 0, ca->cipher.iv_size);
	return encrypt_block(b->iv, unit->iv, ca->cipher.iv_size, position);
}

/* The unit's position as two blocks, the last byte of the second one 0x80; each is encrypted. */
static int make_sector_key(const struct ca_device *ca, const struct ca_unit *unit)
{
	const struct bitlocker *b = ca->cipher.iv_state;
	u8 *second = unit->scratch + SECTOR_KEY_BLOCK;
	int err;

	memset(unit->scratch, 0, SECTOR_KEY_SIZE);
	put_unaligned_le64(unit->sector * ca->unit_size, unit->scratch);
	put_unaligned_le64(unit->sector * ca->unit_size, second);
	second[SECTOR_KEY_BLOCK - 1] = 0x80;
	err = encrypt_block(b->sector_key, unit->scratch, SECTOR_KEY_BLOCK, NULL);
	if (!err)
		err = encrypt_block(b->sector_key, second, SECTOR_KEY_BLOCK, NULL);
	return err;
}

/*
 * The diffusers work on the unit as a ring of 32-bit words, whose number is a power of two. Each
 * word is changed by two others, one of them rotated: by those before it in diffuser A, which goes
 * round five times, by those behind it in B, which goes round three times.
 */
static const u8 rotate_a[4] = { 9, 0, 13, 0 };
static const u8 rotate_b[4] = { 0, 10, 0, 25 };

#define CYCLES_A	5
#define CYCLES_B	3

static u32 share_a(const u32 *d, unsigned int i, unsigned int n)
{
	return d[(i - 2) & (n - 1)] ^ rol32(d[(i - 5) & (n - 1)], rotate_a[i % 4]);
}

static u32 share_b(const u32 *d, unsigned int i, unsigned int n)
{
	return d[(i + 2) & (n - 1)] ^ rol32(d[(i + 5) & (n - 1)], rotate_b[i % 4]);
}

static void diffuse(u32 *d, unsigned int n)
{
	unsigned int i;

	for (i = CYCLES_A * n; i-- > 0; )
		d[i & (n - 1)] -= share_a(d, i, n);
	for (i = CYCLES_B * n; i-- > 0; )
		d[i & (n - 1)] -= share_b(d, i, n);
}

static void undiffuse(u32 *d, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < CYCLES_B * n; i++)
		d[i & (n - 1)] += share_b(d, i, n);
	for (i = 0; i < CYCLES_A * n; i++)
		d[i & (n - 1)] += share_a(d, i, n);
}

static void apply_sector_key(const struct ca_device *ca, struct ca_unit *unit)
{
	unsigned int at;

	for (at = 0; at < ca->unit_size; at += SECTOR_KEY_SIZE)
		crypto_xor(unit->data + at, unit->scratch, SECTOR_KEY_SIZE);
}

static int generate_elephant(const struct ca_device *ca, struct ca_unit *unit)
{
	unsigned int words = ca->unit_size / sizeof(u32);
	int err;

	err = make_sector_key(ca, unit);
	if (!err)
		err = generate_eboiv(ca, unit);
	if (err) {
		memzero_explicit(unit->scratch, SECTOR_KEY_SIZE);
		return err;
	}
	if (unit->is_write) {
		apply_sector_key(ca, unit);
		le32_to_cpu_array((u32 *)unit->data, words);
		diffuse((u32 *)unit->data, words);
		cpu_to_le32_array((u32 *)unit->data, words);
	}
	return 0;
}

static int finish_elephant(const struct ca_device *ca, struct ca_unit *unit, int err)
{
	unsigned int words = ca->unit_size / sizeof(u32);

	if (!err && !unit->is_write) {
		le32_to_cpu_array((u32 *)unit->data, words);
		undiffuse((u32 *)unit->data, words);
		cpu_to_le32_array((u32 *)unit->data, words);
		apply_sector_key(ca, unit);
	}
	memzero_explicit(unit->scratch, SECTOR_KEY_SIZE);
	return err;
}

const struct ca_iv_ops ca_iv_eboiv = {
	.name		= "eboiv",
	.init		= init_eboiv,
	.exit		= exit_bitlocker,
	.set_key	= set_bitlocker_key,
	.wipe		= wipe_bitlocker,
	.generate	= generate_eboiv,
	.finish		= ca_iv_finish_nothing,
};

const struct ca_iv_ops ca_iv_elephant = {
	.name		= "elephant",
	.looks_at_data	= true,
	.scratch	= SECTOR_KEY_SIZE,
	.init		= init_elephant,
	.exit		= exit_bitlocker,
	.set_key	= set_bitlocker_key,
	.wipe		= wipe_bitlocker,
	.generate	= generate_elephant,
	.finish		= finish_elephant,
};
