// SPDX-License-Identifier: GPL-2.0-only
/* The choice of an IV generator by its name in the table line. */
#include "iv.h"

#include <linux/string.h>

#include "../dm-crypt-async.h"
#include "cipher.h"
#include "iv_bitlocker.h"
#include "iv_lmk.h"
#include "iv_simple.h"
#include "iv_tcw.h"

static const struct ca_iv_ops *const special[] = {
	&ca_iv_lmk, &ca_iv_tcw, &ca_iv_eboiv, &ca_iv_elephant,
};

static const struct ca_iv_ops *find_in(const struct ca_iv_ops *const *list, unsigned int count,
				       const char *mode)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!strcmp(mode, list[i]->name))
			return list[i];
	return NULL;
}

/**
 * ca_iv_init() - chooses the IV generator
 * @ca: the device, with its transforms allocated and the size of their IV known
 * @mode: the generator's name, NULL if the table line has none
 * @opts: its options, NULL if the table line has none
 * @err: the errno that goes with the result
 *
 * A cipher that takes an IV must be given a generator: with none the IV would be whatever memory
 * held. A generator for a cipher that takes no IV is not used (as with dm-crypt,
 * "aes-ecb-plain64" is the same as "aes-ecb").
 *
 * Return: NULL, or what is wrong, for the user; then nothing is left to undo.
 */
const char *ca_iv_init(struct ca_device *ca, const char *mode, const char *opts, int *err)
{
	struct ca_cipher *cipher = &ca->cipher;

	*err = -EINVAL;
	cipher->iv_ops = &ca_iv_none;
	if (!cipher->iv_size)
		return NULL;
	if (!mode)
		return "cipher: needs an IV generator, such as plain64";

	cipher->iv_ops = find_in(ca_iv_simple, ca_iv_simple_count, mode) ?:
			 find_in(special, ARRAY_SIZE(special), mode);
	if (!cipher->iv_ops)
		return "cipher: unknown IV generator";
	return cipher->iv_ops->init(ca, opts, err);
}
