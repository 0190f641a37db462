/* SPDX-License-Identifier: GPL-2.0-only */
/* Accounting, which the device mapper does once for each of its bios, and the control group. */
#ifndef CA_CHARGE_H
#define CA_CHARGE_H

struct ca_base;

void ca_charge_start(struct ca_base *base);

#endif /* CA_CHARGE_H */
