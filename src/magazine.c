// SPDX-License-Identifier: GPL-2.0-only
/*
 * Magazines keep the pages that a write gave back for the next write, as they are: clearing pages
 * and asking the allocator costs more than the conversion of a small write. Each CPU has one, for
 * all devices. They hold ciphertext, or pages that were cleared.
 *
 * What is cached can be had back: the kernel counts it as reclaimable and takes it when it needs
 * memory, and a magazine from which nothing was taken for a second is emptied.
 */
#include "magazine.h"

#include <linux/cache.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/vmstat.h>

#include "allocator.h"

/* Capacity of a magazine. */
#define SINGLES		64
#define BLOCKS		16

/**
 * struct magazine - pages that wait for the next write on a CPU
 * @lock: protects the rest, any context; another CPU takes it when its own magazine is empty. The
 *	status line reads the counts without it
 * @singles: single pages in it
 * @blocks: blocks in it
 * @is_single_used: a single page was taken since ca_magazine_tend() looked
 * @is_block_used: likewise a block
 * @is_tended: ca_magazine_tend() will be called, or a caller of ca_magazine_put() sees to it
 * @counted: pages of it that the kernel counts as reclaimable
 * @node: where it counts them, which is one place for the life of the magazine
 * @single: the pages
 * @block: the first pages of blocks
 */
struct magazine {
	spinlock_t lock;	/* see above */
	unsigned int singles;
	unsigned int blocks;
	bool is_single_used;
	bool is_block_used;
	bool is_tended;
	unsigned int counted;
	struct pglist_data *node;
	struct page *single[SINGLES];
	struct page *block[BLOCKS];
};

static struct magazine __percpu *magazines __ro_after_init;
static struct ca_shrinker shrinker;

/* ------------------------------------------------------------------------ one magazine */

static struct page *pop(struct magazine *magazine, unsigned int order)
{
	if (order) {
		if (!magazine->blocks)
			return NULL;
		magazine->is_block_used = true;
		return magazine->block[--magazine->blocks];
	}
	if (!magazine->singles)
		return NULL;
	magazine->is_single_used = true;
	return magazine->single[--magazine->singles];
}

/* Return: whether there was room. */
static bool push(struct magazine *magazine, struct page *page, unsigned int order)
{
	if (order) {
		if (magazine->blocks == BLOCKS)
			return false;
		magazine->block[magazine->blocks++] = page;
		return true;
	}
	if (magazine->singles == SINGLES)
		return false;
	magazine->single[magazine->singles++] = page;
	return true;
}

/**
 * ca_magazine_take() - pays for a page or block with the credit of this CPU, and takes it from its
 *	magazine
 * @credits: the device's
 * @order: 0 or CA_BLOCK_ORDER
 *
 * Return: the page; NULL if the credit was not enough; ERR_PTR(-ENOENT) if it was, so that the
 * device is charged for a page, but there is none.
 */
struct page *ca_magazine_take(struct ca_credit __percpu *credits, unsigned int order)
{
	const unsigned int cpu = raw_smp_processor_id();
	struct magazine *magazine = per_cpu_ptr(magazines, cpu);
	struct ca_credit *credit = per_cpu_ptr(credits, cpu);
	struct page *page = NULL;
	unsigned long flags;

	spin_lock_irqsave(&magazine->lock, flags);
	if (credit->pages >= 1U << order) {
		credit->pages -= 1U << order;
		page = pop(magazine, order) ?: ERR_PTR(-ENOENT);
	}
	spin_unlock_irqrestore(&magazine->lock, flags);
	return page;
}

/**
 * ca_magazine_take_from() - takes a page or block that the device is charged for already
 * @cpu: the CPU whose magazine it comes from
 * @order: 0 or CA_BLOCK_ORDER
 *
 * Return: the page, NULL if there is none.
 */
struct page *ca_magazine_take_from(unsigned int cpu, unsigned int order)
{
	struct magazine *magazine = per_cpu_ptr(magazines, cpu);
	struct page *page;
	unsigned long flags;

	spin_lock_irqsave(&magazine->lock, flags);
	page = pop(magazine, order);
	spin_unlock_irqrestore(&magazine->lock, flags);
	return page;
}

