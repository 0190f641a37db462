# SPDX-License-Identifier: GPL-2.0-only
"""top: what the devices are doing, live, with latencies."""

import contextlib
import fcntl
import json
import os
import select
import struct
import sys
import termios
import time
import tty

from .common import Problem, colour
from .mapping import Mapping
from .report import (MIB, PHASES, Histogram, describe, lines_on_module,
                     mappings_on_module, share_of)

LOCK = "/run/crypt-async.lock"
FLOCK = struct.Struct("hhqqi4x")        # flock64, as C lays it out
SHARES = ("50", "99")           # percent
DIRECTIONS = (("read", "reads", "read_bytes"),
              ("write", "writes", "written_bytes"))


def _time(us):
    if us is None:
        return "-"
    if us < 1000:
        return f"{us:.0f} us"
    return f"{us / 1000:.0f} ms" if us < 1e6 else f"{us / 1e6:.0f} s"


class Measuring:
    """Latency is measured as long as anybody looks: each one who does holds a
    shared lock on the mapping's byte of a file, which the kernel drops if he
    is killed, and who finds no other one at the end switches it off."""

    def __init__(self, mapping, sector):
        self._mapping, self._sector = mapping, sector
        self._file = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                             0o600)
        self._lock(fcntl.F_OFD_SETLKW, fcntl.F_RDLCK)
        mapping.message("latency on", sector)

    def _lock(self, command, kind):
        fcntl.fcntl(self._file, command, FLOCK.pack(
            kind, os.SEEK_SET, os.minor(self._mapping.dev), 1, 0))

    def close(self):
        """Look no more."""
        self._lock(fcntl.F_OFD_SETLK, fcntl.F_UNLCK)
        with contextlib.suppress(OSError):      # another one, or no mapping
            self._lock(fcntl.F_OFD_SETLK, fcntl.F_WRLCK)
            self._mapping.message("latency off", self._sector)
        os.close(self._file)


class Watched:
    """A mapping on the screen."""

    def __init__(self, mapping):
        self.mapping = mapping
        self.sector = lines_on_module(mapping)[0].start
        self._measuring = Measuring(mapping, self.sector)
        self.stats = self._stats()
        self.latency = self._latency()
        self.at = time.monotonic()

    def _stats(self):
        return describe(self.mapping)["targets"][0]["statistics"]

    def _latency(self):
        return Histogram(self.mapping.message("latency", self.sector))

    def sample(self):
        """What happened since the last time."""
        stats, latency, now = self._stats(), self._latency(), time.monotonic()
        seconds = now - self.at
        new = {key: stats[key] - self.stats[key] for key in stats}
        recent = latency.since(self.latency)
        self.stats, self.latency, self.at = stats, latency, now
        found = {"name": self.mapping.shown, "seconds": seconds,
                 "in_flight": stats["in_flight"], "pages": stats["pages"],
                 "errors": stats["errors"]}
        found.update((key, new[key]) for key in (
            "fragments", "inline", "queued", "parked"))
        for direction, ios, size in DIRECTIONS:
            found[direction] = {
                "per_second": new[ios] / seconds,
                "bytes_per_second": new[size] / seconds,
                "latency_us": {phase: {share: recent.percentile(
                    direction, phase, int(share) / 100) for share in SHARES}
                    for phase in PHASES}}
        return found

    def close(self):
        """Measure no more."""
        self._measuring.close()


def rows(found):
    """A sample, as lines."""
    done = found["fragments"]
    yield (f"{colour(1, found['name']):20} "
           f"{found['in_flight']} in flight, "
           f"{found['pages'] * 4} KiB of memory, "
           f"inline {share_of(found['inline'], done)}, shared "
           f"{share_of(found['queued'], done)}, parked {found['parked']}, "
           f"errors {found['errors']}")
    for direction, _, _ in DIRECTIONS:
        here = found[direction]
        times = "  ".join(f"{phase} " + "/".join(map(_time, us.values()))
                          for phase, us in here["latency_us"].items())
        yield (f"  {direction:6}{here['per_second']:9.0f}/s "
               f"{here['bytes_per_second'] / MIB:8.1f} MiB/s  {times}")


def _wait(seconds):
    """Wait; was q pressed?"""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return False
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and sys.stdin.read(1) in ("q", "\x03")


def _screen(watched, count, interval, as_json):
    live = sys.stdout.isatty() and not as_json
    while count is None or count > 0:
        if _wait(interval):
            return
        samples = [each.sample() for each in watched]
        if live:
            print("\033[H\033[J" + "crypt-async top: q ends; times are "
                  "half/99 % of them, at most\n")
        print("\n".join(map(json.dumps, samples) if as_json else (
            row for found in samples for row in rows(found))), flush=True)
        count = count and count - 1


def top(names, count, interval, as_json):
    """crypt-async top"""
    mappings = [Mapping(name) for name in names] or mappings_on_module()
    if not mappings:
        raise Problem("nothing is on crypt-async")
    watched, terminal = [], None
    try:
        for mapping in mappings:
            watched.append(Watched(mapping))
        if sys.stdin.isatty():
            terminal = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        _screen(watched, count, interval, as_json)
    except KeyboardInterrupt:
        pass
    finally:
        if terminal:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, terminal)
        for each in watched:
            each.close()
    return 0
