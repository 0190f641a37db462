// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounce pages: ciphertext on its way to the device below. A write is never encrypted in place,
 * since the memory is the writer's.
 *
 * A device holds pages up to a limit, single ones and blocks of BLOCK_PAGES. What a write gives
 * back stays in a magazine of its CPU and serves the next write as it is: clearing pages and asking
 * the allocator costs more than the conversion of a small write. The kernel takes magazines away
 * when it needs memory.
 *
 * Some single pages are the device's reserve, a mempool, which is filled up before any magazine and
 * never goes back to the allocator: so the first page of a fragment, for which a cutter may wait,
 * always comes, since the fragments that hold the reserve end without needing another.
 */
#include "dm-crypt-async.h"

#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>

/*
 * Share of memory that one device may hold as bounce pages, in percent; dm-crypt's figure is for
 * all of its devices.
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
		 "Bounce pages that a new device may hold, the reserve included, 0 for 2% of memory");

/* What a magazine keeps. */
#define SINGLES		64
#define BLOCKS		16

/**
 * struct ca_magazine - pages that wait for the next write on a CPU
 * @lock: for the rest, any context; another CPU takes it when it finds none. Who shows the counts
 *	does without
 * @singles: how many there are
 * @blocks: the same
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

/* Return: whether the device may hold so many pages more. */
static bool reserve_pages(struct ca_device *ca, unsigned int count)
{
	if (atomic_add_return(count, &ca->pages_held) <= READ_ONCE(ca->page_limit))
		return true;
	atomic_sub(count, &ca->pages_held);
	return false;
}

static struct page *allocate(struct ca_device *ca, gfp_t gfp, unsigned int order)
{
	struct page *page;

	if (!reserve_pages(ca, 1 << order))
		return NULL;
	page = alloc_pages(gfp, order);
	if (!page)
		atomic_sub(1 << order, &ca->pages_held);
	return page;
}

static void release(struct ca_device *ca, struct page *page, unsigned int order)
{
	__free_pages(page, order);
	atomic_sub(1 << order, &ca->pages_held);
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
static struct page *take_any(struct ca_device *ca, bool block)
{
	unsigned int giver = READ_ONCE(ca->pages_giver);
	struct page *page;

	page = take(raw_cpu_ptr(ca->magazines), block);
	if (!page && giver != raw_smp_processor_id())
		page = take(per_cpu_ptr(ca->magazines, giver), block);
	return page;
}

/* Return: whether there was room for it. */
static bool keep(struct ca_device *ca, struct page *page, bool block)
{
	struct ca_magazine *magazine = raw_cpu_ptr(ca->magazines);
	unsigned int cpu = raw_smp_processor_id();
	unsigned long flags;
	bool kept = true;

	if (atomic_read(&ca->pages_held) > READ_ONCE(ca->page_limit))
		return false;
	spin_lock_irqsave(&magazine->lock, flags);
	if (block && magazine->blocks < BLOCKS)
		magazine->block[magazine->blocks++] = page;
	else if (!block && magazine->singles < SINGLES)
		magazine->single[magazine->singles++] = page;
	else
		kept = false;
	spin_unlock_irqrestore(&magazine->lock, flags);
	if (READ_ONCE(ca->pages_giver) != cpu)
		WRITE_ONCE(ca->pages_giver, cpu);
	return kept;
}

static unsigned int empty(struct ca_device *ca, struct ca_magazine *magazine, unsigned int most)
{
	unsigned int count = 0;
	struct page *page;

	while (count < most && (page = take(magazine, true))) {
		release(ca, page, BLOCK_ORDER);
		count += BLOCK_PAGES;
	}
	while (count < most && (page = take(magazine, false))) {
		release(ca, page, 0);
		count++;
	}
	return count;
}

/**
 * ca_pages_cached() - how many pages wait in magazines
 * @ca: the device
 *
 * Return: their number, that of a running device is not a moment's.
 */
unsigned int ca_pages_cached(const struct ca_device *ca)
{
	unsigned int count = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct ca_magazine *magazine = per_cpu_ptr(ca->magazines, cpu);

		/* Only shown, and what the shrinker is told is a guess. */
		count += data_race(magazine->singles) + data_race(magazine->blocks) * BLOCK_PAGES;
	}
	return count;
}

