// SPDX-License-Identifier: GPL-2.0-only
/* The transforms: reading the cipher argument, allocating, setting keys, and sizes. */
#include "cipher.h"

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <crypto/authenc.h>
#include <crypto/hash.h>

#include "../dm-crypt-async.h"
#include "iv.h"
#include "key.h"
#include "request.h"
#include "table.h"

/* The parts of the cipher argument; strings that are not allocated point into a copy of it. */
struct spec {
	char *algorithm;	/* as the Crypto API knows it; allocated */
	char *wrapped;		/* it within essiv(); NULL if it is not; allocated */
	char *iv_mode;		/* NULL where there is none */
	char *iv_opts;		/* NULL where there are none */
	unsigned int keys;
};

/* Ends @s at the first @c. Return: the rest behind it, NULL if there is none. */
static char *split_at(char *s, char c)
{
	char *at = s ? strchr(s, c) : NULL;

	if (!at)
		return NULL;
	*at = '\0';
	return at + 1;
}

/*
 * "<algorithm>-<iv>[:<options>]", where the algorithm may have dashes of its own, and colons are
 * the options' only.
 */
static const char *parse_capi(char *s, struct spec *spec)
{
	char *opts = strrchr(s, ':');
	char *tail;
	char *dash;

	if (opts)
		*opts++ = '\0';
	tail = strrchr(s, ')');
	dash = strrchr(tail ?: s, '-');
	if (dash) {
		*dash = '\0';
		spec->iv_mode = dash + 1;
		spec->iv_opts = opts;
		if (!strcmp(spec->iv_mode, "lmk"))
			spec->keys = CA_LMK_KEYS;
	}
	spec->algorithm = kstrdup(s, GFP_KERNEL);
	return NULL;
}

/* "<cipher>[:<keys>]-<mode>-<iv>[:<options>]"; "<cipher>" and "<cipher>-plain" mean cbc-plain. */
static const char *parse_dashed(char *s, struct spec *spec)
{
	char *mode;
	char *keys;

	if (strchr(s, '('))
		return "cipher: an algorithm with parentheses needs the prefix capi:";
	mode = split_at(s, '-');
	keys = split_at(s, ':');
	if (keys && (!ca_is_number(keys) || kstrtouint(keys, 10, &spec->keys) ||
		     !is_power_of_2(spec->keys) || spec->keys > CA_MAX_KEYS))
		return "cipher: the number of keys is not a power of two up to 65536";

	spec->iv_mode = split_at(mode, '-');
	if (!mode || (!strcmp(mode, "plain") && !spec->iv_mode)) {
		mode = "cbc";
		spec->iv_mode = "plain";
	} else {
		spec->iv_opts = split_at(spec->iv_mode, ':');
	}
	if (strcmp(mode, "ecb") && !spec->iv_mode)
		return "cipher: needs an IV generator, such as plain64";

	spec->algorithm = kasprintf(GFP_KERNEL, "%s(%s)", mode, s);
	return NULL;
}

/* ESSIV is a template of the Crypto API: it hashes the key and encrypts the IV by itself. */
static const char *wrap_essiv(struct spec *spec, int *err)
{
	if (!spec->iv_opts || !*spec->iv_opts)
		return "cipher: essiv needs a hash, as in essiv:sha256";
	spec->wrapped = kasprintf(GFP_KERNEL, "essiv(%s,%s)", spec->algorithm, spec->iv_opts);
	if (!spec->wrapped) {
		*err = -ENOMEM;
		return "cipher: out of memory";
	}
	return strlen(spec->wrapped) < CRYPTO_MAX_ALG_NAME ? NULL : "cipher: name too long";
}

static const char *parse_spec(char *s, struct spec *spec, bool authenticated, int *err)
{
	const char *error;

	*err = -EINVAL;
	if (!ca_is_word(s))
		return "cipher: spaces and backslashes cannot be used";
	if (!strncmp(s, "capi:", strlen("capi:")))
		error = parse_capi(s + strlen("capi:"), spec);
	else if (authenticated)
		error = "cipher: authenticated ciphers need the prefix capi:";
	else
		error = parse_dashed(s, spec);
	if (error)
		return error;
	if (!spec->algorithm) {
		*err = -ENOMEM;
		return "cipher: out of memory";
	}
	if (strlen(spec->algorithm) >= CRYPTO_MAX_ALG_NAME)
		return "cipher: name too long";
	if (spec->iv_mode && !strcmp(spec->iv_mode, "essiv"))
		return wrap_essiv(spec, err);
	return NULL;
}

