// SPDX-License-Identifier: GPL-2.0-only
/*
 * Soft interrupts of our own run the jobs of hard interrupts. This file also accounts the time that
 * conversions in any soft interrupt take from a CPU.
 *
 * They are tasklets on every kernel: a workqueue of soft interrupts (system_bh_wq) takes some 900
 * instructions more for each read.
 */
#include "softirq.h"

#include <linux/cpumask.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>

#include "decide.h"
#include "workers.h"

/*
 * Soft interrupts may convert for SOFTIRQ_SPENT of each SOFTIRQ_WINDOW on a CPU, for SOFTIRQ_IDLE
 * if it was idle, in ns.
 */
#define SOFTIRQ_WINDOW	(4 * NSEC_PER_MSEC)
#define SOFTIRQ_SPENT	(1 * NSEC_PER_MSEC)
#define SOFTIRQ_IDLE	(3 * NSEC_PER_MSEC)

/* Of all devices together. */
struct softirq_time {
	u64 since;
	u64 spent;
};

static DEFINE_PER_CPU(struct softirq_time, softirq_time);

/**
 * ca_softirq_is_spent() - says whether soft interrupts have converted for long enough here for now
 * @now: the time as local_clock() counts
 *
 * On a CPU that was idle no task waits until one is woken; but other soft interrupts may.
 *
 * Context: Soft interrupt.
 * Return: whether they have.
 */
bool ca_softirq_is_spent(u64 now)
{
	bool is_wanted = !is_idle_task(current) || need_resched();
	struct softirq_time *time = raw_cpu_ptr(&softirq_time);

	if (now - time->since > SOFTIRQ_WINDOW) {
		time->since = now;
		time->spent = 0;
	}
	return time->spent > (is_wanted ? SOFTIRQ_SPENT : SOFTIRQ_IDLE);
}

/**
 * ca_softirq_account() - accounts the time that a soft interrupt took to convert something
 * @since: when it began, as local_clock() counts
 *
 * Context: Soft interrupt, or a task in which a bio completed, which is not accounted.
 * Return: the time in ns, one second at most.
 */
u64 ca_softirq_account(u64 since)
{
	u64 spent = min_t(u64, local_clock() - since, NSEC_PER_SEC);

	if (!in_task())
		raw_cpu_ptr(&softirq_time)->spent += spent;
	return spent;
}

static void tasklet_fn(struct tasklet_struct *tasklet)
{
	struct ca_softirq *softirq = container_of(tasklet, struct ca_softirq, tasklet);
	struct llist_node *list = llist_reverse_order(llist_del_all(&softirq->completed));
	struct ca_job *job;
	struct ca_job *next;

	/* cppcheck-suppress unknownMacro */
	llist_for_each_entry_safe(job, next, list, completed)
		job->run(job, CA_FROM_SOFTIRQ);
}

/**
 * ca_softirq_add() - has a soft interrupt of this CPU run a job
 * @softirqs: the device's
 * @job: the job, with its function
 *
 * Context: Hard interrupt, or interrupts disabled.
 */
void ca_softirq_add(struct ca_softirq __percpu *softirqs, struct ca_job *job)
{
	struct ca_softirq *softirq = this_cpu_ptr(softirqs);

	if (llist_add(&job->completed, &softirq->completed))
		tasklet_schedule(&softirq->tasklet);
}

/**
 * ca_softirq_alloc() - makes the soft interrupts of a device
 *
 * Return: one for each CPU; NULL if there is no memory.
 */
struct ca_softirq __percpu *ca_softirq_alloc(void)
{
	struct ca_softirq __percpu *softirqs = alloc_percpu(struct ca_softirq);
	int i;

	if (!softirqs)
		return NULL;
	for_each_possible_cpu(i) {
		struct ca_softirq *softirq = per_cpu_ptr(softirqs, i);

		init_llist_head(&softirq->completed);
		tasklet_setup(&softirq->tasklet, tasklet_fn);
	}
	return softirqs;
}

/**
 * ca_softirq_free() - waits for the soft interrupts of a device and frees them
 * @softirqs: of a device with no bio in flight
 */
void ca_softirq_free(struct ca_softirq __percpu *softirqs)
{
	int i;

	for_each_possible_cpu(i)
		tasklet_kill(&per_cpu_ptr(softirqs, i)->tasklet);
	free_percpu(softirqs);
}
