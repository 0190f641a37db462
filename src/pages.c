// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounce pages: ciphertext on its way to the lower device. A write is never encrypted in place,
 * since the memory is the writer's.
 *
 * A device holds pages up to a limit, single ones and blocks of BLOCK_PAGES. Pages that a write
 * gives back stay in a magazine of its CPU and serve the next write as they are: clearing pages and
 * asking the allocator costs more than the conversion of a small write. The kernel takes pages out
 * of the magazines when it needs memory.
 *
 * Some single pages are the device's reserve, a mempool, which is filled up before any magazine and
 * never goes back to the allocator. So the first page of a fragment, for which a splitter may wait,
 * always comes: the fragments that hold the reserve end without needing another page.
 */
#include "pages.h"

#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/spinlock.h>

/*
 * The share of memory that one device may hold as bounce pages, in percent; dm-crypt's is for all
 * of its devices together.
 */
#define LIMIT_PERCENT	2

#define BLOCK_PAGES	16
#define BLOCK_ORDER	ilog2(BLOCK_PAGES)
#define BLOCK_BYTES	(BLOCK_PAGES * PAGE_SIZE)

static unsigned int page_reserve = BIO_MAX_VECS;
module_param(page_reserve, uint, 0644);
MODULE_PARM_DESC(page_reserve, "Bounce pages that a new device holds in reserve, at least 1");

static unsigned int page_limit;
module_param(page_limit, uint, 0644);
MODULE_PARM_DESC(page_limit,
		 "Bounce pages that a new device may hold with its reserve, 0 for 2% of memory");

/* Capacity of a magazine. */
#define SINGLES		64
#define BLOCKS		16

/**
 * struct ca_magazine - pages that wait for the next write on a CPU
 * @lock: protects the rest, any context; another CPU takes it when its own magazine is empty. The
 *	status line reads the counts without it
 * @singles: single pages in it
 * @blocks: blocks in it
 * @single: the pages
 * @block: the first pages of blocks
 */
struct ca_magazine {
	spinlock_t lock;	/* see above */
	unsigned int singles;
	unsigned int blocks;
	struct page *single[SINGLES];
	struct page *block[BLOCKS];
};

/* ------------------------------------------------------------------------ the allocator */

/* Return: whether the device may hold @count more pages; then they count as held. */
static bool reserve_pages(struct ca_pages *pages, unsigned int count)
{
	if (atomic_add_return(count, &pages->held) <= READ_ONCE(pages->limit))
		return true;
	atomic_sub(count, &pages->held);
	return false;
}

static struct page *allocate(struct ca_pages *pages, gfp_t gfp, unsigned int order)
{
	struct page *page;

	if (!reserve_pages(pages, 1 << order))
		return NULL;
	page = alloc_pages(gfp, order);
	if (!page)
		atomic_sub(1 << order, &pages->held);
	return page;
}

static void release(struct ca_pages *pages, struct page *page, unsigned int order)
{
	__free_pages(page, order);
	atomic_sub(1 << order, &pages->held);
}

static void *allocate_reserve(gfp_t gfp, void *data)
{
	return allocate(data, gfp, 0);
}

static void release_reserve(void *page, void *data)
{
	release(data, page, 0);
}

/* ------------------------------------------------------------------------ the magazines */

static struct page *take(struct ca_magazine *magazine, bool block)
{
	struct page *page = NULL;
	unsigned long flags;

	spin_lock_irqsave(&magazine->lock, flags);
	if (block && magazine->blocks)
		page = magazine->block[--magazine->blocks];
	else if (!block && magazine->singles)
		page = magazine->single[--magazine->singles];
	spin_unlock_irqrestore(&magazine->lock, flags);
	return page;
}

/* From this CPU's magazine, or from that of the CPU which gave back a page last. */
static struct page *take_any(struct ca_pages *pages, bool block)
{
	unsigned int giver = READ_ONCE(pages->giver);
	struct page *page;

	page = take(raw_cpu_ptr(pages->magazines), block);
	if (!page && giver != raw_smp_processor_id())
		page = take(per_cpu_ptr(pages->magazines, giver), block);
	return page;
}

/* Puts a page or block into this CPU's magazine. Return: whether there was room. */
static bool keep(struct ca_pages *pages, struct page *page, bool block)
{
	struct ca_magazine *magazine = raw_cpu_ptr(pages->magazines);
	unsigned int cpu = raw_smp_processor_id();
	unsigned long flags;
	bool kept = true;

	if (atomic_read(&pages->held) > READ_ONCE(pages->limit))
		return false;
	spin_lock_irqsave(&magazine->lock, flags);
	if (block && magazine->blocks < BLOCKS)
		magazine->block[magazine->blocks++] = page;
	else if (!block && magazine->singles < SINGLES)
		magazine->single[magazine->singles++] = page;
	else
		kept = false;
	spin_unlock_irqrestore(&magazine->lock, flags);
	if (READ_ONCE(pages->giver) != cpu)
		WRITE_ONCE(pages->giver, cpu);
	return kept;
}

