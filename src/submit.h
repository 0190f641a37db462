/* SPDX-License-Identifier: GPL-2.0-only */
/* Submission: converted write fragments go to the lower device, and come back from it. */
#ifndef CA_SUBMIT_H
#define CA_SUBMIT_H

#include <linux/types.h>

struct ca_base;
struct dm_crypt_io;

/* Submits in this task; has a worker of this CPU submit; or ends the fragment with an error. */
void ca_submit_write(struct dm_crypt_io *io);
void ca_submit_queue(struct dm_crypt_io *io);
void ca_submit_drop(struct dm_crypt_io *io, bool clear);
/* Once for each base of several fragments, before these. */
void ca_submit_account(struct ca_base *base);

#endif /* CA_SUBMIT_H */
