# SPDX-License-Identifier: GPL-2.0-only
"""What is measured on simulated machines, with made-up figures; TAP."""

import contextlib
import copy
import os
import random
import sys
from unittest import mock

from crypt_async.measure import cells as c
from crypt_async.measure import reduce as r

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
sys.path[:0] = [f"{TOP}/scripts/bench", f"{TOP}/tests/unit"]
import core  # noqa: E402
import machine  # noqa: E402
import simulated  # noqa: E402
from points import end, equal, point  # noqa: E402

MS = 1_000_000
DEEP, ALONE = c.Cell("read", 4096, 8), c.Cell("read", 4096)
LARGE = c.Cell("read", c.MIB)


def near(got, want, what):
    """Fail unless they differ by rounding only."""
    assert abs(got - want) <= 1e-9 * abs(want), f"{what}: {got}, not {want}"


def job(count, mean_ns, start=0, other=0):
    """What fio tells of a run."""
    def way(ios):
        return {"total_ios": ios, "lat_ns": {
            "mean": mean_ns if ios else 0.0,
            "percentile": {"50.000000": 1, "99.000000": 2}}}
    return {"read": way(count), "write": way(other), "job_start": start}


def measured(name="x", ours=(200.0,), **rates):
    """A cell as a guest tells it: rates of crypt-async, of the contestants
    that are named, and 100 of the others."""
    count = len(ours)
    rates = {key: rates.get(key, [100.0] * count) for key in c.DEFINED}
    rates[c.CRYPT_ASYNC] = list(ours)
    return {"name": name, "stack": "s", "work": "w", "ways": 1, "size": 4096,
            "cipher_ns": [1.0] * count, "seconds": [0.1] * count,
            "rates": rates, "forced": {key: [0] * count for key in rates},
            "busy_ns": {key: [10.0] * count for key in rates},
            "p50": {key: [1] * count for key in rates},
            "p99": {key: [5] * count for key in rates}, "requests": {}}


# --- a run ----------------------------------------------------------------

@point
def rates():
    """A rate counts what is in flight at the end, and its time."""
    near(simulated.rate(job(2080, 400_000.0), DEEP, 0.1),
         2080 / 0.1004, "at depth 8")
    near(simulated.rate(job(1000, 99_000.0), ALONE, 0.1), 10_000,
         "at depth 1, between I/O")
    near(simulated.rate(job(999, 99_000.0), ALONE, 0.1), 9990,
         "the same, one less")
    near(simulated.rate(job(11, 10_000_000.0), LARGE, 0.1), 100,
         "at depth 1, large")
    near(simulated.rate(job(700, 400_000.0, other=300), DEEP, 0.1),
         1000 / 0.1004, "reads and writes")


@point
def latency():
    """Percentiles need a thousand requests."""
    equal(simulated.percentiles(job(1000, 1.0)), [1, 2], "enough")
    equal(simulated.percentiles(job(999, 1.0)), None, "too few")
    equal(simulated.percentiles(job(10, 1.0, other=1000)), [1, 2], "writes")


@point
def no_io():
    """A run without I/O is an error that names the cell."""
    cell = core.choose(machine.load("noaes"), "short")[0]
    try:
        simulated.rate(job(0, 0.0), cell, 0.1)
    except SystemExit as error:
        equal(str(error), f"{cell.name}: no I/O was completed in 0.1 s", "it")
        return
    raise AssertionError("taken as a rate")


BUSY = "500 0 0 0\n1000000 0 500000 0\n2000000 1 1500000 1000000\n" \
       "5000000 1 1500000 1000000\nend 6000000 3 77\n"


@point
def busy():
    """Processors' time is read at any moment, of all together."""
    found = simulated.Busy(BUSY)
    equal([round(found.until(ns)) for ns in (500, MS // 2, MS, 1_500_000,
                                             4 * MS)],
          [0, 249_875, 500_000, 1_500_000, 2_500_000], "sums")
    equal(found.share(MS, 2 * MS), 2.0, "processors")
    equal((found.simulated_ns, found.host_ns), (5_999_500, 77), "time")


@point
def forced():
    """Forced steps are counted in all, and are those of a run's time."""
    found = simulated.Busy(BUSY)
    equal(found.forced, 3, "all")
    equal([found.forced_between(*times) for times in (
        (500, MS), (600, 900_000), (MS, 1_100_000), (2 * MS, 5 * MS),
        (3 * MS, 5_500_000), (500, 9 * MS))], [0, 0, 1, 0, 2, 3], "of a run")
    equal(simulated.forced(job(1, 1.0, start=1), {"epoch": 0, "busy": found},
                           0.001), 1, "of a job")
    totals = simulated.Totals()
    for _ in range(2):
        totals.add(found)
    equal(totals.as_json(), {"forced": 6, "host_seconds": 0.0,
                             "simulated_seconds": 0.012}, "of a boot")


