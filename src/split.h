/* SPDX-License-Identifier: GPL-2.0-only */
/* Splitting: a base bio's fragments are split off one by one, and converted here or handed out. */
#ifndef CA_SPLIT_H
#define CA_SPLIT_H

#include <linux/atomic.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "decide.h"

struct ca_base;
struct dm_crypt_io;

/**
 * struct ca_split - the splitters of a device
 * @waiting: base bios that a splitter on split_wq or meta_wq has, or will have, since memory was
 *	short
 */
struct ca_split {
	atomic_t waiting;
};

/* Whether a splitter, when it has split all, also converts fragments that no worker has begun. */
static inline bool ca_split_helps_out(enum ca_caller caller)
{
	return caller == CA_FROM_MAP || caller == CA_FROM_SUBMITTER;
}

void ca_split_take(struct dm_crypt_io *io, unsigned int bytes);
void ca_split_convert_in_softirq(struct dm_crypt_io *io, u64 begun);
void ca_split_dispatch(struct dm_crypt_io *io, enum ca_caller caller, bool more, bool helps);
bool ca_split_help_out(struct ca_base *base, enum ca_caller caller);
void ca_split_defer(struct ca_base *base, work_func_t work);

#endif /* CA_SPLIT_H */
