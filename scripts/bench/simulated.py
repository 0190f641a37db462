# SPDX-License-Identifier: GPL-2.0-only
"""In a guest whose time is simulated: rates, latency, and for how long the
processors were busy, of runs in orders that are drawn and then reversed."""

import bisect
import contextlib
import ctypes
import dataclasses
import functools
import itertools
import mmap
import os
import secrets
import sys
import time

import ca
import core
import files
import machine as m
import stacks
import work
from crypt_async.measure import cells as c
from crypt_async.measure.fio import fio_jobs

CONTROL, BUSY = "/vm/clock/control", "/vm/clock/busy"
RAMP = 5                    # ms of each run, before anything counts
BARE_MS = 2
EDGE_NS = 500_000           # of a run, where it may not be busy as usual
ENOUGH = 1000               # requests, for percentiles
TRIES = 4                   # of a run that has to become longer
OPTIONS = ["--lat_percentiles=1", "--clat_percentiles=0", "--slat_percentiles"
           "=0", "--percentile_list=50:99"]
NS = 1_000_000_000
COUNTERS = "/sys/block/timed/stat"
WHEN = ("prerun", "postrun")    # fio has a program run
READ_TSC = bytes.fromhex("0f3148c1e2204809d0c3")    # rdtsc, as one number


def read(path):
    """A file's text."""
    with open(path, encoding="ascii") as file:
        return file.read()


# --- the clock ------------------------------------------------------------

