// SPDX-License-Identifier: GPL-2.0-only
/* What a device counts, and how its status line shows it. */
#include "dm-crypt-async.h"

static const char * const ca_stat_names[CA_STAT_COUNT] = {
	[CA_STAT_READS]		= "reads",
	[CA_STAT_WRITES]	= "writes",
	[CA_STAT_READ_BYTES]	= "read_bytes",
	[CA_STAT_WRITTEN_BYTES]	= "written_bytes",
	[CA_STAT_INLINE]	= "inline",
	[CA_STAT_QUEUED]	= "queued",
	[CA_STAT_DEFERRED]	= "deferred",
	[CA_STAT_PARKED]	= "parked",
	[CA_STAT_RESUMED]	= "resumed",
	[CA_STAT_TRIMMED]	= "trimmed",
	[CA_STAT_WAITED]	= "waited",
	[CA_STAT_REFUSED]	= "refused",
	[CA_STAT_FORGED]	= "forged",
	[CA_STAT_OVERDUE]	= "overdue",
	[CA_STAT_ERRORS]	= "errors",
};

/**
 * ca_stats_sum() - one counter over all CPUs
 * @ca: the device
 * @what: the counter
 *
 * Return: its value; the sum of a running device is not a moment's.
 */
u64 ca_stats_sum(const struct ca_device *ca, enum ca_stat what)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(ca->stats, cpu)->value[what]);
	return sum;
}

/**
 * ca_stats_emit() - writes the status line
 * @ca: the device
 * @result: where to
 * @maxlen: bytes there
 *
 * Return: bytes written.
 */
unsigned int ca_stats_emit(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;
	int i;

	DMEMIT("driver=%s fragments=%llu", ca_cipher_driver(&ca->cipher),
	       ca_stats_sum(ca, CA_STAT_INLINE) + ca_stats_sum(ca, CA_STAT_QUEUED));
	for (i = 0; i < CA_STAT_COUNT; i++)
		DMEMIT(" %s=%llu", ca_stat_names[i], ca_stats_sum(ca, i));
	sz += ca_dispatch_emit_depth(ca, result + sz, maxlen - sz);
	DMEMIT(" pages=%d cached=%u", atomic_read(&ca->pages_held), ca_pages_cached(ca));
	sz += ca_tune_emit(ca, result + sz, maxlen - sz);
	return sz;
}
