// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys: reading, replacing, showing and wiping them. Nothing here, nor anywhere else, logs any part
 * of a key. In the table line a key is one of
 *
 *	<hexadecimal digits>			the key itself
 *	:<bytes>:<type>:<description>		a key in a kernel keyring
 *	-					no key
 */
#include "key.h"

#include <linux/capability.h>
#include <linux/device-mapper.h>
#include <linux/err.h>
#include <linux/key.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <keys/encrypted-type.h>
#include <keys/trusted-type.h>
#include <keys/user-type.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "iv.h"
#include "names.h"
#include "table.h"

#define DM_MSG_PREFIX	CA_NAME

/* ------------------------------------------------------------------------ hexadecimal */

static bool is_reference(const char *text)
{
	return *text == ':';
}

/* Return: what follows the size of a reference, or NULL if that is no number. */
static char *parse_reference(char *text, unsigned int *size)
{
	char *end = strchr(text + 1, ':');
	int err;

	if (!end)
		return NULL;
	*end = '\0';
	err = ca_is_number(text + 1) ? kstrtouint(text + 1, 10, size) : -EINVAL;
	*end = ':';
	return err ? NULL : end + 1;
}

/* Return: NULL, or what is wrong with a key argument, of which only the size is looked at. */
static const char *get_size(char *text, unsigned int *size)
{
	size_t digits = strcmp(text, "-") ? strlen(text) : 0;

	if (is_reference(text))
		return parse_reference(text, size) && *size ? NULL :
		       "key: expected :<bytes>:<type>:<name>";
	*size = digits / 2;
	return digits % 2 ? "key: odd number of hexadecimal digits" : NULL;
}

/* ---------------------------------------------------------------------------- keyring */

/* The key's bytes, while its semaphore is held. Return: how many, or a negative errno. */
static int peek_user(const struct key *key, const u8 **bytes)
{
	const struct user_key_payload *payload = user_key_payload_locked(key);

	if (!payload)
		return -EKEYREVOKED;
	*bytes = payload->data;
	return payload->datalen;
}

#if IS_REACHABLE(CONFIG_ENCRYPTED_KEYS)
static int peek_encrypted(const struct key *key, const u8 **bytes)
{
	const struct encrypted_key_payload *payload = dereference_key_locked(key);

	if (!payload)
		return -EKEYREVOKED;
	*bytes = payload->decrypted_data;
	return payload->decrypted_datalen;
}
#endif

#if IS_REACHABLE(CONFIG_TRUSTED_KEYS)
static int peek_trusted(const struct key *key, const u8 **bytes)
{
	const struct trusted_key_payload *payload = dereference_key_locked(key);

	if (!payload)
		return -EKEYREVOKED;
	*bytes = payload->key;
	return payload->key_len;
}
#endif

static const struct keyring_type {
	const char *name;
	struct key_type *type;
	int (*peek)(const struct key *key, const u8 **bytes);
} keyring_types[] = {
	{ "logon:", &key_type_logon, peek_user },
	{ "user:", &key_type_user, peek_user },
#if IS_REACHABLE(CONFIG_ENCRYPTED_KEYS)
	{ "encrypted:", &key_type_encrypted, peek_encrypted },
#endif
#if IS_REACHABLE(CONFIG_TRUSTED_KEYS)
	{ "trusted:", &key_type_trusted, peek_trusted },
#endif
};

static const struct keyring_type *find_type(const char *ref)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keyring_types); i++)
		if (!strncmp(ref, keyring_types[i].name, strlen(keyring_types[i].name)))
			return &keyring_types[i];
	return NULL;
}

/* Copies a key out of a keyring. Return: 0 or a negative errno. */
static int copy_from_keyring(struct ca_key *to, const struct keyring_type *type, const char *name)
{
	struct key *key = request_key(type->type, name, NULL);
	const u8 *bytes;
	int size;

	if (IS_ERR(key))
		return PTR_ERR(key);
	down_read(&key->sem);
	size = type->peek(key, &bytes);
	if (size == to->size)
		memcpy(to->bytes, bytes, size);
	up_read(&key->sem);
	key_put(key);
	if (size < 0)
		return size;
	return size == to->size ? 0 : -EINVAL;
}

/* ------------------------------------------------------------------- setting and wiping */

/* Overwrites the device's own copy, which is kept only to show a hexadecimal key. */
static void forget_bytes(struct ca_key *key)
{
	memzero_explicit(key->bytes, key->size);
}

static const char *set_reference(struct ca_cipher *cipher, const char *ref, int *err)
{
	const struct keyring_type *type = find_type(ref);
	struct ca_key *key = &cipher->key;
	char *copy;

	*err = -EINVAL;
	if (!ca_is_word(ref))
		return "key: a description with spaces or backslashes cannot be used";
	if (!type)
		return "key: this kernel does not have this type of key";
	if (!ref[strlen(type->name)])
		return "key: its description is missing";

	copy = kstrdup(ref, GFP_KERNEL);
	*err = copy ? copy_from_keyring(key, type, ref + strlen(type->name)) : -ENOMEM;
	if (*err) {
		kfree_sensitive(copy);
		return "key: not found in a keyring, or of another size there";
	}
	key->is_valid = false;
	*err = ca_cipher_set_key(cipher);
	forget_bytes(key);
	if (*err) {
		kfree_sensitive(copy);
		return "key: the cipher does not take a key of this length or value";
	}
	kfree_sensitive(key->ref);
	key->ref = copy;
	key->is_valid = true;
	return NULL;
}

