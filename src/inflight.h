/* SPDX-License-Identifier: GPL-2.0-only */
/* Base bios in flight, by the CPU that they came from, and whether one comes by itself. */
#ifndef CA_INFLIGHT_H
#define CA_INFLIGHT_H

#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/types.h>

#include "probe.h"

/**
 * struct ca_inflight - the base bios of one CPU, for one device
 * @depth: bios of this CPU that have not ended; exact
 * @max: the largest value that @depth has had
 * @probe: whether lone bios are taken to be waited for
 */
struct ca_inflight {
	atomic_t depth;
	unsigned int max;
	struct ca_probe probe;
};

/*
 * The work of a task with bios of one direction and about one size. The size is in the bits that
 * are zero in the address of each task.
 */
static inline unsigned long ca_inflight_work(bool is_write, unsigned int bytes)
{
	return (unsigned long)current ^ (ilog2(bytes) << 1 | is_write);
}

/**
 * ca_inflight_start() - counts a base bio that comes
 * @inflight: the CPU's that it comes from
 * @is_write: its direction
 * @bytes: its size
 *
 * Context: Task, inside submit_bio().
 * Return: whether its submitter waits for it, as far as one can tell.
 */
static inline bool ca_inflight_start(struct ca_inflight *inflight, bool is_write,
				     unsigned int bytes)
{
	unsigned int depth = atomic_inc_return(&inflight->depth);

	if (depth > READ_ONCE(inflight->max))
		WRITE_ONCE(inflight->max, depth);
	if (depth > 1) {
		ca_probe_saw_depth(&inflight->probe);
		return false;
	}
	return ca_probe_is_lone(&inflight->probe, ca_inflight_work(is_write, bytes), jiffies, HZ);
}

/* Whether no other bio has come from that CPU and is still in flight. */
static inline bool ca_inflight_is_one(const struct ca_inflight *inflight)
{
	return atomic_read(&inflight->depth) <= 1;
}

/* A base bio is about to end. */
static inline void ca_inflight_end(struct ca_inflight *inflight)
{
	atomic_dec(&inflight->depth);
}

struct ca_inflight __percpu *ca_inflight_alloc(void);
unsigned int ca_inflight_emit(struct ca_inflight __percpu *inflight, char *result,
			      unsigned int maxlen);

#endif /* CA_INFLIGHT_H */
