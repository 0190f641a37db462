/* SPDX-License-Identifier: GPL-2.0-only */
/* The IV generators without a state of their own, and operations that do nothing. */
#ifndef CA_IV_SIMPLE_H
#define CA_IV_SIMPLE_H

#include <linux/string.h>
#include <linux/types.h>

#include "iv.h"

struct ca_cipher;
struct ca_device;

extern const struct ca_iv_ops ca_iv_none;
extern const struct ca_iv_ops *const ca_iv_simple[];
extern const unsigned int ca_iv_simple_count;

/* Operations that do nothing, for generators without state, key or use for the data. */
const char *ca_iv_init_nothing(struct ca_device *ca, const char *opts, int *err);
void ca_iv_exit_nothing(struct ca_cipher *cipher);
int ca_iv_set_no_key(struct ca_cipher *cipher);
void ca_iv_wipe_nothing(struct ca_cipher *cipher);
int ca_iv_finish_nothing(const struct ca_device *ca, struct ca_unit *unit, int err);

int ca_iv_generate_plain64(const struct ca_device *ca, struct ca_unit *unit);

/**
 * ca_iv_put_plain64() - the IV of plain64, for the hot path, which has no time for an indirect call
 * @iv: the place for it
 * @size: bytes there, at least 8
 * @sector: the number that it is made of
 */
static inline void ca_iv_put_plain64(u8 *iv, unsigned int size, u64 sector)
{
	if (size == 2 * sizeof(u64))
		memset(iv + sizeof(u64), 0, sizeof(u64));
	else
		memset(iv, 0, size);
	put_unaligned_le64(sector, iv);
}

#endif /* CA_IV_SIMPLE_H */
