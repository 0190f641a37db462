# SPDX-License-Identifier: GPL-2.0-only
"""The module's tracepoints, by tracefs."""

import contextlib
import os
import re

import ca
from scratch import write_file

TRACING = "/sys/kernel/tracing"
EVENTS = f"{TRACING}/events/crypt_async"
_EVENT = re.compile(r" *(\S.*?-\d+) +\[\d+\].*? [\d.]+: (.*)")


def mounted():
    """tracefs is there."""
    if not os.path.exists(f"{TRACING}/trace"):
        ca.run("mount", "-t", "tracefs", "none", TRACING)


def recorded():
    """(task, text) of each event in the buffer; then it is empty."""
    with open(f"{TRACING}/trace", encoding="ascii") as file:
        found = [line for line in file if not line.startswith("#")]
    write_file(f"{TRACING}/trace", "")
    events = [_EVENT.match(line) for line in found]
    ca.check(all(events), f"events are legible, none is lost: {found[:3]}")
    return [(event[1], event[2].strip()) for event in events]


@contextlib.contextmanager
def traced(found):
    """All events of the module; they are appended to found."""
    mounted()
    write_file(f"{TRACING}/trace", "")
    write_file(f"{EVENTS}/enable", "1")
    try:
        yield
    finally:
        write_file(f"{EVENTS}/enable", "0")
    found += recorded()