static const char *set_digits(struct ca_cipher *cipher, const char *digits, int *err)
{
	struct ca_key *key = &cipher->key;

	*err = -EINVAL;
	key->is_valid = false;
	kfree_sensitive(key->ref);
	key->ref = NULL;
	if (hex2bin(key->bytes, digits, key->size)) {
		forget_bytes(key);
		return "key: not hexadecimal";
	}
	*err = ca_cipher_set_key(cipher);
	if (*err) {
		forget_bytes(key);
		return "key: the cipher does not take a key of this length or value";
	}
	key->is_valid = true;
	return NULL;
}

/**
 * ca_key_init() - makes room for a key
 * @key: of a new device
 * @text: the key argument of the table line
 * @err: the errno that goes with the result
 *
 * Return: NULL, or what is wrong, for the user; then nothing is left to undo.
 */
const char *ca_key_init(struct ca_key *key, char *text, int *err)
{
	const char *error;

	*err = -EINVAL;
	error = get_size(text, &key->size);
	if (error)
		return error;
	mutex_init(&key->lock);
	key->is_suspended = true;
	key->bytes = kzalloc(max(key->size, 1U), GFP_KERNEL | __GFP_NOWARN);
	if (!key->bytes) {
		*err = -ENOMEM;
		return "key: out of memory";
	}
	return NULL;
}

/**
 * ca_key_exit() - overwrites and frees the device's copy of the key
 * @key: the key; transforms and IV generator wipe their parts by themselves
 */
void ca_key_exit(struct ca_key *key)
{
	kfree_sensitive(key->ref);
	kfree_sensitive(key->bytes);
	key->ref = NULL;
	key->bytes = NULL;
}

/**
 * ca_key_load() - reads a key argument and sets the key
 * @cipher: with its transforms, and nothing in flight
 * @text: the argument, of the size that ca_key_init() was told
 * @err: the errno that goes with the result
 *
 * Return: NULL, or what is wrong, for the user.
 */
const char *ca_key_load(struct ca_cipher *cipher, char *text, int *err)
{
	unsigned int size;

	if (is_reference(text))
		return set_reference(cipher, parse_reference(text, &size), err);
	return set_digits(cipher, text, err);
}

/*
 * Takes the key away from transforms and generator, by giving them a random one. Return: 0 or a
 * negative errno.
 */
static int wipe(struct ca_cipher *cipher)
{
	struct ca_key *key = &cipher->key;
	int err;

	key->is_valid = false;
	kfree_sensitive(key->ref);
	key->ref = NULL;
	get_random_bytes(key->bytes, key->size);
	err = ca_cipher_set_key(cipher);
	cipher->iv_ops->wipe(cipher);
	forget_bytes(key);
	return err;
}

static int replace(struct ca_cipher *cipher, char *text)
{
	const char *error;
	unsigned int size;
	int err = -EINVAL;

	error = get_size(text, &size);
	if (!error && size != cipher->key.size)
		error = "key: the new key must be as long as the old one";
	if (!error)
		error = ca_key_load(cipher, text, &err);
	if (error)
		DMERR("%s", error);
	return error ? err : 0;
}

/**
 * ca_key_message() - carries out "key set <key>" and "key wipe"
 * @cipher: of a suspended device; the key's lock is held
 * @argc: words of the message
 * @argv: the words
 *
 * Return: 0 or a negative errno.
 */
int ca_key_message(struct ca_cipher *cipher, unsigned int argc, char **argv)
{
	if (argc == 3 && !strcasecmp(argv[1], "set"))
		return replace(cipher, argv[2]);
	if (argc == 2 && !strcasecmp(argv[1], "wipe"))
		return wipe(cipher);
	return -EINVAL;
}

/* Writes a key argument, with its own digits if it is shown, else zeros. Return: bytes written. */
static unsigned int emit(const struct ca_key *key, bool shown, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;
	unsigned int i;

	if (!key->size)
		DMEMIT("-");
	else if (key->ref)
		DMEMIT(":%u:%s", key->size, key->ref);
	for (i = 0; !key->ref && i < key->size; i++)
		DMEMIT("%02x", shown ? key->bytes[i] : 0);
	return sz;
}

/**
 * ca_key_get() - carries out "key get"
 * @key: of a device, suspended or not; its lock is held
 * @result: for the answer, the key argument as a table line has it
 * @maxlen: bytes there; the device mapper asks for more if the answer fills them
 *
 * Return: 1 with an answer; -EPERM; -ENOKEY if there is none, after "key wipe" for one.
 */
int ca_key_get(const struct ca_key *key, char *result, unsigned int maxlen)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!key->is_valid)
		return -ENOKEY;
	emit(key, true, result, maxlen);
	return 1;
}

/**
 * ca_key_emit() - writes the key argument of the status table line
 * @ca: the device
 * @result: where to
 * @maxlen: bytes there
 *
 * dmsetup masks keys only for a target of the name "crypt". Under this module's name it would print
 * them on every terminal and into every bug report, so zeros are written in their place, and the
 * message "key get" tells the key to its sender alone. A table that is shown as crypt has the key.
 *
 * (The device mapper takes the name before it asks for this. Who reads a table at the moment at
 * which names.c begins to show it as crypt can get this module's name with a key. Nobody can get
 * the name crypt with zeros, which might then be loaded: a table that is shown as crypt stays so.)
 *
 * Return: bytes written.
 */
unsigned int ca_key_emit(struct ca_device *ca, char *result, unsigned int maxlen)
{
	const bool shown = !strcmp(ca_names_shown(ca->ti), CA_DM_CRYPT_NAME);
	unsigned int size;

	mutex_lock(&ca->cipher.key.lock);
	size = emit(&ca->cipher.key, shown, result, maxlen);
	mutex_unlock(&ca->cipher.key.lock);
	return size;
}
