// SPDX-License-Identifier: GPL-2.0-only
/*
 * The account: how many bounce pages a device may hold, of those of all devices.
 *
 * All devices share COMMON_PERCENT of memory. What a device holds beyond its reserve and one block
 * is charged to that. A device may always have a share of it, which is the smaller the more devices
 * there are, and more only as far as it gives pages back soon: as many as it gave back within the
 * last second or two, and no more than it had before and gave back since. So a device
 * whose writes end quickly soon has what it can use, and one that is stuck has its share, however
 * many writers it has.
 *
 * No device has all of it: one that holds more than its share leaves an eighth of what is free, and
 * the shares of the others. The reserve is never charged, and guarantees progress (pages.c): nobody
 * waits here.
 *
 * To charge each page to the device would be an atomic operation that all CPUs share, so a device
 * has some credit on each CPU (magazine.c): a page that comes back leaves credit for the next one.
 */
#include "account.h"

#include <linux/cache.h>
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/smp.h>

#include "allocator.h"
#include "magazine.h"

/* What all devices share, in percent of memory; dm-crypt's figure. */
#define COMMON_PERCENT	2

/* A device that holds more than its share holds at most so many times what is left free. */
#define FREE_TIMES	7

/* A device charges so many pages more than it needs, and keeps so many as credit on a CPU. */
#define CREDIT		32
#define CREDIT_MAX	64

/* How long a window is in which returned pages are counted, in jiffies. */
#define WINDOW		HZ

/* When a ceiling is out of date, in jiffies. */
#define CEILING_AGE	(HZ / 16)

/* How often magazines and credit that are not used are given back, in jiffies. */
#define TEND_JIFFIES	HZ

static DEFINE_MUTEX(accounts_lock);
static LIST_HEAD(accounts);	/* protected by accounts_lock, as are changes of the following */

/* In pages; readers take each once. */
static unsigned int common __read_mostly;	/* what all devices share */
static unsigned int device_share __read_mostly; /* what each of them may always have of that */
static unsigned int pot __read_mostly;		/* all of it, without the shares of the others */

static struct workqueue_struct *workqueue __ro_after_init;
static struct delayed_work tending;
static atomic_t used ____cacheline_aligned_in_smp = ATOMIC_INIT(0);	/* pages of common */

/* ------------------------------------------------------------------------------ charging */

/* What a device that holds so many pages uses of what all share. */
static int charged(const struct ca_account *account, int held)
{
	return max(held - (int)account->own, 0);
}

/* Return: how many pages the device holds now. */
static int add_held(struct ca_account *account, int pages)
{
	int held = atomic_add_return(pages, &account->held);
	int change = charged(account, held) - charged(account, held - pages);

	if (change)
		atomic_add(change, &used);
	return held;
}

static bool may_hold(const struct ca_account *account, int held)
{
	int from_common = charged(account, held);
	int rest;

	if (held > (int)READ_ONCE(account->ceiling))
		return false;
	if (!from_common)
		return true;
	if (from_common <= (int)READ_ONCE(device_share))
		return atomic_read(&used) <= (int)READ_ONCE(common);
	rest = (int)READ_ONCE(pot) - atomic_read(&used);
	return rest > 0 && from_common / FREE_TIMES <= rest;
}

/* Return: whether the device may hold so many pages more; then it is charged for them. */
static bool charge(struct ca_account *account, int pages)
{
	if (may_hold(account, add_held(account, pages)))
		return true;
	add_held(account, -pages);
	return false;
}

static void drop_credit(struct ca_account *account)
{
	unsigned int pages = ca_magazine_take_credits(account->credits);

	if (pages)
		add_held(account, -(int)pages);
}

/* How many pages writes of the device have given back; approximate, and it wraps around. */
static unsigned int sum_returned(const struct ca_account *account)
{
	unsigned int sum = 0;
	int cpu;

	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(cpu)
		/* CPUs go on counting meanwhile. */
		sum += data_race(per_cpu_ptr(account->credits, cpu)->returned);
	return sum;
}

/*
 * Looks how soon the device gives pages back, and how many it may hold therefore. If it wants more
 * than that, it may have as many more as it gave back since the last look.
 */
static void look(struct ca_account *account, bool wants_more)
{
	unsigned int returned, since, soon, ceiling;
	unsigned long now = jiffies;
	unsigned long elapsed;
	unsigned long flags;

	if (!spin_trylock_irqsave(&account->lock, flags))
		return;
	returned = sum_returned(account);
	since = returned - account->returned;
	account->returned = returned;
	elapsed = now - account->began;
	if (elapsed >= WINDOW) {
		u64 pages = (u64)(returned - account->returned_before) * WINDOW;

		/* After a long silence the last burst is over, and not to be added to the next. */
		account->last_window = elapsed < 2 * WINDOW ? div_u64(pages, elapsed) : 0;
		account->returned_before = returned;
		account->began = now;
	}
	soon = account->last_window + (returned - account->returned_before);
	ceiling = min(account->ceiling + (wants_more ? min(since, soon) : 0), soon);
	ceiling = max(ceiling, account->own + READ_ONCE(device_share));
	WRITE_ONCE(account->ceiling, min(ceiling, READ_ONCE(account->limit)));
	WRITE_ONCE(account->looked, now);
	spin_unlock_irqrestore(&account->lock, flags);
}

