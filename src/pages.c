// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounce pages: ciphertext on its way to the device below. A write is never encrypted in place,
 * since the memory is the writer's.
 *
 * A device holds pages up to a limit. Some of them are its reserve, which never goes back to the
 * allocator: so the first page of a fragment, for which a cutter may wait, always comes, since the
 * fragments that hold the reserve end without needing another.
 */
#include "dm-crypt-async.h"

#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>

/*
 * Share of memory that one device may hold as bounce pages, in percent; dm-crypt's figure is for
 * all of its devices.
 */
#define LIMIT_PERCENT	2

static unsigned int page_reserve = BIO_MAX_VECS;
module_param(page_reserve, uint, 0644);
MODULE_PARM_DESC(page_reserve, "Bounce pages that a new device holds in reserve, at least 1");

static unsigned int page_limit;
module_param(page_limit, uint, 0644);
MODULE_PARM_DESC(page_limit,
		 "Bounce pages that a new device may hold, the reserve included, 0 for 2% of memory");

static void *alloc_page_counted(gfp_t gfp, void *data)
{
	struct ca_device *ca = data;
	struct page *page;

	if (atomic_inc_return(&ca->pages_used) > ca->page_limit)
		goto undo;
	page = alloc_page(gfp);
	if (page)
		return page;
undo:
	atomic_dec(&ca->pages_used);
	return NULL;
}

static void free_page_counted(void *page, void *data)
{
	struct ca_device *ca = data;

	__free_page(page);
	atomic_dec(&ca->pages_used);
}

/**
 * ca_pages_init() - sets up a device's bounce pages
 * @ca: the device
 *
 * Return: 0 or -ENOMEM.
 */
int ca_pages_init(struct ca_device *ca)
{
	unsigned int reserve = clamp(page_reserve, 1U, 1U << 16);
	unsigned long limit = page_limit ?: totalram_pages() * LIMIT_PERCENT / 100;

	mutex_init(&ca->whole_lock);
	atomic_set(&ca->pages_used, 0);
	ca->page_limit = clamp_t(unsigned long, limit, reserve, INT_MAX / 2);
	return mempool_init(&ca->pages, reserve, alloc_page_counted, free_page_counted, ca);
}

/**
 * ca_pages_exit() - gives the reserve back
 * @ca: the device, with no fragment in flight
 */
void ca_pages_exit(struct ca_device *ca)
{
	mempool_exit(&ca->pages);
}

/**
 * ca_pages_fill() - gives a write clone its pages
 * @ca: the device
 * @clone: an empty bio with room for @bytes in pages
 * @bytes: what is wanted, a multiple of the unit
 * @may_wait: wait for the first page; for the others ca_pages_fill_all() waits
 *
 * Context: Task if @may_wait, else any.
 * Return: whether there is at least one page. The clone's bi_size then says how far they reach,
 * which may be less than @bytes.
 */
bool ca_pages_fill(struct ca_device *ca, struct bio *clone, unsigned int bytes, bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;

	while (clone->bi_iter.bi_size < bytes) {
		unsigned int rest = bytes - clone->bi_iter.bi_size;
		struct page *page = mempool_alloc(&ca->pages, gfp);

		if (!page)
			break;
		__bio_add_page(clone, page, min_t(unsigned int, rest, PAGE_SIZE), 0);
		gfp = GFP_NOWAIT | __GFP_NOWARN;
	}
	return clone->bi_iter.bi_size > 0;
}

/**
 * ca_pages_fill_all() - gives a write clone all of its pages, for a write that must not be cut
 * @ca: the device
 * @clone: an empty bio with room for @bytes in pages
 * @bytes: what is wanted, no more than the limit (ca_pages_most())
 * @may_wait: wait for them. One caller at a time waits while it holds some: no two can hold what
 *	the other needs, and who holds pages otherwise ends without another one
 *
 * Context: Task if @may_wait, else any.
 * Return: whether all are there; if not, the clone has none.
 */
bool ca_pages_fill_all(struct ca_device *ca, struct bio *clone, unsigned int bytes, bool may_wait)
{
	if (may_wait)
		mutex_lock(&ca->whole_lock);
	while (clone->bi_iter.bi_size < bytes) {
		unsigned int rest = bytes - clone->bi_iter.bi_size;
		struct page *page = mempool_alloc(&ca->pages, may_wait ? GFP_NOIO :
						  GFP_NOWAIT | __GFP_NOWARN);

		if (!page) {
			ca_pages_free(ca, clone, false);
			clone->bi_vcnt = 0;
			clone->bi_iter.bi_size = 0;
			break;
		}
		__bio_add_page(clone, page, min_t(unsigned int, rest, PAGE_SIZE), 0);
	}
	if (may_wait)
		mutex_unlock(&ca->whole_lock);
	return clone->bi_iter.bi_size;
}

/**
 * ca_pages_most() - the largest write that need not be cut
 * @ca: the device
 *
 * Return: bytes.
 */
unsigned int ca_pages_most(const struct ca_device *ca)
{
	return min_t(unsigned int, ca->page_limit, BIO_MAX_VECS) * PAGE_SIZE;
}

/**
 * ca_pages_free() - takes a write clone's pages back
 * @ca: the device
 * @clone: the bio
 * @clear: its encryption failed half way, nobody knows what the driver left in the pages
 *
 * Context: Any.
 */
void ca_pages_free(struct ca_device *ca, struct bio *clone, bool clear)
{
	struct bvec_iter_all all;
	struct bio_vec *bv;

	bio_for_each_segment_all(bv, clone, all) {
		if (clear)
			clear_highpage(bv->bv_page);
		mempool_free(bv->bv_page, &ca->pages);
	}
}
