/* SPDX-License-Identifier: GPL-2.0-only */
/* The IV generator lmk, of loop-AES. */
#ifndef CA_IV_LMK_H
#define CA_IV_LMK_H

#include "iv.h"

extern const struct ca_iv_ops ca_iv_lmk;

#endif /* CA_IV_LMK_H */
