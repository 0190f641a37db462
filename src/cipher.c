// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transforms: reading the cipher argument, allocating, setting keys, and the layout of
 * requests.
 */
#include "dm-crypt-async.h"

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <linux/string.h>

/* The cipher argument, taken apart; the strings point into a copy of it, but for @algorithm. */
struct spec {
	char *algorithm;	/* as the Crypto API knows it; allocated */
	char *iv_mode;		/* NULL where there is none */
	char *iv_opts;		/* NULL where there are none */
	unsigned int keys;
};

static char *cut_at(char *s, char c)
{
	char *at = s ? strchr(s, c) : NULL;

	if (!at)
		return NULL;
	*at = '\0';
	return at + 1;
}

/* "<algorithm>-<iv>[:<options>]", where the algorithm may have dashes of its own. */
static const char *parse_capi(char *s, struct spec *spec)
{
	char *opts = cut_at(s, ':');
	char *tail = strrchr(s, ')');
	char *dash = strrchr(tail ?: s, '-');

	if (dash) {
		*dash = '\0';
		spec->iv_mode = dash + 1;
		spec->iv_opts = opts;
	}
	spec->algorithm = kstrdup(s, GFP_KERNEL);
	return NULL;
}

/* "<cipher>[:<keys>]-<mode>-<iv>[:<options>]"; "<cipher>" and "<cipher>-plain" mean cbc-plain. */
static const char *parse_dashed(char *s, struct spec *spec)
{
	char *mode = cut_at(s, '-');
	char *keys = cut_at(s, ':');

	if (strchr(s, '('))
		return "cipher: an algorithm with parentheses needs the prefix capi:";
	if (keys && (kstrtouint(keys, 10, &spec->keys) || !is_power_of_2(spec->keys) ||
		     spec->keys > CA_MAX_KEYS))
		return "cipher: the number of keys is not a power of two from 1 to 64";

	spec->iv_mode = cut_at(mode, '-');
	if (!mode || (!strcmp(mode, "plain") && !spec->iv_mode)) {
		mode = "cbc";
		spec->iv_mode = "plain";
	} else {
		spec->iv_opts = cut_at(spec->iv_mode, ':');
	}
	if (strcmp(mode, "ecb") && !spec->iv_mode)
		return "cipher: needs an IV generator, such as plain64";

	spec->algorithm = kasprintf(GFP_KERNEL, "%s(%s)", mode, s);
	return NULL;
}

/* ESSIV is a template of the Crypto API: it hashes the key and encrypts the IV by itself. */
static const char *wrap_essiv(struct spec *spec)
{
	char *plain = spec->algorithm;

	if (!plain || !spec->iv_mode || strcmp(spec->iv_mode, "essiv"))
		return NULL;
	if (!spec->iv_opts || !*spec->iv_opts)
		return "cipher: essiv needs a hash, as in essiv:sha256";

	spec->algorithm = kasprintf(GFP_KERNEL, "essiv(%s,%s)", plain, spec->iv_opts);
	kfree(plain);
	return NULL;
}

static const char *parse_spec(char *s, struct spec *spec, int *err)
{
	const char *error;

	*err = -EINVAL;
	if (!strncmp(s, "capi:", strlen("capi:")))
		error = parse_capi(s + strlen("capi:"), spec);
	else
		error = parse_dashed(s, spec);
	if (!error)
		error = wrap_essiv(spec);
	if (error)
		return error;
	if (!spec->algorithm) {
		*err = -ENOMEM;
		return "cipher: out of memory";
	}
	if (strlen(spec->algorithm) >= CRYPTO_MAX_ALG_NAME)
		return "cipher: name too long";
	return NULL;
}

static void free_tfms(struct ca_cipher *cipher)
{
	unsigned int i;

	for (i = 0; cipher->tfms && i < cipher->tfm_count; i++)
		if (!IS_ERR_OR_NULL(cipher->tfms[i]))
			crypto_free_skcipher(cipher->tfms[i]);
	kfree(cipher->tfms);
	cipher->tfms = NULL;
}

