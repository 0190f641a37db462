// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IV generators. Formats: Documentation/admin-guide/device-mapper/dm-crypt.rst; what that
 * leaves open (byte order of plain, where in a long IV the number stands) was read off the
 * kernel's own target, which tests/functional/20-crosscheck compares with.
 */
#include "dm-crypt-async.h"

#include <linux/log2.h>
#include <linux/string.h>

/* A generator without state. Options mean nothing to it, but volumes exist that have them. */
static const char *init_plain(struct ca_device *ca, const char *opts)
{
	return NULL;
}

static void generate_none(const struct ca_device *ca, u8 *iv, u64 sector)
{
}

static void generate_null(const struct ca_device *ca, u8 *iv, u64 sector)
{
	memset(iv, 0, ca->cipher.iv_size);
}

/* The lower 32 bits of the sector, little-endian: repeats after 2 TiB of 512-byte sectors. */
static void generate_plain(const struct ca_device *ca, u8 *iv, u64 sector)
{
	memset(iv, 0, ca->cipher.iv_size);
	put_unaligned_le32(sector, iv);
}

/* The sector, little-endian. */
static void generate_plain64(const struct ca_device *ca, u8 *iv, u64 sector)
{
	memset(iv, 0, ca->cipher.iv_size);
	put_unaligned_le64(sector, iv);
}

/* The sector, big-endian, at the end of the IV. */
static void generate_plain64be(const struct ca_device *ca, u8 *iv, u64 sector)
{
	memset(iv, 0, ca->cipher.iv_size);
	put_unaligned_be64(sector, iv + ca->cipher.iv_size - sizeof(u64));
}

/* ESSIV's encryption of the sector is part of the transform: essiv(cipher,hash) takes plain64. */
static const char *init_essiv(struct ca_device *ca, const char *opts)
{
	return opts ? NULL : "cipher: essiv needs a hash, as in essiv:sha256";
}

/* benbi counts cipher blocks, from one, big-endian, at the end of the IV (Fruhwirth, for LRW). */
static const char *init_benbi(struct ca_device *ca, const char *opts)
{
	unsigned int block = crypto_skcipher_blocksize(ca->cipher.tfms[0]);

	if (!is_power_of_2(block))
		return "cipher: benbi needs a block size that is a power of two";
	if (block > SECTOR_SIZE)
		return "cipher: benbi needs a block size of at most 512 bytes";
	ca->cipher.benbi_shift = SECTOR_SHIFT - ilog2(block);
	return NULL;
}

static void generate_benbi(const struct ca_device *ca, u8 *iv, u64 sector)
{
	memset(iv, 0, ca->cipher.iv_size);
	put_unaligned_be64((sector << ca->cipher.benbi_shift) + 1,
			   iv + ca->cipher.iv_size - sizeof(u64));
}

static const struct ca_iv_ops iv_none = { "", init_plain, generate_none };

static const struct ca_iv_ops iv_generators[] = {
	{ "plain",	init_plain,	generate_plain },
	{ "plain64",	init_plain,	generate_plain64 },
	{ "plain64be",	init_plain,	generate_plain64be },
	{ "essiv",	init_essiv,	generate_plain64 },
	{ "benbi",	init_benbi,	generate_benbi },
	{ "null",	init_plain,	generate_null },
};

static const struct ca_iv_ops *find_generator(const char *mode)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(iv_generators); i++)
		if (!strcmp(mode, iv_generators[i].name))
			return &iv_generators[i];
	return NULL;
}

/**
 * ca_iv_init() - chooses the IV generator
 * @ca: the device, with its transforms allocated and the size of their IV known
 * @mode: the generator's name, NULL if the table line has none
 * @opts: its options, NULL if the table line has none
 *
 * A cipher that takes an IV must be given a generator: with none the IV would be whatever memory
 * held. A generator for a cipher that takes no IV is not used (as with dm-crypt,
 * "aes-ecb-plain64" is the same as "aes-ecb").
 *
 * Return: NULL, or what is wrong, for the user.
 */
const char *ca_iv_init(struct ca_device *ca, const char *mode, const char *opts)
{
	struct ca_cipher *cipher = &ca->cipher;

	cipher->iv_ops = &iv_none;
	if (!cipher->iv_size)
		return NULL;
	if (!mode)
		return "cipher: needs an IV generator, such as plain64";

	cipher->iv_ops = find_generator(mode);
	if (!cipher->iv_ops)
		return "cipher: unknown IV generator";
	return cipher->iv_ops->init(ca, opts);
}
