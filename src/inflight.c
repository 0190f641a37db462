// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes and shows the counts of base bios in flight. inflight.h says how they tell whether a
 * submitter waits for its bio. Then the latency of that bio counts: a small one is converted where
 * it is, a large one is shared with idle CPUs.
 */
#include "inflight.h"

#include <linux/cpumask.h>
#include <linux/device-mapper.h>

#include "probe.h"

/**
 * ca_inflight_emit() - writes how many base bios are in flight, and the maximum
 * @inflight: a device's
 * @result: where to
 * @maxlen: bytes there
 *
 * Each CPU remembers the maximum of its own bios. The sum of these may be somewhat more than were
 * ever in flight at the same time.
 *
 * Return: bytes written.
 */
unsigned int ca_inflight_emit(struct ca_inflight __percpu *inflight, char *result,
			      unsigned int maxlen)
{
	unsigned int now = 0;
	unsigned int max = 0;
	unsigned int sz = 0;
	int i;

	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(i) {
		const struct ca_inflight *cpu = per_cpu_ptr(inflight, i);

		now += atomic_read(&cpu->depth);
		max += READ_ONCE(cpu->max);
	}
	DMEMIT(" in_flight=%u in_flight_max=%u", now, max);
	return sz;
}

/**
 * ca_inflight_alloc() - makes the counts of a device
 *
 * Return: one set for each CPU, for free_percpu(); NULL if there is no memory.
 */
struct ca_inflight __percpu *ca_inflight_alloc(void)
{
	struct ca_inflight __percpu *inflight = alloc_percpu(struct ca_inflight);
	int i;

	if (!inflight)
		return NULL;
	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(i)
		per_cpu_ptr(inflight, i)->probe.gap = CA_PROBE_MIN;
	return inflight;
}