/* A transform that allocates memory for a request could not write memory out to make room. */
static const char *alloc_tfms(struct ca_cipher *cipher, const char *algorithm, int *err)
{
	unsigned int i;

	*err = -ENOMEM;
	cipher->tfms = kcalloc(cipher->tfm_count, sizeof(*cipher->tfms), GFP_KERNEL);
	if (!cipher->tfms)
		return "cipher: out of memory";

	for (i = 0; i < cipher->tfm_count; i++) {
		cipher->tfms[i] = crypto_alloc_skcipher(algorithm, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
		if (IS_ERR(cipher->tfms[i])) {
			*err = PTR_ERR(cipher->tfms[i]);
			free_tfms(cipher);
			return "cipher: this kernel's Crypto API has no such algorithm";
		}
	}
	return NULL;
}

/*
 * The one place that decides how a request lies in memory; ca_request_iv() and its sibling follow.
 */
static void lay_out_request(struct ca_cipher *cipher)
{
	unsigned int context = 0;
	unsigned int i;

	/* A better driver may have appeared between two allocations: the transforms can differ. */
	for (i = 0; i < cipher->tfm_count; i++) {
		cipher->iv_align |= crypto_skcipher_alignmask(cipher->tfms[i]);
		context = max(context, crypto_skcipher_reqsize(cipher->tfms[i]));
	}
	cipher->iv_size = crypto_skcipher_ivsize(cipher->tfms[0]);
	if (cipher->iv_size)	/* generators write all of a sector number */
		cipher->iv_size = max_t(unsigned int, cipher->iv_size, sizeof(u64));
	cipher->request_size = sizeof(struct ca_request) + cipher->iv_align + cipher->iv_size +
			       CRYPTO_MINALIGN - 1 + sizeof(struct skcipher_request) + context;
}

/**
 * ca_cipher_init() - allocates a device's transforms
 * @ca: the device
 * @text: the first argument of the table line
 * @err: the errno that goes with the result
 *
 * Return: NULL, or what is wrong, for the user; then nothing is left to undo.
 */
const char *ca_cipher_init(struct ca_device *ca, const char *text, int *err)
{
	struct ca_cipher *cipher = &ca->cipher;
	struct spec spec = { .keys = 1 };
	const char *error = "cipher: out of memory";
	char *copy;

	*err = -ENOMEM;
	copy = kstrdup(text, GFP_KERNEL);
	cipher->spec = kstrdup(text, GFP_KERNEL);
	if (!copy || !cipher->spec)
		goto free_spec;

	error = parse_spec(copy, &spec, err);
	if (error)
		goto free_spec;
	cipher->tfm_count = spec.keys;
	error = alloc_tfms(cipher, spec.algorithm, err);
	if (error)
		goto free_spec;
	lay_out_request(cipher);

	*err = -EINVAL;
	error = ca_iv_init(ca, spec.iv_mode, spec.iv_opts);
	if (error)
		goto free_transforms;

	kfree(spec.algorithm);
	kfree(copy);
	return NULL;

free_transforms:
	free_tfms(cipher);
free_spec:
	kfree(cipher->spec);
	cipher->spec = NULL;
	kfree(spec.algorithm);
	kfree(copy);
	return error;
}

/**
 * ca_cipher_exit() - frees what ca_cipher_init() made
 * @cipher: of a device with nothing in flight, its key already wiped
 */
void ca_cipher_exit(struct ca_cipher *cipher)
{
	free_tfms(cipher);
	kfree(cipher->spec);
}

/**
 * ca_cipher_set_key() - gives the transforms their share of the key
 * @cipher: with key and key_size set
 *
 * Return: 0, or the transform's error: -EINVAL for a length that it does not take.
 */
int ca_cipher_set_key(struct ca_cipher *cipher)
{
	unsigned int share = cipher->key_size / cipher->tfm_count;
	unsigned int i;
	int err;

	if (share * cipher->tfm_count != cipher->key_size)
		return -EINVAL;
	for (i = 0; i < cipher->tfm_count; i++) {
		err = crypto_skcipher_setkey(cipher->tfms[i], cipher->key + i * share, share);
		if (err)
			return err;
	}
	return 0;
}

/**
 * ca_cipher_driver() - the driver that the Crypto API chose
 * @cipher: of a device
 *
 * Return: its name, valid as long as the device.
 */
const char *ca_cipher_driver(const struct ca_cipher *cipher)
{
	return crypto_skcipher_driver_name(cipher->tfms[0]);
}
