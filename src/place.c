// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chooses the CPU on which a worker is woken that shares a bio with its submitter.
 *
 * Left to the scheduler, a worker is often woken on the submitter's own CPU though others are idle:
 * the busier a cache's CPUs are on average, the fewer of them are looked at, and a workqueue keeps
 * its workers among the CPUs that share a cache with the waker, which is alone there in many a
 * virtual machine. And it stays where it was last, so that a bad start lasts. So whoever shares a
 * bio chooses the CPU. Nothing tells whether a CPU is idle; but one on which a worker began late
 * has other work, and is left out for a while.
 */
#include "place.h"

#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/topology.h>

/* A worker that begins later than this after it was woken has begun late, in ns. */
#define LATE_NS		(NSEC_PER_MSEC / 2)

/*
 * After so many late starts in turn, a CPU is taken to be busy with another task. A single one may
 * come from a deep sleep of the CPU.
 */
#define LATE_STARTS	2U

/* For so long such a CPU is left out, in jiffies; then one late start is enough. */
#define LATE_JIFFIES	(HZ / 50)

/**
 * struct place - what is known of a CPU, for all devices together
 * @taken: a worker has been woken there to share a bio, and runs or is about to
 * @late_starts: how many have begun late since one did in time, LATE_STARTS at most
 * @late: when the last one did, in jiffies
 *
 * The latter two are guesses: a worker that begins for one device may not see what one of another
 * device has noted.
 */
struct place {
	atomic_t taken;
	unsigned int late_starts;
	unsigned long late;
};

static DEFINE_PER_CPU(struct place, places);

/*
 * Where a CPU is, seen from another one, best first: another core of the same node, whose memory is
 * near; a core of another node; another thread of the same core, which halves what both do.
 */
enum distance {
	SAME_NODE,
	OTHER_NODE,
	SAME_CORE,
	NOWHERE,
};

static enum distance distance(int from, int to)
{
	if (cpumask_test_cpu(to, topology_sibling_cpumask(from)))
		return SAME_CORE;
	return cpu_to_node(from) == cpu_to_node(to) ? SAME_NODE : OTHER_NODE;
}

static bool is_free(int cpu)
{
	const struct place *place = per_cpu_ptr(&places, cpu);

	return cpu_online(cpu) && !atomic_read(&place->taken) &&
	       (READ_ONCE(place->late_starts) < LATE_STARTS ||
		jiffies - READ_ONCE(place->late) >= LATE_JIFFIES);
}

/* Return: the best free CPU, -1 if there is none. */
static int find_free(const struct cpumask *allowed)
{
	const int here = raw_smp_processor_id();
	enum distance best = NOWHERE;
	int found = -1;
	int cpu;

	for_each_cpu_wrap(cpu, allowed, here) {
		enum distance far = cpu == here || !is_free(cpu) ? NOWHERE : distance(here, cpu);

		if (far >= best)
			continue;
		best = far;
		found = cpu;
		if (best == SAME_NODE)
			break;
	}
	return found;
}

/**
 * ca_place_take() - chooses a CPU to wake a worker on, and takes it
 * @allowed: the CPUs on which workers may run
 *
 * A CPU that goes offline after that runs its work elsewhere.
 *
 * Context: Any, with interrupts disabled.
 * Return: another CPU than this one, to be given back with ca_place_leave(); -1 if none is free.
 */
int ca_place_take(const struct cpumask *allowed)
{
	int cpu;

	/* Another device may take the CPU between find_free() and here: then choose again. */
	do
		cpu = find_free(allowed);
	while (cpu >= 0 && atomic_cmpxchg(&per_cpu_ptr(&places, cpu)->taken, 0, 1));
	return cpu;
}

/**
 * ca_place_note_start() - takes note of how long a worker took to begin
 * @cpu: where it was woken
 * @woken: when, as ktime_get_ns() counts
 */
void ca_place_note_start(int cpu, u64 woken)
{
	struct place *place = per_cpu_ptr(&places, cpu);

	if (ktime_get_ns() - woken < LATE_NS) {
		WRITE_ONCE(place->late_starts, 0);
		return;
	}
	WRITE_ONCE(place->late, jiffies);
	WRITE_ONCE(place->late_starts, min(READ_ONCE(place->late_starts) + 1, LATE_STARTS));
}

/**
 * ca_place_leave() - gives a CPU back
 * @cpu: the CPU
 */
void ca_place_leave(int cpu)
{
	atomic_set(&per_cpu_ptr(&places, cpu)->taken, 0);
}
