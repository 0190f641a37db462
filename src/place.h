/* SPDX-License-Identifier: GPL-2.0-only */
/* Chooses the CPUs on which workers are woken that share a bio with its submitter. */
#ifndef CA_PLACE_H
#define CA_PLACE_H

#include <linux/cpumask.h>
#include <linux/types.h>

int ca_place_take(const struct cpumask *allowed);
void ca_place_note_start(int cpu, u64 woken);
void ca_place_leave(int cpu);

#endif /* CA_PLACE_H */