@point
def per_io():
    """An I/O's share of that leaves out both ends of the run."""
    lines = "".join(f"{ms * MS} 0 {ms * MS} {ms * MS // 2}\n"
                    for ms in range(100, 200))
    found = {"epoch": 7 * MS, "busy": simulated.Busy(lines + "end 0 0 0\n")}
    near(simulated.busy_ns(job(1, 1.0, start=120), found, 0.02, 1000),
         1_500_000.0, "one and a half processors for a ms")


@point
def requests():
    """Those of the lower device are counted by what was transferred."""
    before = "10 0 80 1 20 3 160 1 0 9 9"
    near(simulated.requests(before, "14 0 144 1 20 3 160 1 0 9 9", 4096),
         0.5, "reads of 16 sectors")
    near(simulated.requests(before, "10 0 80 9 28 7 416 2 1 9 9", 131072),
         8.0, "writes of 32 sectors")
    asked = simulated.options(machine.load("small"), counts=True)
    assert any(simulated.COUNTERS in word for word in asked), asked
    equal(simulated.options(machine.load("small")), asked[:-2], "without")


@point
def orders():
    """Each second order is the one before in reverse; all are drawn."""
    random.seed(1)
    cells = core.choose(machine.load("small"), "short")
    found = list(simulated.orders(cells, c.DEFINED, 4))
    equal(found[1], found[0][::-1], "the second")
    equal(found[3], found[2][::-1], "the fourth")
    assert found[2] not in found[:2], "the third is drawn anew"
    for order in found:
        equal(len(set(order)), len(cells) * len(c.DEFINED), "runs")
        names = [cell for cell, _ in order[::len(c.DEFINED)]]
        equal(len(set(names)), len(cells), "a cell's runs are together")


def made_up_round(order, paths, seconds, _how):
    """One of a stack, for rounds()."""
    for cell, name in order:
        assert name in paths and cell in seconds
        yield cell, name, {"rates": 1.0}


@point
def rounds():
    """After each round there is what some contestants have measured."""
    cells = core.choose(machine.load("small"), "short", "brd")
    names, kept = (c.DEFAULT, c.CRYPT_ASYNC), []
    how = simulated.How(machine.load("small"), 3, simulated.Totals(), names)
    with mock.patch.multiple(
            simulated.stacks, say=mock.DEFAULT, no_copies=mock.MagicMock(),
            contestants=lambda *_: contextlib.nullcontext(
                dict.fromkeys(c.DEFINED))), \
        mock.patch.multiple(
            simulated, fio_jobs=mock.DEFAULT, _bare=mock.DEFAULT,
            lengths=lambda cells, *_: dict.fromkeys(cells, 0.1),
            _round=made_up_round):
        found = simulated.measure_stack(
            None, cells, how, lambda part: kept.append(copy.deepcopy(part)))
    equal(found, kept[-1], "the last")
    equal([{name: len(runs) for name, runs in one["rates"].items()}
           for part in kept for one in part],
          [dict.fromkeys(names, number) for number in (1, 2, 3)
           for _ in cells], "runs")
    equal([one["seconds"] for one in kept[1]], [[0.1] * 2] * len(cells),
          "seconds")


# --- the cells ------------------------------------------------------------

@point
def cells():
    """There are at most 80 core cells, no two of the same name."""
    for name in machine.names():
        found = core.choose(machine.load(name), "full")
        assert len(found) <= 80, f"{len(found)} cells"
        equal(len({cell.name for cell in found}), len(found), "names")
        equal({cell.machine for cell in found}, {name}, "machine")


@point
def short():
    """Those of the short form are core cells, each of them there."""
    small = machine.load("small")
    found = core.choose(small, "short")
    equal({cell.name.split(" ", 1)[1] for cell in found}, core.SHORT, "cells")
    assert set(found) <= set(core.choose(small, "full"))


@point
def chosen():
    """Cells are chosen by words and parts, in the order of their boots."""
    small = machine.load("small")
    found = core.choose(small, "full", "null10 4k randread d1")
    equal({cell.device for cell in found}, {"null10"}, "device")
    whole = core.choose(small, "full")
    equal([cell for number in (1, 2, 3)
           for cell in core.choose(small, "full", part=f"{number}/3")],
          whole, "parts")
    boots = [cell.boot for cell in whole]
    equal(boots, sorted(boots), "boots")


