/* SPDX-License-Identifier: GPL-2.0-only */
/* Bounce pages: the memory in which ciphertext goes to the lower device. */
#ifndef CA_PAGES_H
#define CA_PAGES_H

#include <linux/atomic.h>
#include <linux/bvec.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/types.h>

struct ca_magazine;

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
 * @limit: pages that it may hold, the reserve included; messages change it, readers take it once
 * @pool: the reserve. The last resource that a splitter waits for, see write.c
 * @held: pages taken from the allocator
 * @giver: the CPU that gave pages back last, whose magazine serves a CPU with an empty one; a guess
 *	that anybody may change
 * @magazines: for each CPU, pages that wait for the next write
 * @shrinker: takes them away
 * @atomic_write_lock: held by a splitter that waits for pages while it holds some, since its write
 *	must not be split
 */
struct ca_pages {
	unsigned int reserve;
	unsigned int limit;
	mempool_t pool;
	atomic_t held;
	unsigned int giver;
	struct ca_magazine __percpu *magazines;
	struct ca_shrinker shrinker;
	struct mutex atomic_write_lock;	/* see above */
};

int ca_pages_init(struct ca_pages *pages, const char *name);
void ca_pages_exit(struct ca_pages *pages);
bool ca_pages_fill(struct ca_pages *pages, struct ca_bounce *bounce, unsigned int bytes,
		   bool may_wait);
bool ca_pages_fill_all(struct ca_pages *pages, struct ca_bounce *bounce, unsigned int bytes,
		       bool may_wait);
void ca_pages_free(struct ca_pages *pages, struct ca_bounce *bounce, bool clear);
unsigned int ca_pages_max_atomic_bytes(const struct ca_pages *pages);
unsigned int ca_pages_cached(const struct ca_pages *pages);
void ca_pages_set_limit(struct ca_pages *pages, unsigned int limit);
void ca_pages_trim(struct ca_pages *pages);

#endif /* CA_PAGES_H */
