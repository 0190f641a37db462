// SPDX-License-Identifier: GPL-2.0-only
/*
 * Histograms of how long things take, per device:
 *
 *	latency on	begins, from zero; nothing if they are on
 *	latency off	ends; what was counted stays
 *	latency		answers with six lines: read or write, a phase, CA_BUCKETS counts
 *
 * While they are off, a fragment costs a look at whether they are on.
 */
#include "dm-crypt-async.h"

#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/string.h>

static const char * const phase_names[CA_PHASES] = {
	[CA_PHASE_QUEUE]	= "queue",
	[CA_PHASE_CONVERT]	= "convert",
	[CA_PHASE_DEVICE]	= "device",
};

/**
 * ca_latency_end() - counts how long a phase took
 * @io: the fragment
 * @phase: which
 * @since: when it began; not 0
 *
 * Context: Any.
 */
void ca_latency_end(const struct dm_crypt_io *io, enum ca_phase phase, u64 since)
{
	struct ca_latency __percpu *latency = READ_ONCE(io->ca->latency);
	u64 units = (ktime_get_ns() - since) >> CA_BUCKET_SHIFT;
	unsigned int bucket = units ? min(ilog2(units) + 1, CA_BUCKETS - 1) : 0;

	this_cpu_inc(latency->count[bio_data_dir(io->base_bio)][phase][bucket]);
}

static int switch_on(struct ca_device *ca)
{
	int cpu;

	if (ca->measures_latency)
		return 0;
	if (!ca->latency) {
		struct ca_latency __percpu *latency = alloc_percpu(struct ca_latency);

		if (!latency)
			return -ENOMEM;
		WRITE_ONCE(ca->latency, latency);
	}
	/* cppcheck-suppress unknownMacro */
	for_each_possible_cpu(cpu)
		memset(per_cpu_ptr(ca->latency, cpu), 0, sizeof(*ca->latency));
	/* Pairs with the acquire in ca_latency_begin(). */
	smp_store_release(&ca->measures_latency, true);
	return 0;
}

static void emit_phase(const struct ca_device *ca, int dir, enum ca_phase phase, char *result,
		       unsigned int maxlen, unsigned int *size)
{
	unsigned int sz = *size;
	int bucket;
	int cpu;

	DMEMIT("%s%s %s", sz ? "\n" : "", dir == WRITE ? "write" : "read", phase_names[phase]);
	for (bucket = 0; bucket < CA_BUCKETS; bucket++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu) {
			if (!ca->latency)
				break;
			sum += READ_ONCE(per_cpu_ptr(ca->latency, cpu)->count[dir][phase][bucket]);
		}
		DMEMIT(" %llu", sum);
	}
	*size = sz;
}

/**
 * ca_latency_message() - obeys the message "latency"
 * @ca: the device
 * @argc: number of words behind it
 * @argv: these
 * @result: for the answer
 * @maxlen: bytes there
 *
 * Context: Task; one caller at a time.
 * Return: 0; 1 with an answer; -EINVAL for other words; -ENOMEM.
 */
int ca_latency_message(struct ca_device *ca, unsigned int argc, char **argv, char *result,
		       unsigned int maxlen)
{
	unsigned int size = 0;
	int phase;
	int dir;

	if (argc == 1 && !strcmp(argv[0], "on"))
		return switch_on(ca);
	if (argc == 1 && !strcmp(argv[0], "off")) {
		WRITE_ONCE(ca->measures_latency, false);
		return 0;
	}
	if (argc)
		return -EINVAL;
	for (dir = READ; dir <= WRITE; dir++)
		for (phase = 0; phase < CA_PHASES; phase++)
			emit_phase(ca, dir, phase, result, maxlen, &size);
	return 1;
}

/**
 * ca_latency_exit() - frees the histograms
 * @ca: the device, with no bio in flight
 */
void ca_latency_exit(struct ca_device *ca)
{
	free_percpu(ca->latency);
}
