/* SPDX-License-Identifier: GPL-2.0-only */
/* The account: how many bounce pages a device may hold, of those of all devices. */
#ifndef CA_ACCOUNT_H
#define CA_ACCOUNT_H

#include <linux/atomic.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "magazine.h"

struct page;

/**
 * struct ca_account - a device's account
 *
 * Immutable after ctr:
 * @entry: in the list of all accounts; protected by its lock
 * @own: pages that it holds without charging them to what all devices share
 * @credits: for each CPU, what the device need not charge again
 *
 * Readers take each of these once:
 * @held: pages that the device is charged for: those of its fragments and of its reserve, and its
 *	credit
 * @ceiling: how many these may be now
 * @limit: how many they may be at any time; messages change it
 * @giver: the CPU that gave pages back last, whose magazine serves a CPU with an empty one; a guess
 *	that anybody may change
 * @looked: when look() was there last, in jiffies
 *
 * How soon the device gives pages back, for look():
 * @lock: protects the following, any context; a thread that does not get it does not look
 * @returned: pages that it had given back since it was made, at the last look
 * @began: when this window began, in jiffies
 * @returned_before: pages that it had given back since it was made, when this window began
 * @last_window: pages that it gave back in the window before, for the length of a window
 */
struct ca_account {
	struct list_head entry;
	unsigned int own;
	struct ca_credit __percpu *credits;

	atomic_t held;
	unsigned int ceiling;
	unsigned int limit;
	unsigned int giver;
	unsigned long looked;

	spinlock_t lock;	/* see above */
	unsigned int returned;
	unsigned long began;
	unsigned int returned_before;
	unsigned int last_window;
};

/* Notes that a write has given back pages, whatever becomes of them. Context: Any. */
static inline void ca_account_returned(const struct ca_account *account, unsigned int pages)
{
	this_cpu_add(account->credits->returned, pages);
}

struct page *ca_account_get(struct ca_account *account, unsigned int order, gfp_t gfp);
void ca_account_put(struct ca_account *account, struct page *page, unsigned int order);
void ca_account_give_up(struct ca_account *account, struct page *page, unsigned int order);
void ca_account_defer(struct delayed_work *work, unsigned long delay);

void ca_account_set_limit(struct ca_account *account, unsigned int limit);
void ca_account_trim(struct ca_account *account);
unsigned int ca_account_held(const struct ca_account *account);
int ca_account_open(struct ca_account *account, unsigned int reserve);
void ca_account_close(struct ca_account *account);

int ca_accounts_init(void);
void ca_accounts_exit(void);

#endif /* CA_ACCOUNT_H */