@point
def long_enough():
    """A slow machine has longer runs, large I/O too."""
    fast, slow = machine.load("laptop"), machine.load("small")
    assert core.seconds(ALONE, slow) > 2 * core.seconds(ALONE, fast)
    assert core.seconds(c.Cell("read", c.MIB), fast) > \
        core.seconds(ALONE, fast)


@point
def variants():
    """A machine's variants are machines, with one parameter changed each."""
    laptop = machine.load("laptop")
    found = [machine.load(name) for name in machine.variants(laptop)]
    equal(found[0], laptop, "the first")
    for one in found[1:]:
        changed = [key for key, value in one.parameters.items()
                   if value != laptop.parameters[key]]
        assert len(changed) == 1, one.name
    equal(len({str(one.parameters) for one in found}), 6, "how many")


@point
def drawn():
    """A commit draws some of the cells that are not core cells, each other
    ones, the same each time; a pattern chooses among all of these."""
    small = machine.load("small")
    others = core.rest(small)
    assert not set(others) & set(core.choose(small, "full"))
    equal(len({cell.name for cell in others}), len(others), "names")
    first, again, second = (core.choose(small, "drawn", commit=name)
                            for name in ("a", "a", "b"))
    equal(first, again, "of a commit")
    equal(len(first), core.DRAWN, "how many")
    assert first != second and set(first + second) <= set(others)
    found = core.choose(small, "drawn", "swap out", commit="a")
    equal({cell.device for cell in found},
          {cell.device for cell in others if cell.work == c.SWAP}, "by words")


@point
def scripts():
    """A script's rate is how often a second it could run; its processors' time
    that of all of it. It runs once, with its place prepared before time is
    simulated, and requests are counted around it."""
    events, figures = [], None

    @contextlib.contextmanager
    def prepared(work, path):
        events.append((work, path))
        yield lambda: events.append("run") or figures

    @contextlib.contextmanager
    def simulation(_totals):
        events.append("simulated")
        yield {"busy": simulated.Busy("0 0 0 0\n1000000000 3 500000000 "
                                      "1500000000\nend 1000000000 3 7")}
    cell = c.Cell(c.COPY, c.MIB, device="requests", engine="script")
    times, texts = iter([250 * MS, 500 * MS] * 2), iter(
        ["0 " * 11, "0 0 0 0 16 0 16384 0 0 0 0"] * 2)
    with mock.patch.object(simulated.files, "prepared", prepared), \
            mock.patch.object(simulated, "simulation", simulation), \
            mock.patch.object(simulated, "read", lambda _: next(texts)), \
            mock.patch.object(simulated, "_tsc_function",
                              lambda: lambda: next(times)):
        found = simulated.scripted(cell, "/dev/x", None)
        figures = {"p99": 7}
        equal(simulated.scripted(cell, "/dev/x", None)["p99"], 7,
              "a figure of its own")
    del events[3:]
    equal(events, [(c.COPY, "/dev/x"), "simulated", "run"], "what is done")
    equal(found, {"rates": 4.0, "p50": None, "p99": None,
                  "busy_ns": 500.0 * MS, "forced": 3, "requests": 2.0},
          "the figures")


@point
def raw():
    """Only a copy needs no file system and no swap space, so that the raw
    device takes part, as in fio's work."""
    kinds = [c.Cell(work, c.MIB) for work in (*c.SCRIPTS, "read")]
    found = {cell.work for cell, name in
             simulated.files.in_lots(kinds, [c.RAW, c.DEFAULT])
             if name == c.RAW}
    equal(found, {c.COPY, c.BESIDE, "read"}, "on the raw device")


@point
def longer():
    """A cell's runs become as long as it takes to have enough I/O."""
    noaes = machine.load("noaes")
    per_second = {DEEP: 10_000.0, LARGE: 40.0, ALONE: 0.1}
    seen = []

    def run(wanted):
        seen.append(dict(wanted))
        return {cell: int(per_second[cell] * seconds)
                for cell, seconds in wanted.items()}
    found = simulated.lengths([DEEP, LARGE], run, noaes)
    equal(found[DEEP], core.seconds(DEEP, noaes), "one that has enough")
    for cell, seconds in found.items():
        assert per_second[cell] * seconds >= core.enough(cell), cell
    assert found[LARGE] < 2 * core.enough(LARGE) / per_second[LARGE]
    equal([set(cells) for cells in seen],
          [{DEEP, LARGE}, {LARGE}, {LARGE}], "cells that are run")
    seen.clear()
    found = simulated.lengths([ALONE], run, noaes)
    equal(len(seen), simulated.TRIES, "tries of one that has no I/O")


# --- ratios ---------------------------------------------------------------

