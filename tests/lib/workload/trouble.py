# SPDX-License-Identifier: GPL-2.0-only
"""A lower device that fails, lies or is slow for a while, and writers that
know which of their requests may fail then, which must, and what a unit may
hold."""

import collections
import contextlib
import errno
import os
import threading
import time
import traceback

import ca
from chaos import Writer

READ, WRITE, BOTH = "r", "w", "rw"
PATIENCE = 120      # seconds, for a request in an emulated guest

# Directions that may fail, and that must; does the device tell untruths?
Phase = collections.namedtuple("Phase", "may must lies")
CALM = Phase("", "", False)

_FLAKEY = "{dev} 0 0 3600 "     # never up
# The byte that it changes in each bio, counted from 0, the first of a block of
# the cipher, and its new value.
FLAKEY_AT, FLAKEY_VALUE = 32, 165
_CORRUPT = (_FLAKEY + f"5 corrupt_bio_byte {FLAKEY_AT + 1} %s "
            f"{FLAKEY_VALUE} 0")
# What a layer can be: its target, the target's arguments, what then fails.
KINDS = {
    "linear": ("linear", "{dev} 0", ""),
    "error": ("error", "", BOTH),
    "flakey": ("flakey", _FLAKEY, BOTH),
    "error_reads": ("flakey", _FLAKEY + "1 error_reads", READ),
    "error_writes": ("flakey", _FLAKEY + "1 error_writes", WRITE),
    "drop_writes": ("flakey", _FLAKEY + "1 drop_writes", ""),
    "corrupt writes": ("flakey", _CORRUPT % "w", ""),
    "corrupt reads": ("flakey", _CORRUPT % "r", ""),
    "slow": ("delay", "{dev} 0 60", ""),
}
LIES = ("drop_writes", "corrupt writes", "corrupt reads")


def ask(what, function, *args, seconds=60):
    """Do it in a process that is given up after so many seconds, if it does
    not come back from the kernel: the errno that it ended with, 0 for none."""
    pid, begun = os.fork(), time.monotonic()
    if not pid:
        code = 255
        try:
            function(*args)
            code = 0
        except OSError as error:
            code = error.errno
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    while True:
        is_late = time.monotonic() > begun + seconds    # before the last look
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        ca.check(not is_late, f"{what} has not ended after {seconds} s")
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(status)
    ca.check(code in errno.errorcode or not code, f"{what}: exit code {code}")
    return code


class Trouble:
    """What the lower device does, phase after phase."""

    def __init__(self):
        self.over = threading.Event()
        self._history = [CALM]

    def now(self):
        """The number of the present phase."""
        return len(self._history) - 1

    def since(self, number):
        """The phases from one on."""
        return self._history[number:]

    def lied(self):
        """Was there a time when what was read or written was changed?"""
        return any(phase.lies for phase in self._history)

    @contextlib.contextmanager
    def phase(self, begin, end, fails="", lies=False):
        """Have begin() called, and end() in the end. Meanwhile requests of
        these directions fail; those on the way at either moment may."""
        unsure = Phase(fails, "", lies)
        self._history.append(unsure)
        try:
            begin()
            self._history.append(Phase(fails, fails, lies))
            yield
        finally:
            self._history.append(unsure)
            end()
            self._history.append(CALM)


class Layer(ca.Mapping):
    """A linear device that can become another one."""

    def __init__(self, lower, sectors=None):
        self._lower, self._sectors = lower, sectors or lower.sectors
        super().__init__(self._table("linear"))

    def _table(self, kind):
        target, params, _ = KINDS[kind]
        return [(0, self._sectors, target,
                 params.format(dev=self._lower.devno))]

    def become(self, kind):
        """Exchange the table."""
        self.reload(self._table(kind), lockfs=False)

    def has(self, kind):
        """Does this kernel have it?"""
        try:
            self.load(self._table(kind))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        self.clear()
        return True

    def phase(self, trouble, kind):
        """To be used with `with`: it is of another kind meanwhile."""
        return trouble.phase(lambda: self.become(kind),
                             lambda: self.become("linear"),
                             KINDS[kind][2], kind in LIES)


