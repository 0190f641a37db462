/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's allocator, asked for no more pages than the module may hold. */
#ifndef CA_ALLOCATOR_H
#define CA_ALLOCATOR_H

#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/types.h>

struct page;

/* Pages of a block, which is one entry in a list of memory. */
#define CA_BLOCK_PAGES	16
#define CA_BLOCK_ORDER	ilog2(CA_BLOCK_PAGES)

struct page *ca_allocator_get(gfp_t gfp, unsigned int order);
void ca_allocator_put(struct page *page, unsigned int order);
int ca_allocator_set_budget(unsigned int pages);
bool ca_allocator_is_spent(unsigned int order);

#endif /* CA_ALLOCATOR_H */
