# SPDX-License-Identifier: GPL-2.0-only
"""The mock crypto driver of tests/kmod, and writers that know what a device
must hold after requests of theirs were failed."""

import errno
import os
import random
import struct
import threading

import ca
import scratch

_DIR = "/sys/kernel/debug/chaos"
_DEFAULTS = {"complete": 0, "depth": 1000, "delay_us": 100, "reorder": "Y",
             "sync_permille": 0, "fail_permille": 0, "fail_errno": errno.EIO,
             "fail_where": 1, "lose_permille": 0, "nomem_permille": 0,
             "wrong_permille": 0, "seed": 1, "hold": 0,
             "release_lost": 1 << 31}

WORKER, SOFTIRQ, HARDIRQ, MIXED = range(4)
AT_SUBMIT, AT_COMPLETION = range(2)


class Chaos:
    """The mock driver with some knobs set; back to the defaults afterwards."""

    def __init__(self, **knobs):
        if not os.path.isdir(_DIR):
            ca.load_file(os.path.join(os.path.dirname(ca.MODULE_FILE),
                                      "chaos.ko"))
        self._knobs = knobs
        self.set(**_DEFAULTS)
        self.reset()
        self.set(**{"seed": ca.rng.randrange(1 << 31), **knobs})
        scratch.register(self)

    @staticmethod
    def set(**knobs):
        """Set knobs by name."""
        for name, value in knobs.items():
            with open(f"{_DIR}/{name}", "w", encoding="ascii") as file:
                file.write(str(value))

    @staticmethod
    def reset():
        """Begin to count anew."""
        with open(f"{_DIR}/counters", "w", encoding="ascii") as file:
            file.write("0")

    @staticmethod
    def counters():
        """What the driver counted."""
        with open(f"{_DIR}/counters", encoding="ascii") as file:
            return {name: int(value) for name, value in
                    (line.split() for line in file)}

    @staticmethod
    def failed_sectors():
        """The sectors of the requests it failed, of a plain64 device, in the
        order in which it failed them."""
        with open(f"{_DIR}/failures", encoding="ascii") as file:
            lines = [line.split() for line in file]
        ca.check(not any(line[0] == "dropped" for line in lines),
                 "the log of failures holds them all")
        return [struct.unpack_from("<Q", bytes.fromhex(line[2]))[0]
                for line in lines]

    def close(self):
        """Back to the defaults; nothing stays held."""
        self.set(**_DEFAULTS)
        scratch.forget(self)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Writer(threading.Thread):
    """Reads and writes its own part of a device at random and compares with
    what must be there. A request fails if, and only if, the mock failed a
    unit of it (`failures` returns the sectors it failed so far; None if
    nothing may fail). Where a write failed, a sector has its old or its new
    content, and nothing else."""

    def __init__(self, path, start, size, unit, requests, max_size, failures):
        super().__init__(daemon=True)
        self.failures = failures
        self.path, self.start_at, self.size = path, start, size
        self.unit, self.requests, self.max_size = unit, requests, max_size
        self.random = random.Random(ca.rng.random())
        self.model = [(bytes(unit),)] * (size // unit)
        self.problem = None
        self.errors = self.bytes = 0

    def run(self):
        try:
            with ca.Disk(self.path) as disk:
                for _ in range(self.requests):
                    self._one(disk)
        except BaseException as problem:
            self.problem = problem

    def pick(self):
        """A range at random: the first unit, and how many."""
        units = max(1, int(self.max_size ** self.random.random())
                    // self.unit)
        units = min(units, len(self.model))
        return self.random.randrange(len(self.model) - units + 1), units

    def _one(self, disk):
        first, units = self.pick()
        before = len(self.failures()) if self.failures else 0
        failed = False
        try:
            if self.random.random() < 0.5:
                self._write(disk, first, units)
            else:
                self._read(disk, first, units)
            self.bytes += units * self.unit
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            failed = True
        self.errors += failed
        self._explain(first, units, failed, before)

    def _explain(self, first, units, failed, before):
        """Nobody else has requests in this part, so what the mock failed in
        this range since the request began was of the request."""
        start = (self.start_at + first * self.unit) // ca.SECTOR
        end = start + units * self.unit // ca.SECTOR
        meant = self.failures and [s for s in self.failures()[before:]
                                   if start <= s < end]
        ca.equal(failed, bool(meant), f"sectors {start} to {end}, of which "
                 f"the mock failed {meant}: the request failed")

    def _write(self, disk, first, units):
        text = self.random.randbytes(units * self.unit)
        pieces = [text[i:i + self.unit]
                  for i in range(0, len(text), self.unit)]
        try:
            disk.write(self.start_at + first * self.unit, text)
        except OSError:
            for i, piece in enumerate(pieces, first):
                self.model[i] = (*self.model[i], piece)
            raise
        self.model[first:first + units] = [(piece,) for piece in pieces]

    def _read(self, disk, first, units):
        text = disk.read(self.start_at + first * self.unit,
                         units * self.unit)
        ca.equal(len(text), units * self.unit, "bytes read")
        self.compare(text, first)

    def compare(self, text, first=0):
        """Text, read from a unit on, must be one of what may be there."""
        for i in range(0, len(text), self.unit):
            piece = text[i:i + self.unit]
            allowed = self.model[first + i // self.unit]
            if piece not in allowed:
                at = self.start_at + (first + i // self.unit) * self.unit
                ca.same(piece, allowed[-1], f"the unit at byte {at}")
            self.model[first + i // self.unit] = (piece,)


def zero(path, size):
    """What the writers expect to find."""
    with ca.Disk(path) as disk:
        disk.write(0, bytes(size))


def write_all(path, size, unit, requests, *, failures=None, jobs=3,
              max_size=ca.MIB):
    """Run writers side by side on a zeroed device. Returns them."""
    part = size // jobs // 4096 * 4096
    writers = [Writer(path, i * part, part, unit, requests, max_size,
                      failures)
               for i in range(jobs)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    for writer in writers:
        if writer.problem:
            raise writer.problem
    return writers


def verify_all(path, writers):
    """The whole device, read after the storm."""
    with ca.Disk(path) as disk:
        for writer in writers:
            for at in range(0, writer.size, ca.MIB):
                length = min(ca.MIB, writer.size - at)
                writer.compare(disk.read(writer.start_at + at, length),
                               at // writer.unit)


def stats(mapping):
    """The status line of a crypt-async device: {key: value}."""
    words = dict(word.split("=") for word in mapping.info().split())
    return {key: int(value) if value.isdigit() else value
            for key, value in words.items()}
