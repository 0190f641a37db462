/* SPDX-License-Identifier: GPL-2.0-only */
/* Histograms of how long the phases of a fragment take. */
#ifndef CA_LATENCY_H
#define CA_LATENCY_H

#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/types.h>

enum ca_phase {
	CA_PHASE_QUEUE,		/* the fragment waits for a worker or a soft interrupt */
	CA_PHASE_CONVERT,	/* it is converted, waiting for the crypto driver included */
	CA_PHASE_DEVICE,	/* the lower device has it; of a read, all or a part */
	CA_PHASES
};

/* Bucket 0 counts times below 1024 ns, bucket n times from 1024 << (n - 1) to below 1024 << n. */
#define CA_BUCKET_SHIFT	10
#define CA_BUCKETS	24	/* the last one counts all the rest: 4.3 s and more */

struct ca_histograms {
	u64 count[2][CA_PHASES][CA_BUCKETS];	/* READ, WRITE */
};

/**
 * struct ca_latency - a device's histograms
 * @histograms: one for each CPU; NULL until they were switched on for the first time
 * @is_on: times are taken; changes by message, read without a lock
 */
struct ca_latency {
	struct ca_histograms __percpu *histograms;
	bool is_on;
};

/* Return: the time in ns, 0 while the histograms are off. */
static inline u64 ca_latency_begin(const struct ca_latency *latency)
{
	/* Pairs with the release in latency.c: a reader of the flag sees the histograms as well. */
	return unlikely(smp_load_acquire(&latency->is_on)) ? ktime_get_ns() : 0;
}

void ca_latency_add(const struct ca_latency *latency, bool is_write, enum ca_phase phase,
		    u64 since);

/* Counts a phase that began at *@since, if times were taken then, and forgets that time. */
static inline void ca_latency_end(const struct ca_latency *latency, bool is_write,
				  enum ca_phase phase, u64 *since)
{
	if (unlikely(*since)) {
		ca_latency_add(latency, is_write, phase, *since);
		*since = 0;
	}
}

int ca_latency_message(struct ca_latency *latency, unsigned int argc, char **argv, char *result,
		       unsigned int maxlen);
void ca_latency_exit(struct ca_latency *latency);

#endif /* CA_LATENCY_H */
