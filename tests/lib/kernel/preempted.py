# SPDX-License-Identifier: GPL-2.0-only
"""A submitter from whom every worker takes the CPU."""

import contextlib
import os
import re

import scratch
import ca

_MODEL = "/sys/kernel/debug/sched/preempt"


@contextlib.contextmanager
def preempted(mapping):
    """Give this thread CPU 0 when nothing else wants it, in the kernel too,
    and have the device's workers there: whatever a worker can do at once is
    done before the one who left it to him goes on."""
    try:
        with open(_MODEL, encoding="ascii") as file:
            model = re.search(r"\((\w+)\)", file.read())[1]
    except FileNotFoundError:
        ca.skip("this kernel does not let its preemption model be chosen")
    none = os.sched_param(0)
    with contextlib.ExitStack() as undo:
        undo.callback(mapping.message, "tune reset")
        mapping.message("tune cpus=0")
        undo.callback(scratch.write_file, _MODEL, model)
        scratch.write_file(_MODEL, "full")
        undo.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {0})
        undo.callback(os.sched_setscheduler, 0, os.SCHED_OTHER, none)
        os.sched_setscheduler(0, os.SCHED_IDLE, none)
        yield
