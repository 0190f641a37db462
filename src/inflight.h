/* SPDX-License-Identifier: GPL-2.0-only */
/* Base bios in flight, by the CPU that they came from, and whether one comes by itself. */
#ifndef CA_INFLIGHT_H
#define CA_INFLIGHT_H

#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/types.h>

/*
 * Now and then a bio that comes alone is treated as if another one followed, to see whether its
 * submitter would go on: a probe. The first one comes after CA_PROBE_MIN lone bios; then the gap
 * doubles, up to CA_PROBE_MAX. CA_PROBE_JIFFIES after a probe there is another one at the latest,
 * if CA_PROBE_MIN lone bios have come.
 */
#define CA_PROBE_MIN		16
#define CA_PROBE_MAX		4096
#define CA_PROBE_JIFFIES	(HZ / 10)

/* After a bio that came while another one was in flight, so many lone ones are treated like it. */
#define CA_DEEP_BIOS		16

/**
 * struct ca_inflight - the base bios of one CPU, for one device
 * @depth: bios of this CPU that have not ended
 * @max: the largest value that @depth has had
 * @deep: further lone bios that are treated as if another one was in flight
 * @singles: lone bios since the last probe
 * @gap: lone bios from one probe to the next
 * @probed: when the last probe was, in jiffies
 *
 * Tasks that run on the CPU use it without a lock: a number that is lost when a task changes its
 * CPU meanwhile does no harm. @depth is exact.
 */
struct ca_inflight {
	atomic_t depth;
	unsigned int max;
	unsigned int deep;
	unsigned int singles;
	unsigned int gap;
	unsigned long probed;
};

/**
 * ca_inflight_start() - counts a base bio that comes
 * @inflight: the CPU's that it comes from
 *
 * A device that completes within submit_bio() never lets two bios be in flight: to see whether the
 * submitter would go on, a bio now and then is treated as if another one followed. Tasks that are
 * preempted or moved meanwhile may lose a count, which does no harm.
 *
 * Context: Task, below submit_bio().
 * Return: whether its submitter waits for it, as far as one can tell.
 */
static inline bool ca_inflight_start(struct ca_inflight *inflight)
{
	unsigned int depth = atomic_inc_return(&inflight->depth);
	unsigned int deep = READ_ONCE(inflight->deep);
	unsigned int gap = READ_ONCE(inflight->gap);
	unsigned int singles;

	if (depth > READ_ONCE(inflight->max))
		WRITE_ONCE(inflight->max, depth);
	if (depth > 1) {
		WRITE_ONCE(inflight->deep, CA_DEEP_BIOS);
		WRITE_ONCE(inflight->gap, CA_PROBE_MIN);
		return false;
	}
	if (deep) {
		WRITE_ONCE(inflight->deep, deep - 1);
		return false;
	}
	singles = READ_ONCE(inflight->singles) + 1;
	if (singles < gap && (singles < CA_PROBE_MIN ||
			      jiffies - READ_ONCE(inflight->probed) < CA_PROBE_JIFFIES)) {
		WRITE_ONCE(inflight->singles, singles);
		return true;
	}
	WRITE_ONCE(inflight->singles, 0);
	WRITE_ONCE(inflight->probed, jiffies);
	WRITE_ONCE(inflight->gap, min(2 * gap, CA_PROBE_MAX));
	return false;
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