@point
def states():
    """Runs that are close to each other are one state."""
    equal(r.states([100.0, 150.0, 101.0, 99.0, 103.0]),
          [(100.5, 4), (150.0, 1)], "two")
    equal(r.states([1.0]), [(1.0, 1)], "one")


@point
def low():
    """Twenty runs have a 5th percentile, fewer a minimum, called so."""
    equal(r.low([3.0, 1.0, 2.0]), (1.0, "minimum"), "of three")
    equal(r.low([float(n) for n in range(19)]), (0.0, "minimum"),
          "of nineteen")
    equal(r.low([float(n) for n in range(20)]), (1.0, "5th percentile"),
          "of twenty")
    equal(r.low([float(n) for n in range(40)]), (2.0, "5th percentile"),
          "of forty")


@point
def repeated():
    """The A/A test, slow runs, time and latency are ratios."""
    cell = measured(ours=[150.0, 90.0, 160.0],
                    **{c.AA: [101.0, 99.0, 104.0],
                       c.NO_WQ: [120.0, 120.0, 1.0]})
    cell["busy_ns"]["crypt same_cpu"] = [8.0] * 3
    cell["busy_ns"][c.CRYPT_ASYNC] = [16.0, 4.0, 12.0]
    cell["p99"][c.CRYPT_ASYNC] = [4, 6, 4]
    found = r.reduce_cell(cell)
    equal((found["aa"], found["low"], found["low_is"], found["runs"]),
          (1.01, 0.75, "minimum", 3), "rates")
    equal((found["busy_to_min"], found["busy_to_default"]), (1.5, 1.2),
          "time")
    equal(found["p99_to_default"], 0.8, "latency")
    equal(found["states"][c.CRYPT_ASYNC], [(90.0, 1), (150.0, 1),
                                           (160.0, 1)], "states")


@point
def too_few():
    """Without percentiles there is no ratio of them."""
    cell = measured()
    cell["p99"][c.DEFAULT] = [None]
    equal(r.reduce_cell(cell)["p99_to_default"], None, "latency")


@point
def to_lower():
    """The lower device's requests are medians, where there are any."""
    cell = measured()
    equal(r.reduce_cell(cell)["requests"], {}, "none")
    cell["requests"] = {c.CRYPT_ASYNC: [1.0, 8.0, 2.0], c.DEFAULT: [4.0]}
    equal(r.reduce_cell(cell)["requests"],
          {c.CRYPT_ASYNC: 2.0, c.DEFAULT: 4.0}, "counted")


@point
def others():
    """A cell that is not simulated has none of that."""
    cell = measured()
    del cell["busy_ns"]
    assert "aa" not in r.reduce_cell(cell)
    assert "aa" not in r.summary([r.reduce_cell(cell)])


@point
def never_noisy():
    """One that is has ratios, whatever the default beside itself is."""
    cell = r.reduce_cell(measured(**{c.AA: [110.0]}))
    equal((cell["noise"], cell["noisy"]), (None, False), "noise")
    equal(r.summary([cell])["cells"], 1, "cells in the summary")


@point
def counted():
    """A summary names the cells that differ, are slow, or were forced."""
    forced = measured("forced")
    forced["forced"][c.DEFAULT] = [2]
    found = r.summary([r.reduce_cell(cell) for cell in (
        measured("good"), measured("slow", ours=[99.0]), forced,
        measured("differs", **{c.AA: [100.6]}),
        measured("same", **{c.AA: [100.5]}))])
    equal((found["aa_failed"], found["low"], found["forced"]),
          (["differs"], ["slow"], ["forced"]), "cells")
    equal((found["aa"], found["low_is"]), (1.006, ["minimum"]), "ratios")


@point
def boots():
    """Boots are put together if all of their machine is the same."""
    def boot(name, *cells, wake=1):
        return {"kernel": "6.12", "release": "trixie", "cells": list(cells),
                "machine": name and {"name": name, "parameters":
                                     {"processors": 2, "wake_ns": wake}},
                "forced": 1, "host_seconds": 10, "simulated_seconds": 0.5}
    found = r.by_kernel([boot("small", measured()), boot("laptop", measured()),
                         boot("small", measured(ours=[50.0])), boot(None),
                         boot("small", measured(), wake=2)])
    equal([one["machine"] and one["machine"]["name"] for one in found],
          ["small", "laptop", None, "small"], "machines")
    cell, = found[0]["cells"]
    equal(cell["states"][c.CRYPT_ASYNC], [(50.0, 1), (200.0, 1)], "runs")
    equal((cell["low"], cell["runs"]), (0.5, 2), "the minimum of both")
    equal([found[0][what] for what in ("forced", "host_seconds",
                                       "simulated_seconds")], [2, 20, 1.0],
          "totals")


end()
