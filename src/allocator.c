// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's allocator. All bounce pages come from it here and go back to it here, so that all
 * devices together, with their reserves and what is cached, never hold more than a budget.
 */
#include "allocator.h"

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/mm.h>

static unsigned int budget __read_mostly;	/* in pages; readers take it once */
static atomic_t allocated = ATOMIC_INIT(0);	/* pages that the allocator gave */

/**
 * ca_allocator_get() - asks for a page or block
 * @gfp: as for alloc_pages()
 * @order: 0 or CA_BLOCK_ORDER
 *
 * Return: the page, NULL if the allocator has none or the budget is spent.
 */
struct page *ca_allocator_get(gfp_t gfp, unsigned int order)
{
	const int pages = 1 << order;
	struct page *page = NULL;

	if (atomic_add_return(pages, &allocated) <= (int)READ_ONCE(budget))
		page = alloc_pages(gfp, order);
	if (!page)
		atomic_sub(pages, &allocated);
	return page;
}

/**
 * ca_allocator_put() - gives a page or block back
 * @page: the page; if somebody else holds a reference, it is free once they drop that
 * @order: its order
 *
 * Context: Any.
 */
void ca_allocator_put(struct page *page, unsigned int order)
{
	__free_pages(page, order);
	atomic_sub(1 << order, &allocated);
}

/**
 * ca_allocator_set_budget() - sets how many pages the module may hold
 * @pages: their number
 *
 * Return: how many it holds beyond that; less than 1 if it may hold more.
 */
int ca_allocator_set_budget(unsigned int pages)
{
	WRITE_ONCE(budget, pages);
	return atomic_read(&allocated) - (int)pages;
}

/**
 * ca_allocator_is_spent() - says whether the budget has no room for a page or block
 * @order: its order
 *
 * Return: whether that is so, at this moment.
 */
bool ca_allocator_is_spent(unsigned int order)
{
	return atomic_read(&allocated) + (1 << order) > (int)READ_ONCE(budget);
}