class Witness(Writer):
    """A writer that goes on until the trouble is over. `authentic`: what the
    lower device changed is found out, so a read of that fails."""

    errors_of = (errno.EIO,)

    def __init__(self, path, start, size, unit, trouble, *,
                 max_size=ca.MIB // 4, authentic=False):
        super().__init__(path, start, size, unit, 0, max_size, None)
        self.trouble, self.authentic = trouble, authentic
        self.lost = self.found_out = 0

    def run(self):
        try:
            with ca.Disk(self.path) as disk:
                while not self.trouble.over.is_set():
                    self._one(disk)
                    self.requests += 1
        except BaseException as problem:
            self.problem = problem

    def _one(self, disk):
        first, units = self.pick()
        what = self.random.choice(BOTH)
        before = self.model[first:first + units]
        begin, failed = self.trouble.now(), 0
        try:
            (self._write if what == WRITE else self._read)(disk, first, units)
            self.bytes += units * self.unit
        except OSError as error:
            failed = error.errno
        phases = self.trouble.since(begin)
        self._judge(what, failed, phases, first)
        if what == WRITE and any(phase.lies for phase in phases):
            self.lost += 1
            for i, old in enumerate(before, first):
                self.model[i] = tuple(dict.fromkeys((*old, *self.model[i])))

    def _judge(self, what, failed, phases, first):
        """Was it right to fail, or not to?"""
        name = f"{what} at unit {first}, {phases}: " + errno.errorcode.get(
            failed, "success")
        if failed == errno.EILSEQ:
            ca.check(self.authentic and what == READ and self.trouble.lied(),
                     name)
            self.found_out += 1
        elif failed:
            ca.check(failed in self.errors_of and
                     any(what in phase.may for phase in phases), name)
            self.errors += 1
        else:
            ca.check(not all(what in phase.must for phase in phases), name)

    def verify(self, disk):
        """All of it, after the trouble. Returns how many units cannot be
        read."""
        bad = 0
        for at in range(0, self.size, 64 * ca.KIB):
            try:
                self._read(disk, at // self.unit,
                           min(64 * ca.KIB, self.size - at) // self.unit)
            except OSError:
                bad += self._verify_units(disk, at)
        return bad

    def _verify_units(self, disk, at):
        bad = 0
        for i in range(at // self.unit,
                       min(at + 64 * ca.KIB, self.size) // self.unit):
            try:
                self._read(disk, i, 1)
            except OSError as error:
                ca.check(error.errno == errno.EILSEQ and self.authentic
                         and self.trouble.lied(), f"unit {i}: {error}")
                bad += 1
        return bad


class Witnesses:
    """Some of them side by side, on a device that holds zeros. When they end,
    each has ended well."""

    def __init__(self, path, size, unit, trouble, jobs=3, kind=Witness,
                 **more):
        part = size // jobs // 4096 * 4096
        self._trouble = trouble
        self.all = [kind(path, i * part, part, unit, trouble, **more)
                    for i in range(jobs)]

    def total(self, name):
        """What they counted, together."""
        return sum(getattr(writer, name) for writer in self.all)

    def progress(self, requests=6):
        """Wait until each has ended so many more requests, well or not."""
        wanted = [writer.requests + requests for writer in self.all]
        ca.wait_until(lambda: self.problems() or all(
            writer.requests >= number
            for writer, number in zip(self.all, wanted)),
            "requests end", PATIENCE)

    def problems(self):
        """Of those who found something wrong."""
        return [writer.problem for writer in self.all if writer.problem]

    def verify(self, path=None):
        """The whole device. Returns how many units cannot be read."""
        with ca.Disk(path or self.all[0].path) as disk:
            return sum(writer.verify(disk) for writer in self.all)

    def __enter__(self):
        for writer in self.all:
            writer.start()
        return self

    def __exit__(self, *exc):
        self._trouble.over.set()
        end = time.monotonic() + PATIENCE
        for writer in self.all:
            writer.join(max(0, end - time.monotonic()))
        ca.check(not any(writer.is_alive() for writer in self.all),
                 "every request has ended")
        for problem in self.problems():
            raise problem
