/* SPDX-License-Identifier: GPL-2.0-only */
/* The table line: its options, and how it is printed. */
#ifndef CA_TABLE_H
#define CA_TABLE_H

#include <linux/ctype.h>
#include <linux/types.h>

struct ca_device;
struct dm_arg_set;

#define CA_MAX_META		480	/* bytes of metadata that a unit may ask for */

/* The user's options, as bits of ca_device.options; never changed at run time. */
enum ca_option {
	CA_OPT_ALLOW_DISCARDS,
	CA_OPT_SAME_CPU_CRYPT,
	CA_OPT_HIGH_PRIORITY,
	CA_OPT_SUBMIT_FROM_CRYPT_CPUS,
	CA_OPT_NO_READ_WORKQUEUE,
	CA_OPT_NO_WRITE_WORKQUEUE,
	CA_OPT_INTEGRITY,
	CA_OPT_SECTOR_SIZE,
	CA_OPT_IV_LARGE_SECTORS,
	CA_OPT_INTEGRITY_KEY_SIZE,
};

/*
 * Whether a word begins as a decimal number: kstrtouint() and the like would take a plus as well.
 */
static inline bool ca_is_number(const char *s)
{
	return isdigit(*s);
}

/* Whether a table line can hold @s as it is: words end at spaces, and backslashes vanish. */
static inline bool ca_is_word(const char *s)
{
	while (*s && *s != '\\' && !isspace(*s))
		s++;
	return !*s;
}

const char *ca_table_options(struct ca_device *ca, struct dm_arg_set *as);
unsigned int ca_table_emit(struct ca_device *ca, char *result, unsigned int maxlen);
unsigned int ca_table_measure(const struct ca_device *ca, char *result, unsigned int maxlen);

#endif /* CA_TABLE_H */
