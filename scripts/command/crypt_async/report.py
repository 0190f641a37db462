# SPDX-License-Identifier: GPL-2.0-only
"""status: what the devices are doing, and have done."""

import itertools
import json
import shlex
import sys

from .common import MODULE, Problem, colour, is_loaded
from .mapping import Mapping, encrypted

MIB = 1 << 20
PHASES = ("queue", "convert", "device")
SETTINGS = ("fragment_kib", "inline_kib", "page_limit", "cpus")
NO_WORKQUEUE = "no_workqueue"   # how these options were taken, where they are
FAULTS = ("crypto_errors", "auth_errors", "driver_timeouts", "state_errors",
          "errors")


def mappings_on_module():
    """Those that have a line on this module."""
    return [mapping for mapping, lines in encrypted()
            if any(line.is_ours for line in lines)]


def lines_on_module(mapping):
    """Its lines on this module; a Problem if there are none."""
    lines = [line for line in mapping.table() if line.is_ours]
    if not lines:
        raise Problem(f"{mapping.shown} is not on crypt-async: crypt-async "
                      f"adopt {shlex.quote(mapping.shown)} moves it")
    return lines


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
    lines = lines_on_module(mapping)
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
            NO_WORKQUEUE: status.get(NO_WORKQUEUE),
            "statistics": {
                key: value for key, value in status.items()
                if key not in (*SETTINGS, NO_WORKQUEUE, "driver")}})
    return {"name": mapping.shown, "uuid": mapping.uuid, "targets": targets}


def share_of(part, whole):
    """In percent, to be read."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _print(found):
    print(colour(1, found["name"]), found["uuid"])
    for target in found["targets"]:
        how = {True: "synchronous", False: "asynchronous",
               None: "unknown whether synchronous"}
        stats, settings = target["statistics"], target["settings"]
        done = stats["fragments"]
        print(f"  target     {target['target']} from sector "
              f"{target['start']}, {target['sectors']} sectors")
        print(f"  cipher     {target['cipher']}, key {target['key']}")
        print(f"  driver     {target['driver']}, "
              f"{how[target['synchronous']]}")
        print(f"  on         {target['device']} from sector "
              f"{target['offset']}")
        taken = target[NO_WORKQUEUE]
        print(f"  options    {' '.join(target['options']) or 'none'}"
              + (f" (no_..._workqueue: {taken})" if taken else ""))
        print("  settings  ", *(f"{key}={settings[key]}"
                                for key in SETTINGS))
        print(f"  done       {stats['reads']} reads, "
              f"{stats['read_bytes'] / MIB:.0f} MiB; {stats['writes']} "
              f"writes, {stats['written_bytes'] / MIB:.0f} MiB")
        print(f"  where      {share_of(stats['inline'], done)} by the thread "
              f"that split them off, {share_of(stats['queued'], done)} by "
              f"workers; {stats['deferred']} reads left to these by an "
              "interrupt")
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
    if not is_loaded(MODULE):
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
