// SPDX-License-Identifier: GPL-2.0-only
/*
 * The optional arguments of the table line. An option exists in one row of one table, which
 * parses, counts and shows it. Names and order of output are dm-crypt's.
 */
#include "table.h"

#include <linux/device-mapper.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/string.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "key.h"
#include "meta.h"
#include "request.h"

/**
 * struct option - a row of the table
 * @name: the option's word; one that takes a value ends with a colon
 * @set: takes the value, "" where there is none; the bit is set afterwards. Return: NULL or what
 *	is wrong
 * @show: writes the value. Return: bytes written
 *
 * None of the operations is NULL.
 */
struct option {
	const char *name;
	const char *(*set)(struct ca_device *ca, const char *value);
	unsigned int (*show)(const struct ca_device *ca, char *result, unsigned int maxlen);
};

static const char *set_flag(struct ca_device *ca, const char *value)
{
	return NULL;
}

static unsigned int show_flag(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	return 0;
}

static const char *set_sector_size(struct ca_device *ca, const char *value)
{
	unsigned int size;

	if (!ca_is_number(value) || kstrtouint(value, 10, &size) || size < SECTOR_SIZE ||
	    size > CA_MAX_UNIT || !is_power_of_2(size))
		return "sector_size: not a power of two from 512 to 4096";
	if (ca->ti->len & ((size >> SECTOR_SHIFT) - 1))
		return "length: not a multiple of sector_size";
	ca->unit_size = size;
	ca->unit_shift = ilog2(size) - SECTOR_SHIFT;
	return NULL;
}

static unsigned int show_sector_size(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT("%u", ca->unit_size);
	return sz;
}

/* "<bytes>:aead" or "<bytes>:none" */
static const char *set_integrity(struct ca_device *ca, const char *value)
{
	const char *type = strchr(value, ':');
	char bytes[8] = "";

	if (ca_has(ca, CA_OPT_INTEGRITY))
		return "integrity: given twice";
	if (!type || type - value >= sizeof(bytes))
		return "integrity: expected <bytes>:aead or <bytes>:none";
	memcpy(bytes, value, type - value);
	if (!ca_is_number(bytes) || kstrtouint(bytes, 10, &ca->meta.used) || !ca->meta.used ||
	    ca->meta.used > CA_MAX_META)
		return "integrity: not a number of bytes from 1 to 480";
	ca->cipher.is_authenticated = !strcasecmp(type + 1, "aead");
	if (!ca->cipher.is_authenticated && strcasecmp(type + 1, "none"))
		return "integrity: neither aead nor none";
	strscpy(ca->meta.type, type + 1, sizeof(ca->meta.type));
	return NULL;
}

static unsigned int show_integrity(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT("%u:%s", ca->meta.used, ca->meta.type);
	return sz;
}

static const char *set_integrity_key_size(struct ca_device *ca, const char *value)
{
	if (!ca_is_number(value) || kstrtouint(value, 10, &ca->cipher.key.mac) ||
	    !ca->cipher.key.mac)
		return "integrity_key_size: not a number of bytes";
	return NULL;
}

static unsigned int show_integrity_key_size(const struct ca_device *ca, char *result,
					    unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT("%u", ca->cipher.key.mac);
	return sz;
}

static const struct option options[] = {
	[CA_OPT_ALLOW_DISCARDS]		= { "allow_discards", set_flag, show_flag },
	[CA_OPT_SAME_CPU_CRYPT]		= { "same_cpu_crypt", set_flag, show_flag },
	[CA_OPT_HIGH_PRIORITY]		= { "high_priority", set_flag, show_flag },
	[CA_OPT_SUBMIT_FROM_CRYPT_CPUS]	= { "submit_from_crypt_cpus", set_flag, show_flag },
	[CA_OPT_NO_READ_WORKQUEUE]	= { "no_read_workqueue", set_flag, show_flag },
	[CA_OPT_NO_WRITE_WORKQUEUE]	= { "no_write_workqueue", set_flag, show_flag },
	[CA_OPT_INTEGRITY]		= { "integrity:", set_integrity, show_integrity },
	[CA_OPT_SECTOR_SIZE]		= { "sector_size:", set_sector_size, show_sector_size },
	[CA_OPT_IV_LARGE_SECTORS]	= { "iv_large_sectors", set_flag, show_flag },
	[CA_OPT_INTEGRITY_KEY_SIZE]	= { "integrity_key_size:", set_integrity_key_size,
					    show_integrity_key_size },
};

