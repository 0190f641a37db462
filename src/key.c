// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys: reading, showing and wiping them. Nothing here, nor anywhere else, logs any part of a key.
 */
#include "dm-crypt-async.h"

#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>

/*
 * dmsetup masks keys only for a target of the name "crypt". Under this module's name it would print
 * them on every terminal and into every bug report, so it never gets them unless it is asked for.
 */
static bool show_keys;
module_param(show_keys, bool, 0644);
MODULE_PARM_DESC(show_keys, "Show hexadecimal keys in the status table line instead of zeros");

/**
 * ca_key_load() - reads the key argument and sets the key
 * @cipher: with its transforms allocated
 * @text: hexadecimal digits, or "-" for a cipher that takes no key
 * @err: the errno that goes with the result
 *
 * Return: NULL, or what is wrong, for the user; then no copy of the key is left.
 */
const char *ca_key_load(struct ca_cipher *cipher, const char *text, int *err)
{
	size_t digits = strcmp(text, "-") ? strlen(text) : 0;

	*err = -EINVAL;
	if (*text == ':')
		return "key: keys in a keyring are not supported";
	if (digits % 2)
		return "key: odd number of hexadecimal digits";

	cipher->key = kmalloc(max_t(size_t, digits / 2, 1), GFP_KERNEL);
	if (!cipher->key) {
		*err = -ENOMEM;
		return "key: out of memory";
	}
	cipher->key_size = digits / 2;
	if (hex2bin(cipher->key, text, cipher->key_size)) {
		ca_key_wipe(cipher);
		return "key: not hexadecimal";
	}

	*err = ca_cipher_set_key(cipher);
	if (*err) {
		ca_key_wipe(cipher);
		return "key: the cipher does not take a key of this length or value";
	}
	return NULL;
}

/**
 * ca_key_wipe() - overwrites and frees the key
 * @cipher: whose copy it is; the transforms wipe theirs when they are freed
 */
void ca_key_wipe(struct ca_cipher *cipher)
{
	if (cipher->key)
		memzero_explicit(cipher->key, cipher->key_size);
	kfree(cipher->key);
	cipher->key = NULL;
	cipher->key_size = 0;
}

/**
 * ca_key_emit() - writes the key argument of the status table line
 * @cipher: of the device
 * @result: where to
 * @maxlen: bytes there
 *
 * Return: bytes written.
 */
unsigned int ca_key_emit(const struct ca_cipher *cipher, char *result, unsigned int maxlen)
{
	const bool show = READ_ONCE(show_keys);
	unsigned int sz = 0;
	unsigned int i;

	if (!cipher->key_size)
		DMEMIT("-");
	for (i = 0; i < cipher->key_size; i++)
		DMEMIT("%02x", show ? cipher->key[i] : 0);
	return sz;
}
