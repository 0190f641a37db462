# SPDX-License-Identifier: GPL-2.0-only
"""status --openmetrics: the same in Prometheus' text format, which ends as
OpenMetrics does."""

import errno
import itertools
import os

from .common import MODULE, is_loaded, read
from .report import (PHASES, SETTINGS, Histogram, describe, lines_on_module,
                     mappings_on_module)

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
PREFIX = "crypt_async_"
# The first bucket is of what took less than this, each next one twice as much.
BUCKET = 1024e-9
LATENCY = f"{PREFIX}latency_seconds"

# Of a line of a table: the status's key, the kind, and what it is.
KEYS = {
    "reads": (COUNTER, "Bios that read."),
    "writes": (COUNTER, "Bios that write."),
    "read_bytes": (COUNTER, "Bytes that bios asked to read."),
    "written_bytes": (COUNTER, "Bytes that bios asked to write."),
    "fragments": (COUNTER, "Parts into which bios were split."),
    "inline": (COUNTER, "Fragments converted where they were split."),
    "queued": (COUNTER, "Fragments converted by a worker."),
    "deferred": (COUNTER, "Reads that an interrupt left to a worker."),
    "parked": (COUNTER, "Times that a fragment waited for the driver."),
    "resumed": (COUNTER, "Times that it went on."),
    "trimmed": (COUNTER, "Fragments of writes with less memory than wanted."),
    "mem_waits": (COUNTER, "Writes that waited for memory."),
    "crypto_errors": (COUNTER, "Requests that the crypto driver failed."),
    "auth_errors": (COUNTER, "Units that failed authentication."),
    "driver_timeouts": (COUNTER, "Fragments that the driver left too long."),
    "state_errors": (COUNTER, "Times that the module's state was wrong."),
    "errors": (COUNTER, "Bios ended with an error."),
    "broken": (GAUGE, "1 if its state was wrong, and writes are refused."),
    "in_flight": (GAUGE, "Bios that have not ended."),
    "in_flight_max": (GAUGE, "The most of them that there were."),
}
PAGES = {
    "pages": ("memory_bytes", "Memory held for writes."),
    "cached": ("memory_cached_bytes", "Of it, kept for the next writes."),
}


class Text:
    """Families of samples, of which each is printed once."""

    def __init__(self):
        self._families = {}

    def family(self, name, kind, text):
        """It is there, with samples or without."""
        return self._families.setdefault(name, (kind, text, []))[2]

    def add(self, name, kind, text, value, **labels):
        """A sample of a family."""
        self.family(name, kind, text).append((name, labels, value))

    def bucket(self, name, text, counts, **labels):
        """A histogram of a family, but for a sum, which nobody knows."""
        samples = self.family(name, HISTOGRAM, text)
        sums = list(itertools.accumulate(counts))
        bounds = [f"{BUCKET * (1 << at):.6g}" for at in range(len(sums) - 1)]
        for bound, value in zip((*bounds, "+Inf"), sums):
            samples.append((f"{name}_bucket", {**labels, "le": bound}, value))
        samples.append((f"{name}_count", labels, sums[-1]))

    def lines(self):
        """All of it."""
        for name, (kind, text, samples) in self._families.items():
            yield f"# HELP {name} {text}"
            yield f"# TYPE {name} {kind}"
            for full, labels, value in samples:
                words = ",".join(f'{key}="{_escape(label)}"'
                                 for key, label in labels.items())
                yield f"{full}{{{words}}} {value}" if words \
                    else f"{full} {value}"
        yield "# EOF"


def _escape(label):
    text = str(label).encode(errors="backslashreplace").decode()
    return text.replace("\\", r"\\").replace('"', r'\"').replace("\n", r"\n")


def _add_statistics(text, stats, labels):
    size = os.sysconf("SC_PAGE_SIZE")
    for key, value in stats.items():
        if key in PAGES:
            name, about = PAGES[key]
            text.add(PREFIX + name, GAUGE, about, value * size, **labels)
        elif key in KEYS:
            kind, about = KEYS[key]
            end = "_total" if kind == COUNTER else ""
            text.add(PREFIX + key + end, kind, about, value, **labels)
        elif isinstance(value, int):
            text.add(PREFIX + key, GAUGE, f"{key} of dm-crypt-async(7).",
                     value, **labels)


def _add_mapping(text, mapping):
    for target in describe(mapping)["targets"]:
        labels = {"mapping": mapping.shown, "start": target["start"]}
        settings = target["settings"]
        text.add(f"{PREFIX}mapping_info", GAUGE, "What a mapping is.", 1,
                 **labels, uuid=mapping.uuid, target=target["target"],
                 cipher=target["cipher"], driver=target["driver"],
                 cpus=settings["cpus"])
        for key in SETTINGS:
            if isinstance(settings[key], int):
                text.add(f"{PREFIX}setting", GAUGE, "A setting.",
                         settings[key], **labels, setting=key)
        _add_statistics(text, target["statistics"], labels)
    for line in lines_on_module(mapping):
        found = Histogram(mapping.message("latency", line.start))
        for direction, phase in itertools.product(("read", "write"), PHASES):
            text.bucket(
                LATENCY, "How long fragments took, while that is measured.",
                found.counts[direction, phase], mapping=mapping.shown,
                start=line.start, direction=direction, phase=phase)


def openmetrics(mappings):
    """The lines for some mappings, or all on the module."""
    text = Text()
    text.family(f"{PREFIX}mappings", GAUGE, "Mappings on crypt-async.")
    found = 0
    if is_loaded(MODULE):
        text.add(f"{PREFIX}module_info", GAUGE, "The module.", 1,
                 version=read(f"/sys/module/{MODULE}/version") or "")
        for mapping in mappings or mappings_on_module():
            try:
                _add_mapping(text, mapping)
                found += 1
            except OSError as error:
                if error.errno != errno.ENXIO:      # it went away
                    raise
    text.add(f"{PREFIX}mappings", GAUGE, "", found)
    return text.lines()
