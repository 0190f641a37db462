# SPDX-License-Identifier: GPL-2.0-only
"""Writers that read back what they wrote, while a test changes the world."""

import random
import threading

import ca

WRITERS = 3
PART = 2 * ca.MIB
SIZE = WRITERS * PART
SECTORS = SIZE // ca.SECTOR
MAX_SIZE = 256 * ca.KIB
PATIENCE = 60           # seconds, for a request in an emulated guest


class Load:
    """Writers, each with a part of the device of its own, which read back what
    they wrote, and all of it at the end. What a load of before left must still
    be there."""

    def __init__(self, path, before=None):
        self.path = path
        self.writes = 0
        self._wanted = before._wanted if before else [None] * WRITERS
        self._doubt = before._doubt if before else [range(0)] * WRITERS
        self._problems = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,),
                                          daemon=True)
                         for number in range(WRITERS)]

    def _run(self, number):
        try:
            self._write(number)
        except (OSError, EOFError) as error:
            self._problems.append(error)

    def _write(self, number):
        rng, base = random.Random(ca.seed + number), number * PART
        with ca.Disk(self.path) as disk:
            wanted = self._begin(number, disk.read(base, PART))
            while not self._stop.is_set():
                size = rng.randrange(1, MAX_SIZE // 4096) * 4096
                at = rng.randrange(0, PART - size + 1, 4096)
                text = rng.randbytes(size)
                self._doubt[number] = range(at, at + size)
                disk.write(base + at, text)
                wanted[at:at + size] = text
                self._doubt[number] = range(0)
                self._same(number, disk.read(base + at, size), text)
                self.writes += 1
            self._same(number, disk.read(base, PART), wanted)

    def _begin(self, number, found):
        """What is there, and what must be: a write that failed before may have
        been done, in part or not."""
        wanted, doubt = self._wanted[number], self._doubt[number]
        if wanted is not None:
            wanted[doubt.start:doubt.stop] = found[doubt.start:doubt.stop]
            self._same(number, found, wanted)
        self._wanted[number] = bytearray(found)
        return self._wanted[number]

    def _same(self, number, got, wanted):
        if got != wanted:
            self._problems.append(f"writer {number} read something else")
            self._stop.set()

    def progress(self):
        """It goes on: wait for some more writes."""
        wanted = self.writes + 2 * WRITERS
        ca.wait_until(lambda: self.writes >= wanted or self._problems,
                      "the writers go on")

    def fails(self, *numbers):
        """All of it ends, with one of these errors."""
        ca.wait_until(lambda: not any(thread.is_alive()
                                      for thread in self._threads),
                      "the writers end")
        ca.equal([error for error in self._problems
                  if getattr(error, "errno", None) not in numbers], [],
                 "problems but for the errors")
        ca.equal(len(self._problems), WRITERS, "writers with an error")
        self._problems.clear()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        ca.check(not any(thread.is_alive() for thread in self._threads),
                 "every request has ended")
        ca.equal(self._problems, [], "problems")