/* Gives pages of a magazine back, at least @max if it has as many. Return: how many. */
static unsigned int empty(struct ca_pages *pages, struct ca_magazine *magazine, unsigned int max)
{
	unsigned int count = 0;
	struct page *page;

	while (count < max && (page = take(magazine, true))) {
		release(pages, page, BLOCK_ORDER);
		count += BLOCK_PAGES;
	}
	while (count < max && (page = take(magazine, false))) {
		release(pages, page, 0);
		count++;
	}
	return count;
}

/**
 * ca_pages_cached() - how many pages wait in magazines
 * @pages: the device's
 *
 * Return: their number; approximate on a running device, since CPUs are summed without locking.
 */
unsigned int ca_pages_cached(const struct ca_pages *pages)
{
	unsigned int count = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct ca_magazine *magazine = per_cpu_ptr(pages->magazines, cpu);

		/* For the status line, and for the shrinker, which asks for an estimate. */
		count += data_race(magazine->singles) + data_race(magazine->blocks) * BLOCK_PAGES;
	}
	return count;
}

/* Gives cached pages back to the allocator. Return: how many. */
static unsigned int give_back(struct ca_pages *pages, unsigned int max)
{
	unsigned int count = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		if (count >= max)
			break;
		count += empty(pages, per_cpu_ptr(pages->magazines, cpu), max - count);
	}
	return count;
}

static unsigned long count_for_shrinker(struct shrinker *shrinker, struct shrink_control *sc)
{
	return ca_pages_cached(ca_shrinker_data(shrinker)) ?: SHRINK_EMPTY;
}

static unsigned long scan_for_shrinker(struct shrinker *shrinker, struct shrink_control *sc)
{
	return give_back(ca_shrinker_data(shrinker), sc->nr_to_scan);
}

/* ----------------------------------------------------------------------------- the device */

/**
 * ca_pages_init() - sets up a device's bounce pages
 * @pages: the device's
 * @name: the device's, for the shrinker
 *
 * Return: 0 or -ENOMEM.
 */
int ca_pages_init(struct ca_pages *pages, const char *name)
{
	int cpu;
	int err;

	mutex_init(&pages->atomic_write_lock);
	atomic_set(&pages->held, 0);
	pages->reserve = clamp(page_reserve, 1U, 1U << 16);
	ca_pages_set_limit(pages, 0);

	pages->magazines = alloc_percpu(struct ca_magazine);
	if (!pages->magazines)
		return -ENOMEM;
	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(cpu)
		spin_lock_init(&per_cpu_ptr(pages->magazines, cpu)->lock);
	err = mempool_init(&pages->pool, pages->reserve, allocate_reserve, release_reserve,
			   pages);
	if (err)
		goto free_magazines;
	err = ca_shrinker_add(&pages->shrinker, pages, count_for_shrinker, scan_for_shrinker,
			      name);
	if (err)
		goto free_reserve;
	return 0;

free_reserve:
	mempool_exit(&pages->pool);
free_magazines:
	free_percpu(pages->magazines);
	return err;
}

/**
 * ca_pages_exit() - gives all pages back
 * @pages: the device's, with no fragment in flight
 */
void ca_pages_exit(struct ca_pages *pages)
{
	ca_shrinker_del(&pages->shrinker);
	give_back(pages, UINT_MAX);
	mempool_exit(&pages->pool);
	free_percpu(pages->magazines);
}

/**
 * ca_pages_set_limit() - sets how many pages the device may hold
 * @pages: the device's
 * @limit: pages, 0 for the default; no less than the reserve
 */
void ca_pages_set_limit(struct ca_pages *pages, unsigned int limit)
{
	/* No bounce page comes from the high memory of 32-bit machines. */
	unsigned long memory = totalram_pages() - totalhigh_pages();
	unsigned long wanted = limit ?: page_limit ?: memory * LIMIT_PERCENT / 100;

	WRITE_ONCE(pages->limit, clamp_t(unsigned long, wanted, pages->reserve, INT_MAX / 2));
}

/**
 * ca_pages_trim() - gives back cached pages beyond the limit
 * @pages: the device's
 */
void ca_pages_trim(struct ca_pages *pages)
{
	int beyond = atomic_read(&pages->held) - (int)READ_ONCE(pages->limit);

	if (beyond > 0)
		give_back(pages, beyond);
}

/* ------------------------------------------------------------------------------ fragments */

/* A block, if that is at hand; never from memory that the kernel keeps for emergencies. */
static struct page *get_block(struct ca_pages *pages)
{
	return take_any(pages, true) ?:
	       allocate(pages, __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN | __GFP_COMP,
			BLOCK_ORDER);
}