/**
 * ca_magazine_put() - keeps a page or block for the next write on this CPU, and gives the device
 *	the credit for it
 * @credits: the device's
 * @page: the page; if there is no room, it goes back to the allocator. NULL if there is only the
 *	credit
 * @order: its order
 * @max: more credit than that is not kept
 *
 * Return: the credit that is not kept, for which the caller no longer charges the device; and
 * CA_MUST_TEND if the caller has to see to it that ca_magazine_tend() is called. Usually 0.
 */
unsigned int ca_magazine_put(struct ca_credit __percpu *credits, struct page *page,
			     unsigned int order, unsigned int max)
{
	const unsigned int cpu = raw_smp_processor_id();
	struct magazine *magazine = per_cpu_ptr(magazines, cpu);
	struct ca_credit *credit = per_cpu_ptr(credits, cpu);
	unsigned int result = 0;
	unsigned long flags;
	bool is_kept;

	spin_lock_irqsave(&magazine->lock, flags);
	credit->pages += 1U << order;
	if (credit->pages > max) {
		result = credit->pages - max / 2;
		credit->pages = max / 2;
	}
	is_kept = !page || push(magazine, page, order);
	if (unlikely(!magazine->is_tended)) {
		magazine->is_tended = true;
		result |= CA_MUST_TEND;
	}
	spin_unlock_irqrestore(&magazine->lock, flags);
	if (!is_kept)
		ca_allocator_put(page, order);
	return result;
}

/* ------------------------------------------------------------------------------ credits */

/**
 * ca_magazine_add_credit() - gives a device credit on this CPU
 * @credits: the device's
 * @pages: pages that it was charged for
 */
void ca_magazine_add_credit(struct ca_credit __percpu *credits, unsigned int pages)
{
	const unsigned int cpu = raw_smp_processor_id();
	struct magazine *magazine = per_cpu_ptr(magazines, cpu);
	unsigned long flags;

	spin_lock_irqsave(&magazine->lock, flags);
	per_cpu_ptr(credits, cpu)->pages += pages;
	spin_unlock_irqrestore(&magazine->lock, flags);
}

/**
 * ca_magazine_take_credits() - takes away a device's credit on all CPUs
 * @credits: the device's
 *
 * Return: pages; the caller no longer charges the device for them.
 */
unsigned int ca_magazine_take_credits(struct ca_credit __percpu *credits)
{
	unsigned int pages = 0;
	unsigned long flags;
	int cpu;

	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(cpu) {
		struct magazine *magazine = per_cpu_ptr(magazines, cpu);
		struct ca_credit *credit = per_cpu_ptr(credits, cpu);

		/* What comes in between stays there. */
		if (!data_race(credit->pages))
			continue;
		spin_lock_irqsave(&magazine->lock, flags);
		pages += credit->pages;
		credit->pages = 0;
		spin_unlock_irqrestore(&magazine->lock, flags);
	}
	return pages;
}

/**
 * ca_magazine_credits() - the credit of a device on all CPUs
 * @credits: the device's
 *
 * Return: pages; approximate on a running device, since CPUs are summed without locking.
 */
unsigned int ca_magazine_credits(struct ca_credit __percpu *credits)
{
	unsigned int pages = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		/* For the status line. */
		pages += data_race(per_cpu_ptr(credits, cpu)->pages);
	}
	return pages;
}

/* ------------------------------------------------------------------------ all magazines */

static unsigned int cached_in(const struct magazine *magazine)
{
	/* An estimate, where the caller does not hold the lock. */
	return data_race(magazine->singles) + data_race(magazine->blocks) * CA_BLOCK_PAGES;
}

/**
 * ca_magazine_cached() - how many pages wait in magazines
 *
 * Return: their number; approximate, since CPUs are summed without locking.
 */
unsigned int ca_magazine_cached(void)
{
	unsigned int count = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		count += cached_in(per_cpu_ptr(magazines, cpu));
	return count;
}

/*
 * Tells the kernel how many pages of a magazine are reclaimable. Called now and then only, since
 * that costs as much as taking a page. The node is that of the first page that was ever seen there:
 * what was added has to be taken off at the same place.
 */
static void count_reclaimable(struct magazine *magazine)
{
	unsigned int cached;
	unsigned long flags;

	spin_lock_irqsave(&magazine->lock, flags);
	cached = cached_in(magazine);
	if (!magazine->node && cached)
		magazine->node = page_pgdat(magazine->singles ? magazine->single[0] :
							       magazine->block[0]);
	if (cached != magazine->counted)
		mod_node_page_state(magazine->node, NR_KERNEL_MISC_RECLAIMABLE,
				    (long)cached - (long)magazine->counted);
	magazine->counted = cached;
	spin_unlock_irqrestore(&magazine->lock, flags);
}

