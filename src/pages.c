// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounce pages: ciphertext on its way to the lower device. A write is never encrypted in place,
 * since the memory is the writer's.
 *
 * A device takes single pages and blocks of them, as far as its account allows (account.c). Pages
 * that a write gives back wait in a magazine of the CPU for the next write (magazine.c).
 *
 * Some single pages are the device's reserve, a mempool, which is filled up before any magazine and
 * never goes back to the allocator. So the first page of a fragment, for which a splitter may wait,
 * always comes: the fragments that hold the reserve end without needing another page.
 *
 * A page that comes back may still be held by somebody else. A network driver that was handed it
 * without a copy sends it again when the connection comes back, long after its write has ended,
 * perhaps by another path. Ciphertext of a later write must not be sent in its place. So such a
 * page is used no more: it goes back to the allocator, and is free when its last holder has put it.
 * If the reserve is not full, another page takes its place. As long as there is none, it is kept
 * and looked at again, until there is one or the page is nobody else's.
 */
#include "pages.h"

#include <linux/bio.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/page_ref.h>
#include <linux/smp.h>
#include <linux/spinlock.h>

#include "account.h"
#include "allocator.h"
#include "magazine.h"

#define BLOCK_BYTES	(CA_BLOCK_PAGES * PAGE_SIZE)

/* When a page of the reserve that somebody else holds is looked at again, in jiffies. */
#define LINGER_JIFFIES	(HZ / 10)

/* Without waiting, and not from memory that the kernel keeps for emergencies. */
#define GFP_AT_HAND	(GFP_NOWAIT | __GFP_NOMEMALLOC | __GFP_NOWARN)

static unsigned int page_reserve = BIO_MAX_VECS;
module_param(page_reserve, uint, 0644);
MODULE_PARM_DESC(page_reserve, "Bounce pages that a new device holds in reserve, at least 1");

static unsigned int page_limit;
module_param(page_limit, uint, 0644);
MODULE_PARM_DESC(page_limit,
		 "Bounce pages that a new device may hold with its reserve, 0 for no limit of its own; all together hold 2% of memory and their reserves");

/* ----------------------------------------------------------------------------- the reserve */

static void *allocate_reserve(gfp_t gfp, void *data)
{
	struct ca_pages *pages = data;

	return ca_account_get(&pages->account, 0, gfp);
}

static void release_reserve(void *page, void *data)
{
	struct ca_pages *pages = data;

	ca_account_put(&pages->account, page, 0);
}

/* Whether the reserve is not full, so that a single page that comes back belongs there. */
static bool reserve_wants_page(const struct ca_pages *pages)
{
	/*
	 * As in mempool_free(): the thread that took this page from the reserve lowered curr_nr
	 * first.
	 */
	smp_rmb();
	return READ_ONCE(pages->pool.curr_nr) < pages->pool.min_nr;
}

/*
 * Gives the pool a new page in place of one that somebody else still holds, and drops that one.
 * Return: false if there was no memory for a new page; then nothing has changed.
 */
static bool replace(struct ca_pages *pages, struct page *page)
{
	struct page *other = ca_magazine_take_from(raw_smp_processor_id(), 0);

	if (!other)
		other = ca_allocator_get(GFP_AT_HAND, 0);
	if (!other)
		return false;
	ca_allocator_put(page, 0);
	mempool_free(other, &pages->pool);
	return true;
}

/* Keeps a page of the reserve that somebody else holds, to look at it later. */
static void linger(struct ca_pages *pages, struct page *page)
{
	unsigned long flags;

	spin_lock_irqsave(&pages->linger_lock, flags);
	set_page_private(page, (unsigned long)pages->lingering);
	pages->lingering = page;
	spin_unlock_irqrestore(&pages->linger_lock, flags);
	ca_account_defer(&pages->linger_work, LINGER_JIFFIES);
}

/* Puts a single page where it is wanted; somebody else may hold it. */
static void settle(struct ca_pages *pages, struct page *page)
{
	/*
	 * Only the lower device gave it to others, and its write is over: if no other reference
	 * is left, none can be taken any more.
	 */
	if (page_ref_count(page) == 1)
		mempool_free(page, &pages->pool);
	else if (!reserve_wants_page(pages))
		ca_account_give_up(&pages->account, page, 0);
	else if (!replace(pages, page))
		linger(pages, page);
}

