/* SPDX-License-Identifier: GPL-2.0-only */
/* Bounce pages: the memory in which ciphertext goes to the lower device. */
#ifndef CA_PAGES_H
#define CA_PAGES_H

#include <linux/bvec.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "account.h"

struct page;

/**
 * struct ca_bounce - the bounce pages of one write fragment, which owns them
 * @vecs: the list
 * @count: entries; blocks of pages have one
 * @bytes: bytes of them that are used
 */
struct ca_bounce {
	struct bio_vec *vecs;
	unsigned int count;
	unsigned int bytes;
};

/**
 * struct ca_pages - a device's bounce pages
 * @reserve: pages that it always holds; immutable after ctr
 * @account: how many it may hold
 * @pool: the reserve. The last resource that a splitter waits for, see write.c
 * @linger_lock: protects @lingering, any context
 * @lingering: pages of the reserve that somebody else holds, and for which there was no other page;
 *	each has the next one as its private data
 * @linger_work: looks at them again
 * @atomic_write_lock: held by a splitter that waits for pages while it holds some, since its write
 *	must not be split
 */
struct ca_pages {
	unsigned int reserve;
	struct ca_account account;
	mempool_t pool;
	spinlock_t linger_lock;	/* see above */
	struct page *lingering;
	struct delayed_work linger_work;
	struct mutex atomic_write_lock;	/* see above */
};

int ca_pages_init(struct ca_pages *pages);
void ca_pages_exit(struct ca_pages *pages);
bool ca_pages_fill(struct ca_pages *pages, struct ca_bounce *bounce, unsigned int bytes,
		   bool may_wait);
bool ca_pages_fill_all(struct ca_pages *pages, struct ca_bounce *bounce, unsigned int bytes,
		       bool may_wait);
void ca_pages_free(struct ca_pages *pages, struct ca_bounce *bounce, bool clear);
unsigned int ca_pages_max_atomic_bytes(const struct ca_pages *pages);
void ca_pages_set_limit(struct ca_pages *pages, unsigned int limit);

#endif /* CA_PAGES_H */
