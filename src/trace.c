// SPDX-License-Identifier: GPL-2.0-only
/* Defines the tracepoints that trace.h declares. */
#include "../dm-crypt-async.h"
#include "base.h"
#include "fragment.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