static struct page *take_lingering(struct ca_pages *pages)
{
	struct page *first;
	unsigned long flags;

	spin_lock_irqsave(&pages->linger_lock, flags);
	first = pages->lingering;
	pages->lingering = NULL;
	spin_unlock_irqrestore(&pages->linger_lock, flags);
	return first;
}

/* Return: the page after @page, which is in the list no more. */
static struct page *next_lingering(struct page *page)
{
	struct page *next = (struct page *)page_private(page);

	set_page_private(page, 0);
	return next;
}

/* mempool_free() wakes the threads that wait for the reserve. */
static void linger_work(struct work_struct *work)
{
	struct ca_pages *pages = container_of(to_delayed_work(work), struct ca_pages, linger_work);
	struct page *page = take_lingering(pages);

	while (page) {
		struct page *next = next_lingering(page);

		settle(pages, page);
		page = next;
	}
}

static void give_up_lingering(struct ca_pages *pages)
{
	struct page *page = take_lingering(pages);

	while (page) {
		struct page *next = next_lingering(page);

		ca_account_give_up(&pages->account, page, 0);
		page = next;
	}
}

/* ----------------------------------------------------------------------------- the device */

/**
 * ca_pages_init() - sets up a device's bounce pages
 * @pages: the device's
 *
 * Return: 0 or -ENOMEM.
 */
int ca_pages_init(struct ca_pages *pages)
{
	int err;

	mutex_init(&pages->atomic_write_lock);
	spin_lock_init(&pages->linger_lock);
	INIT_DELAYED_WORK(&pages->linger_work, linger_work);
	pages->reserve = clamp(READ_ONCE(page_reserve), 1U, 1U << 16);
	err = ca_account_open(&pages->account, pages->reserve);
	if (err)
		return err;
	ca_pages_set_limit(pages, 0);
	err = mempool_init(&pages->pool, pages->reserve, allocate_reserve, release_reserve,
			   pages);
	if (err)
		ca_account_close(&pages->account);
	return err;
}

/**
 * ca_pages_exit() - frees all pages of a device, those that are kept for later among them
 * @pages: the device's, with no fragment in flight
 */
void ca_pages_exit(struct ca_pages *pages)
{
	cancel_delayed_work_sync(&pages->linger_work);
	give_up_lingering(pages);
	mempool_exit(&pages->pool);
	ca_account_close(&pages->account);
}

/**
 * ca_pages_set_limit() - sets how many pages the device may hold
 * @pages: the device's
 * @limit: pages, 0 for the default; no less than the reserve
 */
void ca_pages_set_limit(struct ca_pages *pages, unsigned int limit)
{
	limit = limit ?: READ_ONCE(page_limit);
	if (limit)
		limit = clamp_t(unsigned int, limit, pages->reserve, INT_MAX / 2);
	ca_account_set_limit(&pages->account, limit);
}

/* ------------------------------------------------------------------------------ fragments */

/* A block, if that is at hand. */
static struct page *get_block(struct ca_pages *pages)
{
	return ca_account_get(&pages->account, CA_BLOCK_ORDER,
			      __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN | __GFP_COMP);
}

/* A page, from the reserve if there is no other. */
static struct page *get_single(struct ca_pages *pages, gfp_t gfp)
{
	return ca_account_get(&pages->account, 0, GFP_AT_HAND) ?:
	       mempool_alloc(&pages->pool, gfp);
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
	bool is_held = page_ref_count(page) != 1;

	if (order && unlikely(is_held))
		ca_account_give_up(&pages->account, page, order);
	else if (!order && (unlikely(is_held) || reserve_wants_page(pages)))
		settle(pages, page);
	else
		ca_account_put(&pages->account, page, order);
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
	unsigned int count = 0;
	unsigned int i;

	for (i = 0; i < bounce->count; i++) {
		struct page *page = bounce->vecs[i].bv_page;
		unsigned int order = compound_order(page);
		unsigned int j;

		for (j = 0; clear && j < 1 << order; j++)
			clear_highpage(page + j);
		count += 1 << order;
		put_page_back(pages, page, order);
	}
	ca_account_returned(&pages->account, count);
	bounce->count = 0;
	bounce->bytes = 0;
}
