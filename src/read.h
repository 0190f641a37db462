/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads: read into the base bio, split, converted in place. */
#ifndef CA_READ_H
#define CA_READ_H

struct ca_base;

void ca_read_start(struct ca_base *base);

#endif /* CA_READ_H */
