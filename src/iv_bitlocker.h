/* SPDX-License-Identifier: GPL-2.0-only */
/* The IV generators of BitLocker: eboiv, and elephant with its diffuser. */
#ifndef CA_IV_BITLOCKER_H
#define CA_IV_BITLOCKER_H

#include "iv.h"

extern const struct ca_iv_ops ca_iv_eboiv;
extern const struct ca_iv_ops ca_iv_elephant;

#endif /* CA_IV_BITLOCKER_H */
