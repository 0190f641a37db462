/* SPDX-License-Identifier: GPL-2.0-only */
/* Joining: neighbouring write fragments of different bios go to the lower device as one bio. */
#ifndef CA_JOIN_H
#define CA_JOIN_H

struct bio;
struct dm_crypt_io;
struct list_head;

struct bio *ca_join(struct dm_crypt_io *first, struct list_head *list);

#endif /* CA_JOIN_H */
