# SPDX-License-Identifier: GPL-2.0-only
"""Figures that were recorded: made-up ones, and those of results/simulated;
TAP."""

import dataclasses
import json
import os
import re
import sys
import tempfile

from crypt_async.measure import cells as c
from crypt_async.measure import page

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
sys.path[:0] = [f"{TOP}/scripts/bench", f"{TOP}/scripts/results",
                f"{TOP}/tests/unit"]
import benchmarks  # noqa: E402
import core  # noqa: E402
import machine  # noqa: E402
import recorded  # noqa: E402
from points import end, equal, point  # noqa: E402

SMALL = machine.load("small")
CELLS = core.choose(SMALL, "full")


def measured(of, *ours):
    """A cell as a guest tells it: rates of crypt-async, and 100 of each
    other contestant."""
    count = len(ours)
    rates = {name: [100.0] * count for name in c.DEFINED}
    rates[c.CRYPT_ASYNC] = list(ours)
    return {"name": of.name, "stack": of.stack_name, "work": of.work_name,
            "ways": of.ways, "size": of.size, "cipher_ns": [1.0] * count,
            "seconds": [0.1] * count, "rates": rates,
            **{what: {name: [value] * count for name in rates}
               for what, value in (("busy_ns", 10.0), ("p50", 1), ("p99", 5),
                                   ("forced", 0))}, "requests": {}}


def boot(commit, *cells, on=SMALL, **what):
    """What a guest of a commit measured."""
    return {"name": "small-brd-1", "kernel": "6.12.0", "release": "trixie",
            "cpus": on.processors, "emulated": True, "seed": 1, "rounds": 1,
            "driver": "made-up", "notes": [], "commit": commit,
            "date": "2000-01-01", "command": "made up",
            "machine": on.as_json(), "forced": 1, "host_seconds": 1.0,
            "simulated_seconds": 0.5, "cells": list(cells), **what}


def document(machines):
    """What docs/results/benchmarks.md says of them."""
    return "\n".join(line for part in benchmarks.simulated(machines)
                     for line in part)


def runs(found):
    """The number of runs of each cell, by the commit that made them."""
    return {cell["name"]: (cell["commit"], cell["runs"])
            for cell in found["cells"]}


@point
def files():
    """A file gives what was written, in the order of the files' names."""
    boots = [boot("one", measured(CELLS[0], 1 / 3))]
    with tempfile.TemporaryDirectory() as directory:
        for name, commit in (("2000-01-02-000000-a", "two"),
                             ("2000-01-01-235959-z", "one")):
            with open(f"{directory}/{name}.json", "w",
                      encoding="ascii") as file:
                file.write(recorded.as_text([{**boots[0], "commit": commit}]))
        found = recorded.load(directory)
    equal([one["commit"] for one in found], ["one", "two"], "order")
    equal(found[0]["cells"][0]["rates"][c.CRYPT_ASYNC], [0.3333333], "rate")
    for one in (found[0], boots[0]):
        one["cells"][0]["rates"] = None
    equal(found[0], boots[0], "all else")


@point
def last():
    """Of each cell those runs count that were made last."""
    one, two, three = CELLS[:3]
    found, = recorded.by_machine([
        boot("old", measured(one, 50.0, 50.0), measured(two, 50.0)),
        boot("new", measured(one, 200.0)),
        boot("new", measured(three, 200.0), kernel="6.12.1")])
    equal(runs(found), {one.name: ("new", 1), two.name: ("old", 1),
                        three.name: ("new", 1)}, "runs")
    equal({cell["name"]: cell["to_best"][0] for cell in found["cells"]},
          {one.name: 2.0, two.name: 0.5, three.name: 2.0}, "ratios")


@point
def together():
    """Runs that one commit makes at several times are put together."""
    found, = recorded.by_machine([
        boot("new", measured(CELLS[0], 90.0)),
        boot("new", measured(CELLS[0], 150.0, 200.0))])
    equal(runs(found), {CELLS[0].name: ("new", 3)}, "runs")
    equal((found["cells"][0]["low"], found["forced"]), (0.9, 2), "figures")


@point
def machines():
    """A machine with other parameters is another one, without core cells."""
    other = machine.load("small:wake_ns=1")
    found = recorded.by_machine([
        boot("new", measured(CELLS[0], 1.0)),
        boot("new", measured(CELLS[0], 1.0), on=other),
        boot("new", measured(CELLS[0], 1.0), release="trixie-backports")])
    equal(len(found), 3, "machines")
    equal([len(one["recorded"]["core"]) for one in found],
          [len(CELLS), 0, len(CELLS)], "core cells")
    assert "| small:wake_ns=1, Linux 6.12.0 | 1 | none |" in document(found)


@point
def covered():
    """The pages say what share of the core cells was measured, and when."""
    found, = recorded.by_machine(
        [boot("abc", *(measured(cell, 150.0) for cell in CELLS[1:]))],
        {"abc": 17})
    equal(found["recorded"]["missing"], [CELLS[0].name], "missing")
    share = f"{len(CELLS) - 1} of {len(CELLS)} core cells were measured, 99%"
    first = CELLS[0].work_name
    for text, words in (
            (document([found]),
             (share, f": {first}\n", "| 2000-01-01, abc |")),
            (page.page([found], []),
             (share, f"<li>{CELLS[0].name}</li>", ">17</td>"))):
        for word in words:
            assert word in text, f"{word!r} is not in the page"


