# SPDX-License-Identifier: GPL-2.0-only
"""status and top: what the devices are doing."""

import contextlib
import fcntl
import itertools
import json
import os
import select
import shlex
import struct
import sys
import termios
import time
import tty

from .common import CRYPT_ASYNC, Problem, colour, is_loaded
from .mapping import Mapping, encrypted, stands_in

MIB = 1 << 20
PHASES = ("queue", "convert", "device")
LOCK = "/run/crypt-async.lock"
SETTINGS = ("fragment_kib", "inline_kib", "page_limit", "cpus")
FAULTS = ("crypto_errors", "auth_errors", "driver_timeouts", "state_errors",
          "errors")


def is_on_module(line):
    """Is a line of a table on this module, under either name?"""
    return line.is_crypt and (line.target == CRYPT_ASYNC or stands_in())


def mappings_on_module():
    """Those that have a line on this module."""
    return [mapping for mapping, lines in encrypted()
            if any(map(is_on_module, lines))]


def is_synchronous(driver):
    """Does a crypto driver answer at once? None if nobody says."""
    with open("/proc/crypto", encoding="ascii") as file:
        entries = file.read().split("\n\n")
    for entry in entries:
        fields = dict((part.strip() for part in line.split(":", 1))
                      for line in entry.splitlines() if ":" in line)
        if fields.get("driver") == driver and "async" in fields:
            return fields["async"] == "no"
    return None


def describe(mapping):
    """Everything about a mapping, for JSON."""
    lines = [line for line in mapping.table() if is_on_module(line)]
    if not lines:
        raise Problem(f"{mapping.shown} is not on crypt-async: crypt-async "
                      f"adopt {shlex.quote(mapping.shown)} moves it")
    found = mapping.status()
    targets = []
    for line, status in zip(lines, found):
        driver = status.get("driver")
        keyring = line.keyring
        targets.append({
            "start": line.start, "sectors": line.length,
            "target": line.target, "cipher": line.words[0],
            "device": line.device, "offset": int(line.words[4]),
            "options": line.options,
            "key": f"in a keyring: {keyring[2]}" if keyring else "in digits",
            "driver": driver, "synchronous": is_synchronous(driver),
            "settings": {key: status[key] for key in SETTINGS},
            "statistics": {key: value for key, value in status.items()
                           if key not in SETTINGS and key != "driver"}})
    return {"name": mapping.shown, "uuid": mapping.uuid, "targets": targets}


