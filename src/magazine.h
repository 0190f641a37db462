/* SPDX-License-Identifier: GPL-2.0-only */
/* Magazines: pages and blocks of all devices that wait on a CPU for the next write. */
#ifndef CA_MAGAZINE_H
#define CA_MAGAZINE_H

#include <linux/bits.h>
#include <linux/percpu.h>
#include <linux/types.h>

struct page;

/**
 * struct ca_credit - what a device need not charge again, on one CPU
 * @pages: pages that the device is charged for and does not use; protected by the lock of the CPU's
 *	magazine, so that taking a page and paying for it is one step
 * @returned: pages that its writes gave back there, since the device was made; changed on its CPU
 *	only, read anywhere
 */
struct ca_credit {
	unsigned int pages;
	unsigned int returned;
};

/* What ca_magazine_put() returns, beside a number of pages. */
#define CA_MUST_TEND	BIT(31)

struct page *ca_magazine_take(struct ca_credit __percpu *credits, unsigned int order);
unsigned int ca_magazine_put(struct ca_credit __percpu *credits, struct page *page,
			     unsigned int order, unsigned int max);
struct page *ca_magazine_take_from(unsigned int cpu, unsigned int order);
void ca_magazine_add_credit(struct ca_credit __percpu *credits, unsigned int pages);
unsigned int ca_magazine_take_credits(struct ca_credit __percpu *credits);
unsigned int ca_magazine_credits(struct ca_credit __percpu *credits);

/* All magazines. */
bool ca_magazine_tend(void);
unsigned int ca_magazine_give_back(unsigned int max);
unsigned int ca_magazine_cached(void);
int ca_magazine_init(void);
void ca_magazine_exit(void);

#endif /* CA_MAGAZINE_H */
