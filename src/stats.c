// SPDX-License-Identifier: GPL-2.0-only
/* The status line: the counters of a device, its settings and its health. */
#include "stats.h"

#include <linux/cpumask.h>

#include "../dm-crypt-async.h"
#include "account.h"
#include "cipher.h"
#include "dispatch.h"
#include "inflight.h"
#include "magazine.h"
#include "tune.h"
#include "watchdog.h"

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
	[CA_STAT_MEM_WAITS]	= "mem_waits",
	[CA_STAT_CRYPTO_ERRORS]	= "crypto_errors",
	[CA_STAT_AUTH_ERRORS]	= "auth_errors",
	[CA_STAT_DRIVER_TIMEOUTS] = "driver_timeouts",
	[CA_STAT_STATE_ERRORS]	= "state_errors",
	[CA_STAT_ERRORS]	= "errors",
};

/* The sum over all CPUs; approximate on a running device: CPUs are summed without locking. */
static u64 sum_of(const struct ca_device *ca, enum ca_stat what)
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
	       sum_of(ca, CA_STAT_INLINE) + sum_of(ca, CA_STAT_QUEUED));
	for (i = 0; i < CA_STAT_COUNT; i++)
		DMEMIT(" %s=%llu", ca_stat_names[i], sum_of(ca, i));
	DMEMIT(" broken=%d", ca_watchdog_is_broken(&ca->watchdog));
	sz += ca_inflight_emit(ca->inflight, result + sz, maxlen - sz);
	DMEMIT(" pages=%u cached=%u", ca_account_held(&ca->pages.account), ca_magazine_cached());
	sz += ca_tune_emit(ca, result + sz, maxlen - sz);
	sz += ca_dispatch_emit(ca, result + sz, maxlen - sz);
	return sz;
}
