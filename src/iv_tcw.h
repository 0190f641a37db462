/* SPDX-License-Identifier: GPL-2.0-only */
/* The IV generator tcw, of old TrueCrypt. */
#ifndef CA_IV_TCW_H
#define CA_IV_TCW_H

#include "iv.h"

extern const struct ca_iv_ops ca_iv_tcw;

#endif /* CA_IV_TCW_H */
