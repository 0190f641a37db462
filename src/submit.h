/* SPDX-License-Identifier: GPL-2.0-only */
/* Submission: converted write fragments go to the lower device, and come back from it. */
#ifndef CA_SUBMIT_H
#define CA_SUBMIT_H

#include <linux/types.h>

struct dm_crypt_io;
struct list_head;

/*
 * Submits the caller's own write; submits any write, and may wait, or a list of them; ends
 * one with an error.
 */
void ca_submit_own(struct dm_crypt_io *io);
void ca_submit_write(struct dm_crypt_io *io);
void ca_submit_list(struct list_head *list);
void ca_submit_drop(struct dm_crypt_io *io, bool clear);

#endif /* CA_SUBMIT_H */