/* ------------------------------------------------------------------------- transforms */

static void free_tfms(struct ca_cipher *cipher)
{
	unsigned int i;

	if (!IS_ERR_OR_NULL(cipher->aead))
		crypto_free_aead(cipher->aead);
	for (i = 0; cipher->tfms && i < cipher->tfm_count; i++)
		if (!IS_ERR_OR_NULL(cipher->tfms[i]))
			crypto_free_skcipher(cipher->tfms[i]);
	kfree(cipher->tfms);
	cipher->aead = NULL;
	cipher->tfms = NULL;
}

/* Drivers that allocate memory for a request are left out: writing memory out must need none. */
static int alloc_tfms(struct ca_cipher *cipher, const char *algorithm, bool authenticated)
{
	unsigned int i;

	if (authenticated) {
		cipher->tfm_count = 1;
		cipher->aead = crypto_alloc_aead(algorithm, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
		return PTR_ERR_OR_ZERO(cipher->aead);
	}

	cipher->tfms = kcalloc(cipher->tfm_count, sizeof(*cipher->tfms), GFP_KERNEL);
	if (!cipher->tfms)
		return -ENOMEM;
	for (i = 0; i < cipher->tfm_count; i++) {
		cipher->tfms[i] = crypto_alloc_skcipher(algorithm, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
		if (IS_ERR(cipher->tfms[i]))
			return PTR_ERR(cipher->tfms[i]);
	}
	return 0;
}

/*
 * "authenc(<hash>,<cipher>)" has a key for each, and the hash's is as long as its result unless
 * integrity_key_size says otherwise.
 */
static int find_mac_size(struct ca_device *ca, const char *algorithm)
{
	struct ca_key *key = &ca->cipher.key;
	const char *start = algorithm + strlen("authenc(");
	const char *end = strchr(algorithm, ',');
	struct crypto_ahash *hash;
	char *name;

	if (strncmp(algorithm, "authenc(", strlen("authenc(")))
		return 0;
	if (!end || start > end)
		return -EINVAL;
	name = kmemdup_nul(start, end - start, GFP_KERNEL);
	if (!name)
		return -ENOMEM;
	hash = crypto_alloc_ahash(name, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	kfree(name);
	if (IS_ERR(hash))
		return PTR_ERR(hash);
	if (!ca_has(ca, CA_OPT_INTEGRITY_KEY_SIZE))
		key->mac = crypto_ahash_digestsize(hash);
	crypto_free_ahash(hash);
	return 0;
}

static void find_sizes(struct ca_cipher *cipher)
{
	cipher->iv_size = cipher->aead ? crypto_aead_ivsize(cipher->aead) :
					 crypto_skcipher_ivsize(cipher->tfms[0]);
	if (cipher->iv_size)	/* generators write all of a sector number */
		cipher->iv_size = max_t(unsigned int, cipher->iv_size, sizeof(u64));
}

/* The size of a request, large enough for each of the transforms. */
static void set_request_size(struct ca_cipher *cipher)
{
	unsigned int context = 0;
	unsigned int i;

	if (cipher->aead) {
		cipher->iv_align = crypto_aead_alignmask(cipher->aead);
		context = sizeof(struct aead_request) + crypto_aead_reqsize(cipher->aead);
	}
	/* A better driver may have appeared between two allocations: the transforms can differ. */
	for (i = 0; cipher->tfms && i < cipher->tfm_count; i++) {
		cipher->iv_align |= crypto_skcipher_alignmask(cipher->tfms[i]);
		context = max_t(unsigned int, context, sizeof(struct skcipher_request) +
				crypto_skcipher_reqsize(cipher->tfms[i]));
	}
	cipher->request_size = ca_request_bytes(cipher, context);
}

/* Allocates the transforms and the IV generator of @spec. Undone by free_tfms(), also on error. */
static const char *make_cipher(struct ca_device *ca, const struct spec *spec, int *err)
{
	struct ca_cipher *cipher = &ca->cipher;
	const char *error;

	cipher->tfm_count = spec->keys;
	*err = cipher->is_authenticated ? find_mac_size(ca, spec->algorithm) : 0;
	if (*err)
		return "cipher: this kernel's Crypto API has no such hash";
	*err = alloc_tfms(cipher, spec->wrapped ?: spec->algorithm, cipher->is_authenticated);
	if (*err)
		return "cipher: this kernel's Crypto API has no such algorithm";
	cipher->key.parts = cipher->tfm_count;
	find_sizes(cipher);

	error = ca_iv_init(ca, spec->iv_mode, spec->iv_opts, err);
	if (error)
		return error;
	cipher->is_in_place = cipher->aead || cipher->iv_ops->looks_at_data;
	cipher->is_simple = !cipher->is_in_place && !cipher->stores_iv;
	set_request_size(cipher);
	return NULL;
}

/**
 * ca_cipher_init() - allocates a device's transforms
 * @ca: the device, its options read and the size of its key known
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
		goto out;
	error = parse_spec(copy, &spec, cipher->is_authenticated, err);
	if (!error)
		error = make_cipher(ca, &spec, err);
out:
	if (error) {
		free_tfms(cipher);
		kfree(cipher->spec);
		cipher->spec = NULL;
	}
	kfree(spec.wrapped);
	kfree(spec.algorithm);
	kfree(copy);
	return error;
}

/**
 * ca_cipher_exit() - frees what ca_cipher_init() made
 * @cipher: of a device with nothing in flight
 */
void ca_cipher_exit(struct ca_cipher *cipher)
{
	cipher->iv_ops->wipe(cipher);
	cipher->iv_ops->exit(cipher);
	free_tfms(cipher);
	kfree(cipher->spec);
}

/* An authenc() template takes both keys in one blob: the sizes, the hash's key, the cipher's. */
static int set_authenc_key(struct ca_cipher *cipher, unsigned int share)
{
	const struct ca_key *key = &cipher->key;
	unsigned int size = RTA_SPACE(sizeof(struct crypto_authenc_key_param)) + share;
	struct crypto_authenc_key_param *param;
	unsigned int enc = share - key->mac;
	struct rtattr *rta;
	u8 *blob;
	int err;

	blob = kzalloc(size, GFP_KERNEL);
	if (!blob)
		return -ENOMEM;
	rta = (struct rtattr *)blob;
	rta->rta_type = CRYPTO_AUTHENC_KEYA_PARAM;
	rta->rta_len = RTA_LENGTH(sizeof(*param));
	param = RTA_DATA(rta);
	param->enckeylen = cpu_to_be32(enc);
	memcpy(blob + RTA_SPACE(sizeof(*param)), key->bytes + enc, key->mac);
	memcpy(blob + RTA_SPACE(sizeof(*param)) + key->mac, key->bytes, enc);
	err = crypto_aead_setkey(cipher->aead, blob, size);
	kfree_sensitive(blob);
	return err;
}

/**
 * ca_cipher_set_key() - gives the transforms and the IV generator their share of the key
 * @cipher: with its key's bytes
 *
 * Goes on after an error, so that all of them lose an old key.
 *
 * Return: 0, or the first error: -EINVAL for a length that a transform does not take.
 */
int ca_cipher_set_key(struct ca_cipher *cipher)
{
	const struct ca_key *key = &cipher->key;
	unsigned int share = (key->size - key->extra) / cipher->tfm_count;
	unsigned int i;
	int first = 0;
	int err;

	if (cipher->aead && share < key->mac)
		return -EINVAL;
	if (cipher->aead && key->mac)
		first = set_authenc_key(cipher, share);
	else if (cipher->aead)
		first = crypto_aead_setkey(cipher->aead, key->bytes, share);
	for (i = 0; cipher->tfms && i < cipher->tfm_count; i++) {
		err = crypto_skcipher_setkey(cipher->tfms[i], key->bytes + i * share, share);
		first = first ?: err;
	}
	err = cipher->iv_ops->set_key(cipher);
	return first ?: err;
}

/**
 * ca_cipher_set_tag_size() - sets how long an authenticated cipher's tag is
 * @cipher: an authenticated one
 * @size: bytes, what the metadata has but for a stored IV
 *
 * Return: 0, or -EINVAL if the cipher does not have tags of this size.
 */
int ca_cipher_set_tag_size(struct ca_cipher *cipher, unsigned int size)
{
	cipher->tag_size = size;
	return crypto_aead_setauthsize(cipher->aead, size);
}