@point
def overall():
    """The document counts the cells of all machines, on any kernel once, and
    names machines without any."""
    total = sum(len(core.choose(machine.load(name), "full"))
                for name in machine.names())
    others = [name for name in machine.names() if name != "small"]
    text = document(recorded.by_machine([
        boot("new", measured(CELLS[0], 1.0)),
        boot("new", measured(CELLS[0], 1.0), release="bookworm"),
        boot("new", measured(CELLS[0], 1.0),
             on=machine.load("laptop:wake_ns=1"))]))
    assert f"\n1 of {total} core cells" in text, text[:2000]
    assert f"; none of {', '.join(others)}." in text, text[:2000]


@point
def others():
    """Cells that a commit has drawn count by themselves, and may miss aims."""
    drawn = core.rest(SMALL)[:2]
    found, = recorded.by_machine([boot("new", measured(CELLS[0], 200.0),
                                       *(measured(one, 50.0)
                                         for one in drawn))])
    equal((found["recorded"]["rest"], found["recorded"]["drawn"]),
          (len(core.rest(SMALL)), 2), "how many")
    equal([cell["name"] for cell in found["cells"] if cell["misses"]],
          [one.name for one in drawn], "what misses an aim")
    assert f"; of {len(core.rest(SMALL))} others 2\n" in document([found])


@point
def sides():
    """Cells that change sides on a machine with another parameter are named;
    such a machine has no section of its own."""
    other = machine.load("small:wake_ns=20000")
    found = recorded.by_machine([
        boot("new", measured(CELLS[0], 50.0), measured(CELLS[1], 200.0)),
        boot("new", *(measured(dataclasses.replace(cell, machine=other.name),
                               200.0) for cell in CELLS[:3]), on=other)])
    equal(list(recorded.sides(found)),
          [(other.name, "6.12.0", 2,
            [(CELLS[0].name.split(" ", 1)[1], 0.5, 2.0)])], "sides")
    text = document(found)
    assert "| small:wake_ns=20000, Linux 6.12.0 | 2 |" in text, text[-2000:]
    assert "### small:wake" not in text, "a section of its own"


@point
def growth():
    """Rates by the number of processors; what more of them make slower is
    marked."""
    def rates(count, first, second):
        on = machine.load(f"small:processors={count}")
        return boot("new", *(measured(dataclasses.replace(
            cell, machine=on.name, cpus=count), rate) for cell, rate in zip(
                CELLS, (first, second))), on=on)
    found = recorded.by_machine([
        rates(4, 300.0, 97.0), boot("new", measured(CELLS[0], 200.0),
                                    measured(CELLS[1], 100.0)),
        rates(1, 100.0, 100.0)])
    names = [cell.name.split(" ", 1)[1] for cell in CELLS[:2]]
    equal([(row[2], row[3], row[4]) for row in recorded.growth(found)],
          [(names[0], {1: 100.0, 2: 200.0, 4: 300.0}, False),
           (names[1], {1: 100.0, 2: 100.0, 4: 97.0}, True)], "rates")
    text = document(found)
    assert "| 1.00 | 2.00 | 3.00 |  |" in text, text[-2000:]
    assert "| 1.00 | 1.00 | 0.97 | slower |" in text, text[-2000:]


@point
def aims():
    """What a cell misses is what is worse than its aim."""
    def missed(kind, **figures):
        return recorded.misses({"low": 1.0, "p99_to_default": 1.05,
                                "busy_to_min": 1.0, "busy_to_default": 1.0,
                                **figures}, kind)
    small, large = c.Cell("read", 4096), c.Cell("read", c.MIB)
    deep = c.Cell("read", 4096, 8)
    for kind, figures, want in (
            (small, {}, []), (small, {"low": 0.99}, ["rate"]),
            (small, {"p99_to_default": 1.06}, ["p99"]),
            (small, {"p99_to_default": None, "busy_to_min": None,
                     "busy_to_default": None}, []),
            (small, {"busy_to_min": 1.01}, ["time"]),
            (large, {"busy_to_min": 1.25}, []),
            (large, {"busy_to_min": 1.26}, ["time"]),
            (deep, {"busy_to_min": 9.0}, []),
            (c.Cell(c.BESIDE, c.MIB), {"p99": {c.CRYPT_ASYNC: 4, c.RAW: 2}},
             []),
            (c.Cell(c.BESIDE, c.MIB), {"p99": {c.CRYPT_ASYNC: 5, c.RAW: 2}},
             ["p99"]),
            (c.Cell(c.COPY, c.MIB), {"busy_to_min": 9.0}, []),
            (deep, {"busy_to_default": 1.01, "low": 0.5},
             ["rate", "time"])):
        equal(missed(kind, **figures), want, f"{kind.work_name} {figures}")


@point
def names():
    """Each file in results/simulated says whose its figures are, and when
    they were measured."""
    for name in sorted(os.listdir(recorded.RECORDS)):
        if not name.endswith(".json"):
            continue
        assert re.match(r"20\d\d-\d\d-\d\d-\d{6}-", name), name
        with open(f"{recorded.RECORDS}/{name}", encoding="ascii") as file:
            boots = json.load(file)["boots"]
        for one in boots:
            assert re.search(r"[0-9a-f]{7,}$", one["commit"]), \
                f"{name}: {one['commit']} is not a commit"
            assert one["command"] and one["kernel"] and one["cells"], name
            assert name.startswith(one["date"][:7]), name


end()
