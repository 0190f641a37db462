// SPDX-License-Identifier: GPL-2.0-only
/*
 * Histograms of how long the phases of a fragment take, for each device:
 *
 *	latency on	begins, from zero; nothing if they are on
 *	latency off	ends; the counts stay
 *	latency		answers with six lines: read or write, a phase, CA_BUCKETS counts
 *
 * While they are off, a fragment costs a look at a flag.
 */
#include "latency.h"

#include <linux/cpumask.h>
#include <linux/device-mapper.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/string.h>

static const char * const phase_names[CA_PHASES] = {
	[CA_PHASE_QUEUE]	= "queue",
	[CA_PHASE_CONVERT]	= "convert",
	[CA_PHASE_DEVICE]	= "device",
};

/**
 * ca_latency_add() - counts how long a phase took
 * @latency: the device's
 * @is_write: the direction
 * @phase: the phase
 * @since: when it began, in ns, as ca_latency_begin() said; not 0
 *
 * Context: Any.
 */
void ca_latency_add(const struct ca_latency *latency, bool is_write, enum ca_phase phase,
		    u64 since)
{
	struct ca_histograms __percpu *histograms = READ_ONCE(latency->histograms);
	u64 units = (ktime_get_ns() - since) >> CA_BUCKET_SHIFT;
	unsigned int bucket = units ? min(ilog2(units) + 1, CA_BUCKETS - 1) : 0;

	this_cpu_inc(histograms->count[is_write][phase][bucket]);
}

static int switch_on(struct ca_latency *latency)
{
	int cpu;

	if (latency->is_on)
		return 0;
	if (!latency->histograms) {
		struct ca_histograms __percpu *histograms = alloc_percpu(struct ca_histograms);

		if (!histograms)
			return -ENOMEM;
		WRITE_ONCE(latency->histograms, histograms);
	}
	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(cpu)
		memset(per_cpu_ptr(latency->histograms, cpu), 0, sizeof(*latency->histograms));
	/* Pairs with the acquire in ca_latency_begin(). */
	smp_store_release(&latency->is_on, true);
	return 0;
}

static void emit_phase(const struct ca_latency *latency, int dir, enum ca_phase phase,
		       char *result, unsigned int maxlen, unsigned int *size)
{
	unsigned int sz = *size;
	int bucket;
	int cpu;

	DMEMIT("%s%s %s", sz ? "\n" : "", dir == WRITE ? "write" : "read", phase_names[phase]);
	for (bucket = 0; bucket < CA_BUCKETS; bucket++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu) {
			const struct ca_histograms *one;

			if (!latency->histograms)
				break;
			one = per_cpu_ptr(latency->histograms, cpu);
			sum += READ_ONCE(one->count[dir][phase][bucket]);
		}
		DMEMIT(" %llu", sum);
	}
	*size = sz;
}

/**
 * ca_latency_message() - carries out the message "latency"
 * @latency: the device's
 * @argc: number of words after it
 * @argv: these
 * @result: for the answer
 * @maxlen: bytes there
 *
 * Context: Task; one caller at a time.
 * Return: 0; 1 with an answer; -EINVAL for other words; -ENOMEM.
 */
int ca_latency_message(struct ca_latency *latency, unsigned int argc, char **argv, char *result,
		       unsigned int maxlen)
{
	unsigned int size = 0;
	int phase;
	int dir;

	if (argc == 1 && !strcmp(argv[0], "on"))
		return switch_on(latency);
	if (argc == 1 && !strcmp(argv[0], "off")) {
		WRITE_ONCE(latency->is_on, false);
		return 0;
	}
	if (argc)
		return -EINVAL;
	for (dir = READ; dir <= WRITE; dir++)
		for (phase = 0; phase < CA_PHASES; phase++)
			emit_phase(latency, dir, phase, result, maxlen, &size);
	return 1;
}

/**
 * ca_latency_exit() - frees the histograms
 * @latency: of a device with no bio in flight
 */
void ca_latency_exit(struct ca_latency *latency)
{
	free_percpu(latency->histograms);
}
