/* SPDX-License-Identifier: GPL-2.0-only */
/* Rechecks: a read that failed in the cipher is read again, unit by unit. */
#ifndef CA_RECHECK_H
#define CA_RECHECK_H

struct ca_base;

void ca_recheck_start(struct ca_base *base);
void ca_recheck_bounce(struct ca_base *base);

#endif /* CA_RECHECK_H */
