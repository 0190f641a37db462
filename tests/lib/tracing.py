# SPDX-License-Identifier: GPL-2.0-only
"""The module's tracepoints, by tracefs."""

import contextlib
import os

import ca
from scratch import write_file

TRACING = "/sys/kernel/tracing"
EVENTS = f"{TRACING}/events/crypt_async"


@contextlib.contextmanager
def traced(found):
    """All events of the module: (task, text) of each is appended to found."""
    if not os.path.exists(f"{TRACING}/trace"):
        ca.run("mount", "-t", "tracefs", "none", TRACING)
    write_file(f"{TRACING}/trace", "")
    write_file(f"{EVENTS}/enable", "1")
    try:
        yield
    finally:
        write_file(f"{EVENTS}/enable", "0")
        with open(f"{TRACING}/trace", encoding="ascii") as file:
            for line in file:
                if not line.startswith("#"):
                    task, rest = line.split(" [", 1)
                    text = rest.split(": ", 1)[1].strip()
                    found.append((task.strip(), text))
