/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIMCLOCK_TYPES_H
#define SIMCLOCK_TYPES_H

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#endif