/* Charges pages, and some more that become credit. Return: whether it did. */
static bool charge_more(struct ca_account *account, int pages)
{
	const int held = atomic_read(&account->held) + pages;
	bool wants_more = held > (int)READ_ONCE(account->ceiling);

	if (charged(account, held + CREDIT) &&
	    jiffies - READ_ONCE(account->looked) > CEILING_AGE)
		look(account, wants_more);
	if (held + CREDIT <= (int)READ_ONCE(account->ceiling) &&
	    charge(account, pages + CREDIT)) {
		ca_magazine_add_credit(account->credits, CREDIT);
		return true;
	}
	if (charge(account, pages))
		return true;
	if (time_before(READ_ONCE(account->looked), jiffies))
		look(account, wants_more);
	drop_credit(account);
	return charge(account, pages);
}

/* ---------------------------------------------------------------------------------- pages */

/* From a magazine, or from the allocator, which may have to get some back first. */
static struct page *find_page(const struct ca_account *account, unsigned int order, gfp_t gfp,
			      bool is_empty_here)
{
	unsigned int cpu = raw_smp_processor_id();
	unsigned int giver = READ_ONCE(account->giver);
	struct page *page = NULL;

	if (!is_empty_here)
		page = ca_magazine_take_from(cpu, order);
	if (!page && giver != cpu)
		page = ca_magazine_take_from(giver, order);
	if (!page)
		page = ca_allocator_get(gfp, order);
	if (!page && ca_allocator_is_spent(order) && ca_magazine_give_back(CA_BLOCK_PAGES))
		page = ca_allocator_get(gfp, order);
	return page;
}

/* The credit, or the magazine, of this CPU had nothing. */
static noinline struct page *get_slowly(struct ca_account *account, unsigned int order, gfp_t gfp,
					bool is_charged)
{
	struct page *page;

	if (!is_charged && !charge_more(account, 1 << order))
		return NULL;
	page = find_page(account, order, gfp, is_charged);
	if (!page)
		add_held(account, -(1 << order));
	return page;
}

/**
 * ca_account_get() - takes a page or block for a device
 * @account: the device's
 * @order: 0 or CA_BLOCK_ORDER
 * @gfp: for the allocator, if no magazine has one
 *
 * Context: Any, as far as @gfp allows.
 * Return: the page, for which the device is charged; NULL if it may not hold more, or if there is
 * none.
 */
struct page *ca_account_get(struct ca_account *account, unsigned int order, gfp_t gfp)
{
	struct page *page = ca_magazine_take(account->credits, order);

	if (!IS_ERR_OR_NULL(page))
		return page;
	return get_slowly(account, order, gfp, page);
}

/* What ca_magazine_put() leaves to be done. */
static noinline void put_rest(struct ca_account *account, unsigned int rest)
{
	int surplus = rest & ~CA_MUST_TEND;

	if (surplus)
		add_held(account, -surplus);
	if (rest & CA_MUST_TEND)
		queue_delayed_work(workqueue, &tending, TEND_JIFFIES);
}

static void put(struct ca_account *account, struct page *page, unsigned int order)
{
	bool is_over = atomic_read(&account->held) > (int)READ_ONCE(account->ceiling);
	unsigned int rest = ca_magazine_put(account->credits, page, order,
					    is_over ? 0 : CREDIT_MAX);

	if (unlikely(rest))
		put_rest(account, rest);
}

/**
 * ca_account_put() - takes a page or block back, for the next write
 * @account: the device's
 * @page: the page; nobody else holds it
 * @order: its order
 *
 * Context: Any.
 */
void ca_account_put(struct ca_account *account, struct page *page, unsigned int order)
{
	const unsigned int cpu = raw_smp_processor_id();

	put(account, page, order);
	if (READ_ONCE(account->giver) != cpu)
		WRITE_ONCE(account->giver, cpu);
}

/**
 * ca_account_give_up() - gives a page or block that somebody else still holds back to the allocator
 * @account: the device's
 * @page: the page
 * @order: its order
 *
 * Context: Any.
 */
void ca_account_give_up(struct ca_account *account, struct page *page, unsigned int order)
{
	ca_allocator_put(page, order);
	put(account, NULL, order);
}

/**
 * ca_account_defer() - runs work later, even when memory is short
 * @work: the work
 * @delay: when, in jiffies
 *
 * Context: Any.
 */