/* Gives cached pages back to the allocator. Return: how many. */
static unsigned int give_back(struct ca_device *ca, unsigned int most)
{
	unsigned int count = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		if (count >= most)
			break;
		count += empty(ca, per_cpu_ptr(ca->magazines, cpu), most - count);
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
 * @ca: the device
 *
 * Return: 0 or -ENOMEM.
 */
int ca_pages_init(struct ca_device *ca)
{
	int cpu;
	int err;

	mutex_init(&ca->whole_lock);
	atomic_set(&ca->pages_held, 0);
	ca->page_reserve = clamp(page_reserve, 1U, 1U << 16);
	ca_pages_set_limit(ca, 0);

	ca->magazines = alloc_percpu(struct ca_magazine);
	if (!ca->magazines)
		return -ENOMEM;
	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(cpu)
		spin_lock_init(&per_cpu_ptr(ca->magazines, cpu)->lock);
	err = mempool_init(&ca->pages, ca->page_reserve, allocate_reserve, release_reserve, ca);
	if (err)
		goto free_magazines;
	err = ca_shrinker_add(&ca->shrinker, ca, count_for_shrinker, scan_for_shrinker,
			      dm_table_device_name(ca->ti->table));
	if (err)
		goto free_reserve;
	return 0;

free_reserve:
	mempool_exit(&ca->pages);
free_magazines:
	free_percpu(ca->magazines);
	return err;
}

/**
 * ca_pages_exit() - gives all pages back
 * @ca: the device, with no fragment in flight
 */
void ca_pages_exit(struct ca_device *ca)
{
	ca_shrinker_del(&ca->shrinker);
	give_back(ca, UINT_MAX);
	mempool_exit(&ca->pages);
	free_percpu(ca->magazines);
}

/**
 * ca_pages_set_limit() - sets how many pages the device may hold
 * @ca: the device
 * @limit: pages, 0 for the default; no less than the reserve
 */
void ca_pages_set_limit(struct ca_device *ca, unsigned int limit)
{
	unsigned long wanted = limit ?: page_limit ?: totalram_pages() * LIMIT_PERCENT / 100;

	WRITE_ONCE(ca->page_limit, clamp_t(unsigned long, wanted, ca->page_reserve, INT_MAX / 2));
}

/**
 * ca_pages_trim() - gives back cached pages beyond the limit
 * @ca: the device
 */
void ca_pages_trim(struct ca_device *ca)
{
	int beyond = atomic_read(&ca->pages_held) - (int)READ_ONCE(ca->page_limit);

	if (beyond > 0)
		give_back(ca, beyond);
}

/* ------------------------------------------------------------------------------ fragments */

/* A block, if that is at hand; it never comes out of what is kept for emergencies. */
static struct page *get_block(struct ca_device *ca)
{
	return take_any(ca, true) ?:
	       allocate(ca, __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN | __GFP_COMP,
			BLOCK_ORDER);
}

static struct page *get_single(struct ca_device *ca, gfp_t gfp)
{
	struct page *page = take_any(ca, false);

	if (page)
		return page;
	/* Pages that wait on other CPUs may be what the limit is used up by. */
	if (!READ_ONCE(ca->pages.curr_nr) &&
	    atomic_read(&ca->pages_held) >= READ_ONCE(ca->page_limit))
		give_back(ca, BLOCK_PAGES);
	return mempool_alloc(&ca->pages, gfp);
}

static void add_page(struct ca_bounce *bounce, struct page *page, unsigned int bytes)
{
	bvec_set_page(&bounce->vecs[bounce->count++], page, bytes, 0);
	bounce->bytes += bytes;
}

/* Adds a block or a page. Return: whether there was one. */
static bool add_bounce(struct ca_device *ca, struct ca_bounce *bounce, unsigned int wanted,
		       gfp_t gfp)
{
	unsigned int rest = wanted - bounce->bytes;
	struct page *page;

	if (rest > BLOCK_BYTES / 2) {
		page = get_block(ca);
		if (page) {
			add_page(bounce, page, min_t(unsigned int, rest, BLOCK_BYTES));
			return true;
		}
	}
	page = get_single(ca, gfp);
	if (page)
		add_page(bounce, page, min_t(unsigned int, rest, PAGE_SIZE));
	return page;
}

/**
 * ca_pages_fill() - gives a write fragment its pages
 * @ca: the device
 * @bounce: empty, with room for @bytes in single pages
 * @bytes: what is wanted, a multiple of the unit
 * @may_wait: wait for the first page; for the others ca_pages_fill_all() waits
 *
 * Context: Task if @may_wait, else any.
 * Return: whether there is at least one page. @bounce then says how far they reach, which may be
 * less than @bytes.
 */
bool ca_pages_fill(struct ca_device *ca, struct ca_bounce *bounce, unsigned int bytes,
		   bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;

	while (bounce->bytes < bytes && add_bounce(ca, bounce, bytes, gfp))
		gfp = GFP_NOWAIT | __GFP_NOWARN;
	return bounce->count;
}

/**
 * ca_pages_fill_all() - gives a write fragment all of its pages, if it must not be cut
 * @ca: the device
 * @bounce: empty, with room for @bytes in single pages
 * @bytes: what is wanted; if @may_wait no more than the reserve (ca_pages_most())
 * @may_wait: wait for them. One caller at a time waits while it holds some: no two can hold what
 *	the other needs, and who holds pages otherwise ends without another one
 *
 * Context: Task if @may_wait, else any.
 * Return: whether all are there; if not, there is none.
 */
bool ca_pages_fill_all(struct ca_device *ca, struct ca_bounce *bounce, unsigned int bytes,
		       bool may_wait)
{
	gfp_t gfp = may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;

	if (may_wait)
		mutex_lock(&ca->whole_lock);
	while (bounce->bytes < bytes && add_bounce(ca, bounce, bytes, gfp))
		;
	if (may_wait)
		mutex_unlock(&ca->whole_lock);
	if (bounce->bytes == bytes)
		return true;
	ca_pages_free(ca, bounce, false);
	return false;
}

/**
 * ca_pages_most() - the largest write that need not be cut
 * @ca: the device
 *
 * Others than the reserve are not promised to come.
 *
 * Return: bytes.
 */
unsigned int ca_pages_most(const struct ca_device *ca)
{
	return min_t(unsigned int, ca->page_reserve, BIO_MAX_VECS) * PAGE_SIZE;
}

static void clear_pages_of(struct page *page, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < 1 << order; i++)
		clear_highpage(page + i);
}

/* The reserve comes first: somebody may wait for it. */
static void put(struct ca_device *ca, struct page *page, unsigned int order)
{
	if (order) {
		if (!keep(ca, page, true))
			release(ca, page, order);
		return;
	}
	/* As in mempool_free(): who got this page from the reserve made curr_nr fall before. */
	smp_rmb();
	if (READ_ONCE(ca->pages.curr_nr) < ca->pages.min_nr || !keep(ca, page, false))
		mempool_free(page, &ca->pages);
}

/**
 * ca_pages_free() - takes a write fragment's pages back
 * @ca: the device
 * @bounce: the pages; empty afterwards
 * @clear: its encryption failed half way, nobody knows what the driver left in the pages
 *
 * Context: Any.
 */
void ca_pages_free(struct ca_device *ca, struct ca_bounce *bounce, bool clear)
{
	unsigned int i;

	for (i = 0; i < bounce->count; i++) {
		struct page *page = bounce->vecs[i].bv_page;
		unsigned int order = compound_order(page);

		if (clear)
			clear_pages_of(page, order);
		put(ca, page, order);
	}
	bounce->count = 0;
	bounce->bytes = 0;
}
