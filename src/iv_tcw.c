// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcw: TrueCrypt's CBC mode before version 4.1. The IV is a seed from the key combined with the
 * sector number; on top of encryption the whole sector is whitened with eight bytes made from
 * another part of the key and the sector number.
 *
 * Format: Documentation/admin-guide/device-mapper/dm-crypt.rst, and TrueCrypt's documentation.
 */
#include "iv_tcw.h"

#include <linux/crc32.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <crypto/algapi.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "iv.h"

#define WHITENING_SIZE	16
#define MAX_IV_SIZE	32

struct tcw {
	u8 seed[MAX_IV_SIZE];
	u8 whitening[WHITENING_SIZE];
};

static const char *init_tcw(struct ca_device *ca, const char *opts, int *err)
{
	struct ca_cipher *cipher = &ca->cipher;
	struct tcw *tcw;

	if (ca->unit_size != SECTOR_SIZE)
		return "cipher: tcw needs a sector_size of 512";
	if (cipher->iv_size > MAX_IV_SIZE)
		return "cipher: tcw needs a cipher with an IV of at most 32 bytes";
	if (cipher->key.size <= cipher->iv_size + WHITENING_SIZE)
		return "key: too short for tcw, which has a seed and whitening at its end";

	tcw = kzalloc(sizeof(*tcw), GFP_KERNEL);
	if (!tcw) {
		*err = -ENOMEM;
		return "cipher: out of memory";
	}
	cipher->iv_state = tcw;
	cipher->key.parts += 2;
	cipher->key.extra = cipher->iv_size + WHITENING_SIZE;
	return NULL;
}

static void exit_tcw(struct ca_cipher *cipher)
{
	kfree_sensitive(cipher->iv_state);
}

static int set_tcw_key(struct ca_cipher *cipher)
{
	const u8 *extra = cipher->key.bytes + cipher->key.size - cipher->key.extra;
	struct tcw *tcw = cipher->iv_state;

	memcpy(tcw->seed, extra, cipher->iv_size);
	memcpy(tcw->whitening, extra + cipher->iv_size, WHITENING_SIZE);
	return 0;
}

static void wipe_tcw(struct ca_cipher *cipher)
{
	memzero_explicit(cipher->iv_state, sizeof(struct tcw));
}

/* Combines @key with the sector number, as often as that fits. */
static void mix_in_sector(u8 *out, const u8 *key, unsigned int size, u64 sector)
{
	__le64 number = cpu_to_le64(sector);
	unsigned int at;

	for (at = 0; at < size; at += sizeof(number))
		crypto_xor_cpy(out + at, key + at, (u8 *)&number,
			       min_t(unsigned int, size - at, sizeof(number)));
}

/* Puts the whitening on the ciphertext, or takes it off. */
static void whiten(const struct tcw *tcw, struct ca_unit *unit)
{
	u8 mask[WHITENING_SIZE];
	unsigned int at;

	mix_in_sector(mask, tcw->whitening, sizeof(mask), unit->sector);
	for (at = 0; at < sizeof(mask); at += sizeof(u32))
		put_unaligned_le32(crc32_le(0, mask + at, sizeof(u32)), mask + at);
	crypto_xor(mask, mask + 12, 4);
	crypto_xor(mask + 4, mask + 8, 4);

	for (at = 0; at < SECTOR_SIZE; at += 8)
		crypto_xor(unit->data + at, mask, 8);
	memzero_explicit(mask, sizeof(mask));
}

static int generate_tcw(const struct ca_device *ca, struct ca_unit *unit)
{
	const struct tcw *tcw = ca->cipher.iv_state;

	if (!unit->is_write)
		whiten(tcw, unit);
	mix_in_sector(unit->iv, tcw->seed, ca->cipher.iv_size, unit->sector);
	return 0;
}

static int finish_tcw(const struct ca_device *ca, struct ca_unit *unit, int err)
{
	if (!err && unit->is_write)
		whiten(ca->cipher.iv_state, unit);
	return err;
}

const struct ca_iv_ops ca_iv_tcw = {
	.name		= "tcw",
	.looks_at_data	= true,
	.init		= init_tcw,
	.exit		= exit_tcw,
	.set_key	= set_tcw_key,
	.wipe		= wipe_tcw,
	.generate	= generate_tcw,
	.finish		= finish_tcw,
};
