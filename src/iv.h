/* SPDX-License-Identifier: GPL-2.0-only */
/* IV generators: the interface of one, and the choice of one by name. */
#ifndef CA_IV_H
#define CA_IV_H

#include <linux/types.h>

struct ca_cipher;
struct ca_device;

/**
 * struct ca_unit - a unit as an IV generator sees it
 * @iv: the place for the IV, ca_cipher.iv_size bytes
 * @sector: the unit's first sector plus iv_offset, in units if iv_large_sectors
 * @is_write: the unit is about to be encrypted, or has been
 * @data: its bytes, for a generator that looks at them; else NULL
 * @scratch: ca_iv_ops.scratch bytes that stay from @generate to @finish
 */
struct ca_unit {
	u8 *iv;
	u64 sector;
	bool is_write;
	u8 *data;
	u8 *scratch;
};

/**
 * struct ca_iv_ops - one IV generator
 * @name: as in the table line, between the mode and the options
 * @looks_at_data: @generate and @finish read or change the unit's bytes. Then these lie in one
 *	piece, and a write is converted in place, in its bounce page
 * @scratch: bytes for each unit
 * @init: checks the options and the cipher, takes its part of the key's bytes (ca_key.parts,
 *	ca_key.extra) and allocates ca_cipher.iv_state; @opts is NULL if the table line has none.
 *	Return: NULL, or an error text for the user with @err set; then nothing is left to undo
 * @exit: undoes that, the key already wiped
 * @set_key: takes its part of ca_cipher.key. Return: 0 or a negative errno
 * @wipe: forgets it
 * @generate: writes the IV, before the unit is converted; any context but hard interrupt, only task
 *	if @looks_at_data. Return: 0 or a negative errno
 * @finish: called, if @looks_at_data, when the conversion of a unit is over for which @generate
 *	succeeded; @err is the outcome, 0 or a negative errno. Any context. Return: @err, or the
 *	generator's own error
 *
 * Formats: Documentation/admin-guide/device-mapper/dm-crypt.rst. None of the operations is NULL.
 */
struct ca_iv_ops {
	const char *name;
	bool looks_at_data;
	unsigned int scratch;
	const char *(*init)(struct ca_device *ca, const char *opts, int *err);
	void (*exit)(struct ca_cipher *cipher);
	int (*set_key)(struct ca_cipher *cipher);
	void (*wipe)(struct ca_cipher *cipher);
	int (*generate)(const struct ca_device *ca, struct ca_unit *unit);
	int (*finish)(const struct ca_device *ca, struct ca_unit *unit, int err);
};

const char *ca_iv_init(struct ca_device *ca, const char *mode, const char *opts, int *err);

#endif /* CA_IV_H */