static bool has_value(const struct option *option)
{
	return option->name[strlen(option->name) - 1] == ':';
}

/* Return: the value within @arg, "" if the option has none, or NULL if @arg is not this option. */
static const char *match(const struct option *option, const char *arg)
{
	size_t length = strlen(option->name);

	if (!has_value(option))
		return strcasecmp(option->name, arg) ? NULL : "";
	return strncasecmp(option->name, arg, length) ? NULL : arg + length;
}

static const char *set_option(struct ca_device *ca, const char *arg)
{
	const char *value;
	const char *error;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		value = match(&options[i], arg);
		if (!value)
			continue;
		error = options[i].set(ca, value);
		if (!error)
			ca->options |= BIT(i);
		return error;
	}
	return "options: unknown option";
}

/**
 * ca_table_options() - reads the optional arguments
 * @ca: the device
 * @as: what follows the five fixed arguments of the table line
 *
 * The message names the option but never repeats what the user wrote: with arguments in the wrong
 * order that may be the key.
 *
 * Return: NULL, or what is wrong, for the user.
 */
const char *ca_table_options(struct ca_device *ca, struct dm_arg_set *as)
{
	static const struct dm_arg count_arg = {
		0, 2 * ARRAY_SIZE(options), "options: their number is missing or wrong"
	};
	unsigned int count;
	char *error;

	ca->unit_size = SECTOR_SIZE;
	ca->unit_shift = 0;
	if (!as->argc)
		return NULL;
	if (dm_read_arg_group(&count_arg, as, &count, &error))
		return error;
	if (as->argc != count)
		return "options: more arguments than their number says";

	while (count--) {
		const char *wrong = set_option(ca, dm_shift_arg(as));

		if (wrong)
			return wrong;
	}
	if (ca->unit_size == SECTOR_SIZE)
		ca->options &= ~BIT(CA_OPT_SECTOR_SIZE);
	return NULL;
}

/**
 * ca_table_emit() - writes the status table line
 * @ca: the device
 * @result: where to
 * @maxlen: bytes there
 *
 * Return: bytes written.
 */
unsigned int ca_table_emit(struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;
	size_t i;

	DMEMIT("%s ", ca->cipher.spec);
	sz += ca_key_emit(ca, result + sz, maxlen - sz);
	DMEMIT(" %llu %s %llu", ca->iv_offset, ca->dev->name, (u64)ca->start);

	if (ca->options)
		DMEMIT(" %u", (unsigned int)hweight_long(ca->options));
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (!ca_has(ca, i))
			continue;
		DMEMIT(" %s", options[i].name);
		sz += options[i].show(ca, result + sz, maxlen - sz);
	}
	return sz;
}

/**
 * ca_table_measure() - writes what the integrity measurement (IMA) gets to see
 * @ca: the device
 * @result: where to
 * @maxlen: bytes there
 *
 * The form is that of dm-crypt 1.29, on every kernel. The key is not part of it.
 *
 * Return: bytes written.
 */
unsigned int ca_table_measure(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	const struct target_type *type = READ_ONCE(ca->ti->type);
	const struct ca_key *key = &ca->cipher.key;
	unsigned int sz = 0;
	size_t i;

	DMEMIT_TARGET_NAME_VERSION(type);
	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (!has_value(&options[i]))
			DMEMIT(",%s=%c", options[i].name, ca_has(ca, i) ? 'y' : 'n');
	if (ca_has(ca, CA_OPT_INTEGRITY))
		DMEMIT(",integrity_tag_size=%u,cipher_auth=%s", ca->meta.used, ca->meta.type);
	if (ca_has(ca, CA_OPT_SECTOR_SIZE))
		DMEMIT(",sector_size=%u", ca->unit_size);
	DMEMIT(",cipher_string=%s,key_size=%u,key_parts=%u,key_extra_size=%u,key_mac_size=%u;",
	       ca->cipher.spec, key->size, key->parts, key->extra, key->mac);
	return sz;
}