def _function(code):
    """A function of machine code that returns a number."""
    page = mmap.mmap(-1, mmap.PAGESIZE,
                     prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    call = ctypes.CFUNCTYPE(ctypes.c_uint64)(
        ctypes.addressof(ctypes.c_char.from_buffer(page)))
    call.page = page
    return call


@functools.cache
def _tsc_function():
    return _function(READ_TSC)


def _since_epoch():
    """The plugin's time, which is the TSC's, at the beginning of the guest's
    epoch: in nanoseconds."""
    read_tsc = _tsc_function()
    before = time.time_ns()
    tsc = read_tsc()
    return tsc - (before + time.time_ns()) // 2


def _control(word):
    with open(CONTROL, "w", encoding="ascii") as file:
        file.write(word)


class Busy:
    """What the plugin's file tells of a simulation: the processors' busy time
    since it began, all together, at any time; how many steps were forced, in
    which a processor did not wait for its turn; and how long it took, in
    simulated time and of the host's."""

    def __init__(self, text):
        *lines, last = text.splitlines()
        end, self.forced, self.host_ns = map(
            int, last.removeprefix("end ").split())
        rows = [[int(word) for word in line.split()] for line in lines]
        self.times = [row[0] for row in rows]
        self.forced_until = [row[1] for row in rows]
        self.totals = [sum(row[2:]) for row in rows]
        self.simulated_ns = end - self.times[0]

    def until(self, ns):
        """At a time of the plugin's, between two that were noted."""
        at = min(max(bisect.bisect(self.times, ns), 1), len(self.times) - 1)
        start, end = self.times[at - 1:at + 1]
        before, after = self.totals[at - 1:at + 1]
        return before + (after - before) * (ns - start) / (end - start)

    def share(self, start, end):
        """How many processors were busy, on average."""
        return (self.until(end) - self.until(start)) / (end - start)

    def forced_between(self, start, end):
        """How many steps were forced between the notes around start and end,
        of which there is about one in a millisecond."""
        counts = [*self.forced_until, self.forced]
        first = max(bisect.bisect_right(self.times, start) - 1, 0)
        return counts[bisect.bisect_left(self.times, end)] - counts[first]


class Totals:
    """Of all simulations of a boot."""

    def __init__(self):
        self.forced = self.host_ns = self.simulated_ns = 0

    def add(self, busy):
        """One more."""
        self.forced += busy.forced
        self.host_ns += busy.host_ns
        self.simulated_ns += busy.simulated_ns

    def as_json(self):
        """For the report."""
        return {"forced": self.forced,
                "host_seconds": round(self.host_ns / NS, 3),
                "simulated_seconds": round(self.simulated_ns / NS, 3)}


def _wait_for(is_complete):
    """Wait until the plugin has written something."""
    for _ in range(10_000):
        if is_complete(text := read(BUSY)):
            return text
        time.sleep(0.01)
    raise TimeoutError("the simulated clock does not answer")


@contextlib.contextmanager
def simulation(totals):
    """Time is simulated within. What is given has the plugin's time at the
    beginning of the epoch, and afterwards how busy the processors were."""
    found = {}
    _control("1")
    _wait_for(lambda text: text and "end" not in text)
    found["epoch"] = _since_epoch()
    try:
        yield found
    finally:
        _control("0")
        found["busy"] = Busy(_wait_for(
            lambda text: "end" in text and text.endswith("\n")))
        totals.add(found["busy"])


# --- one run --------------------------------------------------------------

def options(machine, counts=False):
    """fio's, for runs of a machine; and counts the lower device's
    requests."""
    return [*OPTIONS, f"--ramp_time={RAMP * machine.slowness:.0f}ms",
            *(f"--exec_{when}=cat {COUNTERS}" for when in WHEN if counts)]


def count(job):
    """How many I/O a run completed."""
    return job["read"]["total_ios"] + job["write"]["total_ios"]


def rate(job, cell, seconds):
    """I/O per second. fio's own figure has its time in whole milliseconds;
    but it stops to submit when the time is over, and completes what is in
    flight, which takes as long as an I/O."""
    ios = count(job)
    if not ios:
        sys.exit(f"{cell.name}: no I/O was completed in {seconds} s")
    latency = sum(way["total_ios"] * way["lat_ns"]["mean"]
                  for way in (job["read"], job["write"])) / ios / NS
    if core.is_timed(cell):
        return 1 / latency
    return ios / (seconds + latency if cell.depth * cell.jobs > 1
                  else seconds)


def percentiles(job):
    """Nanoseconds that half of the I/O takes at most, and 99 % of it; None
    if there were too few."""
    way = max((job["read"], job["write"]), key=lambda way: way["total_ios"])
    if way["total_ios"] < ENOUGH:
        return None
    found = way["lat_ns"]["percentile"]
    return [found["50.000000"], found["99.000000"]]


def _start(job, found):
    """When a run began, by the plugin's time."""
    return job["job_start"] * 1_000_000 + found["epoch"]


def busy_ns(job, found, seconds, ios):
    """Nanoseconds for which a processor is busy, for each I/O."""
    start = _start(job, found)
    share = found["busy"].share(start + 1_000_000 + EDGE_NS,
                                start + int(seconds * NS) - EDGE_NS)
    return share * NS / ios


def forced(job, found, seconds):
    """The forced steps of a run."""
    start = _start(job, found)
    return found["busy"].forced_between(start, start + int(seconds * NS))


def requests(before, after, size):
    """How many the lower device had for each I/O of this size, by what its
    counters say before and after."""
    reads, _, read, _, writes, _, written, *_ = (
        int(new) - int(old) for old, new in zip(before.split(), after.split()))
    return (reads + writes) * size / ((read + written) * ca.SECTOR)


def counted(number, cell):
    """The same for a run of fio, which leaves such a file for each."""
    told = [read(f"/tmp/run{number}.{when}.txt") for when in WHEN]
    return {"requests": requests(*told, cell.size)}


def scripted(cell, path, totals):
    """The figures of a script that does the work of a cell once."""
    now = _tsc_function()
    with files.prepared(cell.work, path) as run:
        before = read(COUNTERS) if cell.lower in core.COUNTED else None
        with simulation(totals) as found:
            start = now()
            figures = run() or {}
            end = now()
        after = before and read(COUNTERS)
    busy = found["busy"]
    return {"rates": NS / (end - start), "p50": None, "p99": None,
            "busy_ns": busy.until(end) - busy.until(start),
            "forced": busy.forced_between(start, end),
            **({"requests": requests(before, after, cell.size)}
               if before else {}), **figures}


# --- a stack --------------------------------------------------------------

class Result:
    """The figures of a cell, one of each round."""

    def __init__(self, cell):
        self.cell = cell
        self.seconds = []
        self.cipher_ns = []
        self.found = {what: {} for what in ("rates", "p50", "p99", "busy_ns",
                                            "forced", "requests")}

    def add(self, name, **figures):
        """What one run gave."""
        for what, figure in figures.items():
            self.found[what].setdefault(name, []).append(figure)

    def as_json(self, rounds):
        """For the report; seconds are those of a run, simulated."""
        return {"name": self.cell.name, "stack": self.cell.stack_name,
                "work": self.cell.work_name, "ways": self.cell.ways,
                "size": self.cell.size, "seconds": self.seconds * rounds,
                "cipher_ns": self.cipher_ns * rounds, **self.found}


def lengths(cells, run, machine):
    """The seconds of each cell's runs, {cell: seconds}: so long that
    dm-crypt's default completes enough I/O. run() takes such a dictionary,
    runs these cells once, and gives the number of I/O of each."""
    found = {cell: core.seconds(cell, machine) for cell in cells}
    short = found
    for _ in range(TRIES):
        counts = run(short)
        wanted = {cell: core.longer(cell, found[cell], counts[cell])
                  for cell in short}
        short = {cell: length for cell, length in wanted.items()
                 if length > found[cell]}
        found.update(short)
        if not short:
            break
    return found


def _count_run(path, machine, totals):
    """For lengths(): runs cells on one device."""
    def run(wanted):
        with simulation(totals):
            jobs = fio_jobs([(cell, path, seconds)
                             for cell, seconds in wanted.items()],
                            stacks.USED, options(machine))
        return dict(zip(wanted, map(count, jobs)))
    return run


def _round(order, paths, seconds, how):
    """One run of each: fio makes all of them."""
    if order[0][0].is_script:
        for cell, name in order:
            yield cell, name, scripted(cell, paths[name], how.totals)
        return
    timed = [(cell, paths[name], seconds[cell]) for cell, name in order]
    counts = order[0][0].lower in core.COUNTED
    with simulation(how.totals) as found:
        jobs = fio_jobs(timed, stacks.USED, options(how.machine, counts))
    for number, ((cell, name), job) in enumerate(zip(order, jobs)):
        length = seconds[cell]
        ios = rate(job, cell, length)
        p50, p99 = percentiles(job) or (None, None)
        yield cell, name, {"rates": ios, "p50": p50, "p99": p99,
                           "busy_ns": busy_ns(job, found, length, ios),
                           "forced": forced(job, found, length),
                           **(counted(number, cell) if counts else {})}


def orders(cells, names, rounds):
    """Each second one is the one before in reverse."""
    for number in range(rounds):
        if number % 2 == 0:
            order = files.in_lots(cells, names)
            yield order
        else:
            yield order[::-1]


def _prepare(cells, paths, how):
    """Have the host do what a first run needs of it; the seconds of each
    cell's runs."""
    if cells[0].is_script:
        return {}
    fio_jobs([(cells[0], path, 0.02) for path in paths.values()],
             stacks.USED, options(how.machine))
    return lengths(cells, _count_run(paths[c.DEFAULT], how.machine,
                                     how.totals), how.machine)


def _bare(results, cipher, key, totals):
    """The cipher alone."""
    with simulation(totals):
        for cell, result in results.items():
            result.cipher_ns = [work.bare_mixed(cipher, key, cell, BARE_MS)]


@dataclasses.dataclass
class How:
    """What all stacks of a boot have in common."""
    machine: m.Machine
    rounds: int
    totals: Totals
    names: tuple[str, ...] = tuple(c.DEFINED)   # of the contestants


def measure_stack(lower, cells, how, keep=lambda found: None):
    """All rounds of the cells that share a device, a cipher and a unit, and
    are all fio's or all scripts, of the contestants that are asked for. After
    each round keep() has what was measured so far."""
    cipher = stacks.cipher_of(cells[0].cipher)
    key = secrets.token_hex(cipher.key)
    results = {cell: Result(cell) for cell in cells}
    with stacks.contestants(lower, cipher, key, cells[0].unit,
                            [c.AA], cells[0].mappings) as paths, \
            stacks.no_copies(lower, cells):
        paths = {name: path for name, path in paths.items()
                 if name in how.names}
        seconds = _prepare(cells, paths, how)
        for cell, length in seconds.items():
            results[cell].seconds = [length]
        if cipher.bare and seconds:
            _bare(results, cipher, key, how.totals)
        found = []
        for number, order in enumerate(orders(cells, paths, how.rounds), 1):
            stacks.say(f"{cells[0].stack_name}: round {number} "
                       f"of {how.rounds}")
            for cell, name, figures in _round(order, paths, seconds, how):
                results[cell].add(name, **figures)
            found = [result.as_json(number) for result in results.values()]
            keep(found)
    return found


def measure_cells(asked, write):
    """The cells of this boot, which share the device. All is written after
    each round, so that a boot that is ended has what it measured."""
    how = How(m.load(asked.machine), asked.rounds, Totals())
    chosen = [cell for cell in core.choose(how.machine, asked.form,
                                           asked.cells, asked.part,
                                           asked.commit)
              if cell.boot == asked.boot]
    found = []

    def keep(more):
        write({"cells": found + more, "machine": how.machine.as_json(),
               **how.totals.as_json()})

    queues = ({} if chosen[0].lower == "brd"
              else {"submit_queues": os.cpu_count()})
    with stacks.device(chosen[0].lower, **queues) as lower:
        for _, cells in itertools.groupby(chosen, lambda cell: cell.stack):
            found += measure_stack(lower, list(cells), how, keep)
    keep([])
