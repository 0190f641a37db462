// SPDX-License-Identifier: GPL-2.0-only
/*
 * Settings of a device that change while it is used:
 *
 *	tune <setting>=<value> ...
 *	tune reset
 *
 * The settings are fragment_kib, inline_kib, page_limit and cpus. A message is carried out as a
 * whole or not at all.
 */
#include "tune.h"

#include <linux/cpumask.h>
#include <linux/device-mapper.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../dm-crypt-async.h"
#include "account.h"
#include "dispatch.h"
#include "pages.h"
#include "table.h"
#include "workers.h"

#define DM_MSG_PREFIX	CA_NAME

struct setting {
	const char *name;
	unsigned int min;
	unsigned int max;
};

enum { FRAGMENT_KIB, INLINE_KIB, PAGE_LIMIT, NUMBERS };

static const struct setting settings[NUMBERS] = {
	[FRAGMENT_KIB]	= { "fragment_kib", 4, 1024 },
	[INLINE_KIB]	= { "inline_kib", 0, 1024 },
	[PAGE_LIMIT]	= { "page_limit", 1, INT_MAX / 2 },
};

/* The settings that a message asks for. */
struct wanted {
	unsigned int number[NUMBERS];
	bool has[NUMBERS];
	cpumask_var_t cpus;
	bool has_cpus;
	bool any_cpu;
};

static bool parse_cpus(struct wanted *wanted, const char *value)
{
	wanted->has_cpus = true;
	wanted->any_cpu = !strcmp(value, "any");
	return wanted->any_cpu || (!cpulist_parse(value, wanted->cpus) &&
	       !cpumask_empty(wanted->cpus) && cpumask_subset(wanted->cpus, cpu_online_mask));
}

static bool parse_number(struct wanted *wanted, const char *name, const char *value)
{
	unsigned int number;
	int i;

	for (i = 0; i < NUMBERS; i++)
		if (!strcmp(name, settings[i].name))
			break;
	if (i == NUMBERS || !ca_is_number(value) || kstrtouint(value, 10, &number) ||
	    number < settings[i].min || number > settings[i].max)
		return false;
	if (i == FRAGMENT_KIB && !is_power_of_2(number))
		return false;
	wanted->number[i] = number;
	wanted->has[i] = true;
	return true;
}

static bool parse(struct wanted *wanted, char *word)
{
	char *value = strchr(word, '=');

	if (!value)
		return false;
	*value++ = '\0';
	return strcmp(word, "cpus") ? parse_number(wanted, word, value) :
				      parse_cpus(wanted, value);
}

static void apply(struct ca_device *ca, const struct wanted *wanted)
{
	if (wanted->has_cpus)
		ca_workers_set_cpus(&ca->workers, wanted->any_cpu ? NULL : wanted->cpus);
	if (wanted->has[FRAGMENT_KIB]) {
		const unsigned int bytes = wanted->number[FRAGMENT_KIB] * 1024;

		ca_dispatch_set_fragment(&ca->dispatch, READ, bytes);
		ca_dispatch_set_fragment(&ca->dispatch, WRITE, bytes);
	}
	if (wanted->has[INLINE_KIB])
		WRITE_ONCE(ca->dispatch.inline_bytes, wanted->number[INLINE_KIB] * 1024);
	if (wanted->has[PAGE_LIMIT]) {
		ca_pages_set_limit(&ca->pages, wanted->number[PAGE_LIMIT]);
		ca_account_trim(&ca->pages.account);
	}
}

/* Brings all settings to those of a new device. */
static void reset(struct ca_device *ca)
{
	ca_workers_set_cpus(&ca->workers, NULL);
	ca_dispatch_reset(&ca->dispatch);
	ca_pages_set_limit(&ca->pages, 0);
	ca_account_trim(&ca->pages.account);
}

/**
 * ca_tune_message() - carries out the message "tune"
 * @ca: the device
 * @argc: number of words after it
 * @argv: these
 *
 * Context: Task; one caller at a time.
 * Return: 0; -EINVAL for words that are unknown or out of range; -ENOMEM.
 */
int ca_tune_message(struct ca_device *ca, unsigned int argc, char **argv)
{
	struct wanted *wanted;
	unsigned int i;
	int err = -ENOMEM;

	if (argc == 1 && !strcmp(argv[0], "reset")) {
		reset(ca);
		return 0;
	}
	wanted = kzalloc(sizeof(*wanted), GFP_KERNEL);
	if (!wanted || !zalloc_cpumask_var(&wanted->cpus, GFP_KERNEL))
		goto out;
	err = argc ? 0 : -EINVAL;
	for (i = 0; i < argc && !err; i++)
		if (!parse(wanted, argv[i])) {
			DMWARN("%s: tune %s: not a setting, or its value is out of range",
			       ca_device_name(ca), argv[i]);
			err = -EINVAL;
		}
	if (!err)
		apply(ca, wanted);
	free_cpumask_var(wanted->cpus);
out:
	kfree(wanted);
	return err;
}

/**
 * ca_tune_emit() - writes the settings, for the status line
 * @ca: the device
 * @result: where to
 * @maxlen: bytes there
 *
 * Return: bytes written.
 */
unsigned int ca_tune_emit(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	const unsigned int read_bytes = READ_ONCE(ca->dispatch.fragment_bytes[READ]);
	const unsigned int write_bytes = READ_ONCE(ca->dispatch.fragment_bytes[WRITE]);
	unsigned int sz = 0;

	DMEMIT(" %s=%u", settings[FRAGMENT_KIB].name, read_bytes / 1024);
	if (write_bytes != read_bytes)
		DMEMIT("/%u", write_bytes / 1024);
	DMEMIT(" %s=%u", settings[INLINE_KIB].name, READ_ONCE(ca->dispatch.inline_bytes) / 1024);
	DMEMIT(" %s=%u", settings[PAGE_LIMIT].name, READ_ONCE(ca->pages.account.limit));
	DMEMIT(" cpus=");
	sz += ca_workers_emit_cpus(&ca->workers, result + sz, maxlen - sz);
	return sz;
}
