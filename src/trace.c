// SPDX-License-Identifier: GPL-2.0-only
/* The code behind the tracepoints. */
#include "dm-crypt-async.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
