/* SPDX-License-Identifier: GPL-2.0-only */
/* Soft interrupts of our own: jobs that a hard interrupt leaves to them, and their time. */
#ifndef CA_SOFTIRQ_H
#define CA_SOFTIRQ_H

#include <linux/interrupt.h>
#include <linux/llist.h>
#include <linux/percpu.h>
#include <linux/types.h>

struct ca_job;

/**
 * struct ca_softirq - a device's soft interrupt on one CPU
 * @completed: jobs that wait for it; added on its CPU, with interrupts disabled
 * @tasklet: runs them
 */
struct ca_softirq {
	struct llist_head completed;
	struct tasklet_struct tasklet;
};

struct ca_softirq __percpu *ca_softirq_alloc(void);
void ca_softirq_free(struct ca_softirq __percpu *softirqs);
void ca_softirq_add(struct ca_softirq __percpu *softirqs, struct ca_job *job);
bool ca_softirq_is_spent(u64 now);
u64 ca_softirq_account(u64 since);

#endif /* CA_SOFTIRQ_H */