void ca_account_defer(struct delayed_work *work, unsigned long delay)
{
	queue_delayed_work(workqueue, work, delay);
}

/* --------------------------------------------------------------------------- all accounts */

/* Gives back what was not used for a while, until nothing is left. */
static void tend_work(struct work_struct *work)
{
	struct ca_account *account;
	bool is_tended = ca_magazine_tend();

	mutex_lock(&accounts_lock);
	/* cppcheck-suppress unknownMacro */
	list_for_each_entry(account, &accounts, entry)
		drop_credit(account);
	mutex_unlock(&accounts_lock);
	if (is_tended)
		queue_delayed_work(workqueue, &tending, TEND_JIFFIES);
}

/*
 * Shares out anew when a device has come or gone. With n devices each may always have the n * n-th
 * part of one half: a single one much, and many together little.
 */
static void share_out(void)
{
	/* No bounce page comes from the high memory of 32-bit machines. */
	unsigned long memory = totalram_pages() - totalhigh_pages();
	unsigned int all = min_t(unsigned long, memory / 100 * COMMON_PERCENT, INT_MAX / 4);
	struct ca_account *account;
	unsigned int count = 0;
	u64 own = 0;
	int beyond;

	/* cppcheck-suppress unknownMacro */
	list_for_each_entry(account, &accounts, entry) {
		own += account->own;
		count++;
	}
	WRITE_ONCE(common, all);
	WRITE_ONCE(device_share, count ? div64_u64(all / 2, (u64)count * count) : 0);
	WRITE_ONCE(pot, count ? all - (count - 1) * device_share : 0);
	/* cppcheck-suppress unknownMacro */
	list_for_each_entry(account, &accounts, entry)
		look(account, false);
	beyond = ca_allocator_set_budget(min_t(u64, all + own, INT_MAX / 2));
	if (beyond > 0)
		ca_magazine_give_back(beyond);
}

/**
 * ca_account_set_limit() - sets how many pages a device may hold
 * @account: the device's
 * @limit: pages, its reserve included; 0 for as many as there can be
 */
void ca_account_set_limit(struct ca_account *account, unsigned int limit)
{
	WRITE_ONCE(account->limit, limit ?: account->own + READ_ONCE(common));
	/* A look that goes on at the same time may not have seen it; the next one will. */
	look(account, false);
}

/**
 * ca_account_trim() - gives back what waits for the next write
 * @account: the device's
 */
void ca_account_trim(struct ca_account *account)
{
	drop_credit(account);
	ca_magazine_give_back(UINT_MAX);
}

/**
 * ca_account_held() - how many pages a device holds
 * @account: the device's
 *
 * Return: those of its fragments and of its reserve; approximate while it is used.
 */
unsigned int ca_account_held(const struct ca_account *account)
{
	return max(atomic_read(&account->held) - (int)ca_magazine_credits(account->credits), 0);
}

/**
 * ca_account_open() - opens the account of a new device
 * @account: the device's
 * @reserve: pages that it always holds
 *
 * Return: 0 or -ENOMEM.
 */
int ca_account_open(struct ca_account *account, unsigned int reserve)
{
	account->credits = alloc_percpu(struct ca_credit);
	if (!account->credits)
		return -ENOMEM;
	spin_lock_init(&account->lock);
	atomic_set(&account->held, 0);
	account->own = reserve + CA_BLOCK_PAGES;
	account->began = jiffies;
	/* Until the caller sets one: the reserve must not be refused. */
	account->limit = INT_MAX / 2;
	mutex_lock(&accounts_lock);
	list_add(&account->entry, &accounts);
	share_out();
	mutex_unlock(&accounts_lock);
	return 0;
}

/**
 * ca_account_close() - closes the account of a device that holds no page any more
 * @account: the device's
 */
void ca_account_close(struct ca_account *account)
{
	/*
	 * Under the lock, so that tend_work() is not between taking a CPU's credit and
	 * subtracting it from account->held, which is too high for so long.
	 */
	mutex_lock(&accounts_lock);
	drop_credit(account);
	WARN_ON_ONCE(atomic_read(&account->held));
	list_del(&account->entry);
	share_out();
	mutex_unlock(&accounts_lock);
	free_percpu(account->credits);
}

/**
 * ca_accounts_init() - makes what all devices share
 *
 * Return: 0 or -ENOMEM.
 */
int __init ca_accounts_init(void)
{
	int err = -ENOMEM;

	INIT_DELAYED_WORK(&tending, tend_work);
	workqueue = alloc_workqueue("crypt-async", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (workqueue)
		err = ca_magazine_init();
	if (err && workqueue)
		destroy_workqueue(workqueue);
	return err;
}

/** ca_accounts_exit() - undoes ca_accounts_init(), when there is no device any more */
void ca_accounts_exit(void)
{
	cancel_delayed_work_sync(&tending);
	destroy_workqueue(workqueue);
	ca_magazine_exit();
}