def _share(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _print(found):
    print(colour(1, found["name"]), found["uuid"])
    for target in found["targets"]:
        how = {True: "synchronous", False: "asynchronous",
               None: "nobody says whether synchronous"}
        stats, settings = target["statistics"], target["settings"]
        done = stats["fragments"]
        print(f"  target     {target['target']} from sector "
              f"{target['start']}, {target['sectors']} sectors")
        print(f"  cipher     {target['cipher']}, key {target['key']}")
        print(f"  driver     {target['driver']}, "
              f"{how[target['synchronous']]}")
        print(f"  on         {target['device']} from sector "
              f"{target['offset']}")
        print(f"  options    {' '.join(target['options']) or 'none'}")
        print("  settings  ", *(f"{key}={settings[key]}"
                                for key in SETTINGS))
        print(f"  done       {stats['reads']} reads, "
              f"{stats['read_bytes'] / MIB:.0f} MiB; {stats['writes']} "
              f"writes, {stats['written_bytes'] / MIB:.0f} MiB")
        print(f"  where      {_share(stats['inline'], done)} where they were "
              f"split, {_share(stats['queued'], done)} by other workers; "
              f"{stats['deferred']} reads left by an interrupt")
        print(f"  waiting    {stats['parked']} times for the driver, "
              f"{stats['mem_waits']} writes for memory")
        print(f"  in flight  {stats['in_flight']}, at most "
              f"{stats['in_flight_max']}")
        print(f"  memory     {stats['pages'] * 4} KiB, of it "
              f"{stats['cached'] * 4} KiB kept for the next writes")
        bad = {key: stats[key] for key in FAULTS if stats[key]}
        if stats["broken"]:
            print("  " + colour(31, "broken") + "     the module found its "
                  "own state wrong: writes are refused, reads go on")
        if bad:
            print("  " + colour(31, "errors") + "     ", end="")
            print(", ".join(f"{value} {key}" for key, value in bad.items()))


def status(names, as_json):
    """crypt-async status"""
    if not is_loaded("dm_crypt_async"):
        if as_json:
            print("[]")
            return 0
        raise Problem("the module is not loaded: crypt-async adopt does so")
    mappings = [Mapping(name) for name in names] or mappings_on_module()
    found = [describe(mapping) for mapping in mappings]
    if as_json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return 0
    for each in found:
        _print(each)
    if not found:
        print("nothing is on crypt-async")
    return 0


class Histogram:
    """The latencies of a mapping, from its message."""

    def __init__(self, text):
        self.counts = {}
        for line in text.splitlines():
            direction, phase, *counts = line.split()
            self.counts[direction, phase] = [int(n) for n in counts]

    def since(self, before):
        """What was counted since an earlier one."""
        new = Histogram("")
        new.counts = {key: [now - then for now, then in
                            zip(counts, before.counts[key])]
                      for key, counts in self.counts.items()}
        return new

    def percentile(self, direction, phase, share):
        """An upper bound of what this share took, in µs; None of nothing."""
        counts = self.counts[direction, phase]
        wanted = share * sum(counts)
        if not wanted:
            return None
        bucket = next((number for number, seen
                       in enumerate(itertools.accumulate(counts))
                       if seen >= wanted), len(counts) - 1)
        return 1.024 * (1 << bucket)


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
        fcntl.fcntl(self._file, command, struct.pack(
            "hhqqi4x", kind, os.SEEK_SET, os.minor(self._mapping.dev), 1, 0))

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
        self.sector = next(line.start for line in mapping.table()
                           if is_on_module(line))
        self._measuring = Measuring(mapping, self.sector)
        self.stats = self._stats()
        self.latency = self._latency()
        self.at = time.monotonic()

    def _stats(self):
        return describe(self.mapping)["targets"][0]["statistics"]

    def _latency(self):
        return Histogram(self.mapping.message("latency", self.sector))

    def rows(self):
        """What happened since the last time, as lines."""
        stats, latency, now = self._stats(), self._latency(), time.monotonic()
        seconds = now - self.at
        new = {key: stats[key] - self.stats[key] for key in stats}
        recent = latency.since(self.latency)
        self.stats, self.latency, self.at = stats, latency, now
        done = new["fragments"]
        yield (f"{colour(1, self.mapping.shown):20} "
               f"{stats['in_flight']} in flight, "
               f"{stats['pages'] * 4} KiB of memory, "
               f"inline {_share(new['inline'], done)}, shared "
               f"{_share(new['queued'], done)}, parked {new['parked']}, "
               f"errors {stats['errors']}")
        for direction, ios, size in (("read", "reads", "read_bytes"),
                                     ("write", "writes", "written_bytes")):
            times = "  ".join(
                f"{phase} " + "/".join(
                    _time(recent.percentile(direction, phase, share))
                    for share in (0.5, 0.99)) for phase in PHASES)
            yield (f"  {direction:6}{new[ios] / seconds:9.0f}/s "
                   f"{new[size] / seconds / MIB:8.1f} MiB/s  {times}")

    def close(self):
        """Measure no more."""
        self._measuring.close()


def _wait(seconds):
    """Wait; was q pressed?"""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return False
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and sys.stdin.read(1) in ("q", "\x03")


def _screen(watched, count, interval):
    live = sys.stdout.isatty()
    while count is None or count > 0:
        if _wait(interval):
            return
        text = "\n".join(row for each in watched for row in each.rows())
        if live:
            print("\033[H\033[J" + "crypt-async top: q ends; times are "
                  "half/99 % of them, at most\n")
        print(text, flush=True)
        count = count and count - 1


def top(names, count, interval):
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
        _screen(watched, count, interval)
    except KeyboardInterrupt:
        pass
    finally:
        if terminal:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, terminal)
        for each in watched:
            each.close()
    return 0
