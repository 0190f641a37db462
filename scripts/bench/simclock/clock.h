/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIMCLOCK_CLOCK_H
#define SIMCLOCK_CLOCK_H

#include <stdbool.h>
#include <stdio.h>

#include "qemu.h"
#include "types.h"

#define MAX_VCPUS	64
#define PS_PER_NS	1000ull

/* Immutable once the guest runs. */
struct clock_settings {
	u64 quantum;		/* ps that a processor may be ahead of the machine's time */
	u64 wake;		/* ps from an interrupt to a halted processor's first instruction */
	long inside_ns;		/* of the host, for which one that is ahead waits in its block */
	long outside_ns;	/* and for which it waits after that, before it goes on */
	FILE *busy;		/* gets how long each processor was busy, or NULL */
};

extern struct clock_settings clock_settings;
extern struct simclock_counter clock_counter;

void clock_set_main_loop(void);
s64 clock_now_ns(void);
void clock_add_processor(unsigned int index);
void clock_processor_halts(u64 id, unsigned int index);
void clock_processor_resumes(u64 id, unsigned int index);
void clock_quantum_over(unsigned int index, void *data);
void clock_simulate(bool on);
bool clock_wait_until_halted(long ns);
void clock_jump(void);

#endif
