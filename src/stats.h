/* SPDX-License-Identifier: GPL-2.0-only */
/* The counters of a device, one set for each CPU, and the status line that shows them. */
#ifndef CA_STATS_H
#define CA_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

struct ca_device;

/* Names of the counters: ca_stat_names[] in stats.c. */
enum ca_stat {
	CA_STAT_READS,		/* base bios */
	CA_STAT_WRITES,
	CA_STAT_READ_BYTES,	/* bytes of these */
	CA_STAT_WRITTEN_BYTES,
	CA_STAT_INLINE,		/* fragments converted by a splitter that is no worker */
	CA_STAT_QUEUED,		/* fragments converted by a worker */
	CA_STAT_DEFERRED,	/* reads that an interrupt left to a worker, which splits them */
	CA_STAT_PARKED,		/* times that a fragment waited for the crypto driver or a worker */
	CA_STAT_RESUMED,	/* times that it went on */
	CA_STAT_TRIMMED,	/* write fragments that got fewer pages than they wanted */
	CA_STAT_MEM_WAITS,	/* base bios that had to be handed to a splitter, for memory */
	CA_STAT_CRYPTO_ERRORS,	/* units that the crypto driver failed */
	CA_STAT_AUTH_ERRORS,	/* units whose tag did not match, read twice */
	CA_STAT_DRIVER_TIMEOUTS, /* fragments that the driver did not answer in time */
	CA_STAT_STATE_ERRORS,	/* times that the module's own state was wrong */
	CA_STAT_ERRORS,		/* base bios ended with an error */
	CA_STAT_COUNT
};

struct ca_stats {
	u64 value[CA_STAT_COUNT];
};

/* Any context. */
#define ca_count(ca, what) this_cpu_inc((ca)->stats->value[what])
#define ca_count_bytes(ca, what, n) this_cpu_add((ca)->stats->value[what], n)

unsigned int ca_stats_emit(const struct ca_device *ca, char *result, unsigned int maxlen);

#endif /* CA_STATS_H */
