/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes: split, converted into bounce pages, and these are written. */
#ifndef CA_WRITE_H
#define CA_WRITE_H

struct ca_base;

void ca_write_start(struct ca_base *base);

#endif /* CA_WRITE_H */
