/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a read or write begins. */
#ifndef CA_MAP_H
#define CA_MAP_H

struct bio;
struct ca_device;

void ca_map(struct ca_device *ca, struct bio *bio);

#endif /* CA_MAP_H */