static struct page *get_single(struct ca_pages *pages, gfp_t gfp)
{
	struct page *page = take_any(pages, false);

	if (page)
		return page;
	/* Pages in other CPUs' magazines may have used up the limit. */
	if (!READ_ONCE(pages->pool.curr_nr) &&
	    atomic_read(&pages->held) >= READ_ONCE(pages->limit))
		give_back(pages, BLOCK_PAGES);
	return mempool_alloc(&pages->pool, gfp);
}

static void add_page(struct ca_bounce *bounce, struct page *page, unsigned int bytes)
{
	bvec_set_page(&bounce->vecs[bounce->count++], page, bytes, 0);
	bounce->bytes += bytes;
}

/* Adds a block or a page. Return: whether there was one. */
static bool add_bounce(struct ca_pages *pages, struct ca_bounce *bounce, unsigned int wanted,
		       gfp_t gfp)
{
	unsigned int rest = wanted - bounce->bytes;
	struct page *page;

	if (rest > BLOCK_BYTES / 2) {
		page = get_block(pages);
		if (page) {
			add_page(bounce, page, min_t(unsigned int, rest, BLOCK_BYTES));
			return true;
		}
	}
	page = get_single(pages, gfp);
	if (page)
		add_page(bounce, page, min_t(unsigned int, rest, PAGE_SIZE));
	return page;
}

/**
 * ca_pages_fill() - gives a write fragment its pages
 * @pages: the device's
 * @bounce: empty, with room for @bytes in single pages
 * @bytes: bytes wanted, a multiple of the unit
 * @may_wait: wait for the first page; for the others ca_pages_fill_all() waits
 *
 * Context: Task if @may_wait, else any.
 * Return: whether there is at least one page. @bounce then says how far they reach, which may be
 * less than @bytes.
 */
bool ca_pages_fill(struct ca_pages *pages, struct ca_bounce *bounce, unsigned int bytes,
		   bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;

	while (bounce->bytes < bytes && add_bounce(pages, bounce, bytes, gfp))
		gfp = GFP_NOWAIT | __GFP_NOWARN;
	return bounce->count;
}

/**
 * ca_pages_fill_all() - gives a write fragment all of its pages, if it must not be split
 * @pages: the device's
 * @bounce: empty, with room for @bytes in single pages
 * @bytes: bytes wanted; if @may_wait no more than the reserve (ca_pages_max_atomic_bytes())
 * @may_wait: wait for them. One caller at a time waits while it holds some: no two callers can each
 *	hold the pages that the other needs, and any other holder ends without another page
 *
 * Context: Task if @may_wait, else any.
 * Return: whether all are there; if not, there is none.
 */
bool ca_pages_fill_all(struct ca_pages *pages, struct ca_bounce *bounce, unsigned int bytes,
		       bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;

	if (may_wait)
		mutex_lock(&pages->atomic_write_lock);
	while (bounce->bytes < bytes && add_bounce(pages, bounce, bytes, gfp))
		;
	if (may_wait)
		mutex_unlock(&pages->atomic_write_lock);
	if (bounce->bytes == bytes)
		return true;
	ca_pages_free(pages, bounce, false);
	return false;
}

/**
 * ca_pages_max_atomic_bytes() - the largest write that need not be split
 * @pages: the device's
 *
 * Only the reserve is guaranteed.
 *
 * Return: bytes.
 */
unsigned int ca_pages_max_atomic_bytes(const struct ca_pages *pages)
{
	return min_t(unsigned int, pages->reserve, BIO_MAX_VECS) * PAGE_SIZE;
}

/* The reserve comes first: a splitter may wait for it. */
static void put_page_back(struct ca_pages *pages, struct page *page, unsigned int order)
{
	if (order) {
		if (!keep(pages, page, true))
			release(pages, page, order);
		return;
	}
	/*
	 * As in mempool_free(): the thread that took this page from the reserve lowered curr_nr
	 * first.
	 */
	smp_rmb();
	if (READ_ONCE(pages->pool.curr_nr) < pages->pool.min_nr || !keep(pages, page, false))
		mempool_free(page, &pages->pool);
}

/**
 * ca_pages_free() - takes a write fragment's pages back
 * @pages: the device's
 * @bounce: the pages; empty afterwards
 * @clear: its encryption failed half way, so that the pages may hold anything
 *
 * Context: Any.
 */
void ca_pages_free(struct ca_pages *pages, struct ca_bounce *bounce, bool clear)
{
	unsigned int i;

	for (i = 0; i < bounce->count; i++) {
		struct page *page = bounce->vecs[i].bv_page;
		unsigned int order = compound_order(page);
		unsigned int j;

		for (j = 0; clear && j < 1 << order; j++)
			clear_highpage(page + j);
		put_page_back(pages, page, order);
	}
	bounce->count = 0;
	bounce->bytes = 0;
}