/* Gives a magazine's pages back until that is @max or more, or none is left. Return: how many. */
static unsigned int empty(unsigned int cpu, unsigned int order, unsigned int max)
{
	unsigned int count = 0;
	struct page *page;

	while (count < max && (page = ca_magazine_take_from(cpu, order))) {
		ca_allocator_put(page, order);
		count += 1U << order;
	}
	return count;
}

/**
 * ca_magazine_give_back() - gives cached pages back to the allocator
 * @max: how many are enough; the last block may make it a few more
 *
 * Context: Any.
 * Return: how many.
 */
unsigned int ca_magazine_give_back(unsigned int max)
{
	unsigned int count = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		unsigned int before = count;

		if (count >= max)
			break;
		if (!cached_in(per_cpu_ptr(magazines, cpu)))
			continue;
		count += empty(cpu, CA_BLOCK_ORDER, max - count);
		if (count < max)
			count += empty(cpu, 0, max - count);
		if (count > before)
			count_reclaimable(per_cpu_ptr(magazines, cpu));
	}
	return count;
}

/* Return: whether ca_magazine_tend() has to be called again for it. */
static bool tend(unsigned int cpu)
{
	struct magazine *magazine = per_cpu_ptr(magazines, cpu);
	bool is_single_used;
	bool is_block_used;
	unsigned long flags;
	bool is_tended;

	spin_lock_irqsave(&magazine->lock, flags);
	is_single_used = magazine->is_single_used;
	is_block_used = magazine->is_block_used;
	magazine->is_single_used = false;
	magazine->is_block_used = false;
	spin_unlock_irqrestore(&magazine->lock, flags);

	if (!is_single_used)
		empty(cpu, 0, UINT_MAX);
	if (!is_block_used)
		empty(cpu, CA_BLOCK_ORDER, UINT_MAX);

	spin_lock_irqsave(&magazine->lock, flags);
	/* Emptying it does not count as use. */
	magazine->is_single_used &= is_single_used;
	magazine->is_block_used &= is_block_used;
	is_tended = cached_in(magazine);
	magazine->is_tended = is_tended;
	spin_unlock_irqrestore(&magazine->lock, flags);
	count_reclaimable(magazine);
	return is_tended;
}

/**
 * ca_magazine_tend() - empties the magazines from which nothing was taken since the last call, and
 *	has the kernel count the pages of the others as reclaimable (NR_KERNEL_MISC_RECLAIMABLE)
 *
 * Context: Task; one caller at a time.
 * Return: true if magazines still have pages: call it again later. After false, the next
 * ca_magazine_put() that keeps a page says that it has to be called again.
 */
bool ca_magazine_tend(void)
{
	bool is_tended = false;
	int cpu;

	for_each_possible_cpu(cpu)
		is_tended |= tend(cpu);
	return is_tended;
}

static unsigned long count_for_shrinker(struct shrinker *s, struct shrink_control *sc)
{
	return ca_magazine_cached() ?: SHRINK_EMPTY;
}

static unsigned long scan_for_shrinker(struct shrinker *s, struct shrink_control *sc)
{
	return ca_magazine_give_back(sc->nr_to_scan);
}

/**
 * ca_magazine_init() - makes the magazines
 *
 * Return: 0 or -ENOMEM.
 */
int __init ca_magazine_init(void)
{
	int cpu;
	int err;

	magazines = alloc_percpu(struct magazine);
	if (!magazines)
		return -ENOMEM;
	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(cpu)
		spin_lock_init(&per_cpu_ptr(magazines, cpu)->lock);
	err = ca_shrinker_add(&shrinker, count_for_shrinker, scan_for_shrinker, "crypt-async");
	if (err)
		free_percpu(magazines);
	return err;
}

/** ca_magazine_exit() - frees the magazines, when there is no device any more */
void ca_magazine_exit(void)
{
	int cpu;

	ca_shrinker_del(&shrinker);
	ca_magazine_give_back(UINT_MAX);
	/* Those that were emptied since the last look are still counted. */
	for_each_possible_cpu(cpu)
		count_reclaimable(per_cpu_ptr(magazines, cpu));
	free_percpu(magazines);
}
