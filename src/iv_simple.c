// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IV generators that need no state. Formats:
 * Documentation/admin-guide/device-mapper/dm-crypt.rst, which leaves two things open: the byte
 * order of plain, and the place of the number in a long IV. There these generators do what the
 * kernel's own target does.
 */
#include "iv_simple.h"

#include <linux/log2.h>
#include <linux/random.h>
#include <linux/string.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "iv.h"

/* Options mean nothing to most generators, but volumes exist that have them. */
const char *ca_iv_init_nothing(struct ca_device *ca, const char *opts, int *err)
{
	return NULL;
}

void ca_iv_exit_nothing(struct ca_cipher *cipher)
{
}

int ca_iv_set_no_key(struct ca_cipher *cipher)
{
	return 0;
}

void ca_iv_wipe_nothing(struct ca_cipher *cipher)
{
}

int ca_iv_finish_nothing(const struct ca_device *ca, struct ca_unit *unit, int err)
{
	return err;
}

#define STATELESS(_name, _init, _generate)			\
	{							\
		.name		= _name,			\
		.init		= _init,			\
		.exit		= ca_iv_exit_nothing,		\
		.set_key	= ca_iv_set_no_key,		\
		.wipe		= ca_iv_wipe_nothing,		\
		.generate	= _generate,			\
		.finish		= ca_iv_finish_nothing,		\
	}

static int generate_none(const struct ca_device *ca, struct ca_unit *unit)
{
	return 0;
}

static int generate_null(const struct ca_device *ca, struct ca_unit *unit)
{
	memset(unit->iv, 0, ca->cipher.iv_size);
	return 0;
}

/* The lower 32 bits of the sector, little-endian: repeats after 2 TiB of 512-byte sectors. */
static int generate_plain(const struct ca_device *ca, struct ca_unit *unit)
{
	memset(unit->iv, 0, ca->cipher.iv_size);
	put_unaligned_le32(unit->sector, unit->iv);
	return 0;
}

/* The sector, little-endian. */
int ca_iv_generate_plain64(const struct ca_device *ca, struct ca_unit *unit)
{
	ca_iv_put_plain64(unit->iv, ca->cipher.iv_size, unit->sector);
	return 0;
}

/* Writes a number at the end of the IV, big-endian. */
static int put_be64(const struct ca_device *ca, struct ca_unit *unit, u64 number)
{
	memset(unit->iv, 0, ca->cipher.iv_size);
	put_unaligned_be64(number, unit->iv + ca->cipher.iv_size - sizeof(u64));
	return 0;
}

static int generate_plain64be(const struct ca_device *ca, struct ca_unit *unit)
{
	return put_be64(ca, unit, unit->sector);
}

/* ESSIV's encryption of the sector is part of the transform: essiv(cipher,hash) takes plain64. */
static const char *init_essiv(struct ca_device *ca, const char *opts, int *err)
{
	return opts ? NULL : "cipher: essiv needs a hash, as in essiv:sha256";
}

/* benbi counts cipher blocks, from one, big-endian, at the end of the IV (Fruhwirth, for LRW). */
static const char *init_benbi(struct ca_device *ca, const char *opts, int *err)
{
	unsigned int block = ca_cipher_block_size(&ca->cipher);

	if (!is_power_of_2(block))
		return "cipher: benbi needs a block size that is a power of two";
	if (block > SECTOR_SIZE)
		return "cipher: benbi needs a block size of at most 512 bytes";
	ca->cipher.benbi_shift = SECTOR_SHIFT - ilog2(block);
	return NULL;
}

static int generate_benbi(const struct ca_device *ca, struct ca_unit *unit)
{
	return put_be64(ca, unit, (unit->sector << ca->cipher.benbi_shift) + 1);
}

/* A new one for each write. It is kept in the unit's metadata, which the lower device must have. */
static const char *init_random(struct ca_device *ca, const char *opts, int *err)
{
	ca->cipher.stores_iv = true;
	return NULL;
}

static int generate_random(const struct ca_device *ca, struct ca_unit *unit)
{
	get_random_bytes(unit->iv, ca->cipher.iv_size);
	return 0;
}

const struct ca_iv_ops ca_iv_none = STATELESS("", ca_iv_init_nothing, generate_none);
static const struct ca_iv_ops iv_plain = STATELESS("plain", ca_iv_init_nothing, generate_plain);
static const struct ca_iv_ops iv_plain64 =
	STATELESS("plain64", ca_iv_init_nothing, ca_iv_generate_plain64);
static const struct ca_iv_ops iv_plain64be =
	STATELESS("plain64be", ca_iv_init_nothing, generate_plain64be);
static const struct ca_iv_ops iv_essiv = STATELESS("essiv", init_essiv, ca_iv_generate_plain64);
static const struct ca_iv_ops iv_benbi = STATELESS("benbi", init_benbi, generate_benbi);
static const struct ca_iv_ops iv_null = STATELESS("null", ca_iv_init_nothing, generate_null);
static const struct ca_iv_ops iv_random = STATELESS("random", init_random, generate_random);

const struct ca_iv_ops *const ca_iv_simple[] = {
	&iv_plain, &iv_plain64, &iv_plain64be, &iv_essiv, &iv_benbi, &iv_null, &iv_random,
};

const unsigned int ca_iv_simple_count = ARRAY_SIZE(ca_iv_simple);
