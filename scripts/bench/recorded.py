#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: scripts/bench/recorded.py --ages

Prints how often the module changed since each commit that was measured.

Figures that were recorded in results/simulated: of each machine and cell those
that were measured last, and which of the core cells have some."""

import glob
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.join(HERE, "..", "..")
sys.dont_write_bytecode = True
sys.path.insert(0, HERE + "/../command")
import core  # noqa: E402
import machine as m  # noqa: E402
from crypt_async.measure import cells as c  # noqa: E402
from crypt_async.measure import reduce as r  # noqa: E402

RECORDS = os.path.join(TOP, "results", "simulated")
MODULE = ["src", "dm-crypt-async.c", "dm-crypt-async.h", "Kbuild"]
DIGITS = 7                  # of a figure
# What a cell has to reach: see misses().
LATENCY, LARGE_TIME, BESIDE = 1.05, 1.25, 2
LARGE = 64 * c.KIB
SLOWER = 0.02               # what two boots may differ by
TOTALS = ("forced", "host_seconds", "simulated_seconds")
OF_A_BOOT = ("commit", "date", "kernel", "command")


# --- files ----------------------------------------------------------------

def _rounded(value):
    """With as many digits as a figure has."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return list(map(_rounded, value)) if isinstance(value, list) else value


def as_text(boots):
    """A file of what some boots measured, with a cell on each line."""
    texts = []
    for boot in boots:
        cells = ",\n".join(json.dumps(_rounded(cell))
                           for cell in boot["cells"])
        rest = {key: value for key, value in boot.items() if key != "cells"}
        texts.append(f'{json.dumps(rest)[:-1]}, "cells": [\n{cells}]}}')
    return '{"boots": [\n' + ",\n".join(texts) + "\n]}\n"


def load(directory=RECORDS):
    """All boots that were recorded, in the order of time, which is that of
    the files' names."""
    boots = []
    for path in sorted(glob.glob(os.path.join(directory, "*.json"))):
        with open(path, encoding="ascii") as file:
            boots += json.load(file)["boots"]
    return boots


# --- the last figures of each machine and cell ----------------------------

def _machine(boot):
    """The release, and the machine with all parameters."""
    return boot["release"], boot["machine"]["name"], *sorted(
        boot["machine"]["parameters"].items())


def _is_above(value, most):
    return value is not None and value > most


def misses(cell, kind):
    """Which of the aims a reduced cell of a kind (cells.Cell) misses. Rate:
    its slow runs are at least as fast as dm-crypt's best setting. p99: not
    more than 5 % above the default's, and beside writers not more than twice
    the raw device's. Time: of processors, at depth 1 no
    more than that of the setting with the minimum, of large I/O a quarter
    more; and at no depth more than the default's."""
    alone = kind.depth * kind.jobs == 1 and not kind.is_script
    most = 1 if kind.size <= LARGE else LARGE_TIME
    return [name for name, is_missed in (
        ("rate", cell["low"] < 1),
        ("p99", _is_above(cell["p99_to_default"], LATENCY)
         or kind.work == c.BESIDE and _is_above(
             cell["p99"][c.CRYPT_ASYNC] / cell["p99"][c.RAW], BESIDE)),
        ("time", _is_above(cell["busy_to_default"], 1)
         or alone and _is_above(cell["busy_to_min"], most))) if is_missed]


def _last(boots):
    """Each cell as it was measured last. What one commit measured is put
    together; what another one did before does not count."""
    found = {}
    for boot in boots:
        for cell in boot["cells"]:
            cell = {**cell, **{key: boot[key] for key in OF_A_BOOT}}
            before = found.get(cell["name"])
            if before and before["commit"] == cell["commit"]:
                cell, = r.merge([before, cell])
            found[cell["name"]] = cell
    return list(found.values())


def _reduced(cell, kinds, changes):
    reduced = r.reduce_cell(cell)
    kind = kinds.get(cell["name"])
    return {**reduced, **{key: cell[key] for key in OF_A_BOOT},
            "misses": misses(reduced, kind) if kind else [],
            "changes": changes.get(cell["commit"])}


def _cells(boot):
    """The core cells and the rest, each by name and in order, if the machine
    is still as its file says; else nothing."""
    name = boot["machine"]["name"]
    if name not in m.names():
        return {}, {}
    now = m.load(name)
    if now.parameters != boot["machine"]["parameters"]:
        return {}, {}
    return [{cell.name: cell for cell in cells}
            for cells in (core.choose(now, "full"), core.rest(now))]


def _reduced_machine(boots, changes):
    last = boots[-1]
    kinds, others = _cells(last)
    cells = [_reduced(cell, {**kinds, **others}, changes)
             for cell in r.by_stack(_last(boots))]
    names = [cell["name"] for cell in cells]
    return {"kernel": last["kernel"], "release": last["release"],
            "machine": last["machine"], "cells": cells, "boots": boots,
            "recorded": {"core": list(kinds), "missing": [
                name for name in kinds if name not in names],
                "rest": len(others), "drawn": sum(name in names
                                                  for name in others)},
            "summary": r.summary(cells), "costs": [], "growth": [],
            "memory": [],
            **{what: sum(boot[what] for boot in boots) for what in TOTALS}}


def by_machine(boots, changes=None):
    """What there is of each machine, as reduce.by_kernel() has it of each
    kernel; with the names of the core cells, and of those of them that were
    not measured, in "recorded"; the boots; and for each cell how often the
    module changed since, {commit: number}."""
    return [_reduced_machine([boot for boot in boots
                              if _machine(boot) == which], changes or {})
            for which in dict.fromkeys(map(_machine, boots))]


# --- machines with other parameters ---------------------------------------

def is_variant(found):
    """Is it a machine with other parameters than its file has?"""
    return ":" in found["machine"]["name"]


def _medians(found):
    """The median ratio to the best setting, {cell's name without that of the
    machine: ratio}"""
    return {cell["name"].split(" ", 1)[1]: cell["to_best"][0]
            for cell in found["cells"]}


def _is_slower(ratio):
    """Is it below 1 by more than noise?"""
    return ratio < 1 - r.AA_TOLERANCE


def sides(machines):
    """Of each machine with other parameters: its name and kernel, how many
    cells were also measured with those of the file, on the same release, and
    which of them change sides: (cell, ratio there, ratio here)."""
    usual = {(found["machine"]["name"], found["release"]): _medians(found)
             for found in machines if not is_variant(found)}
    for found in filter(is_variant, machines):
        name = found["machine"]["name"]
        before = usual.get((name.split(":")[0], found["release"]), {})
        pairs = [(cell, before[cell], ratio)
                 for cell, ratio in _medians(found).items() if cell in before]
        yield (name, found["kernel"], len(pairs),
               [pair for pair in pairs
                if _is_slower(pair[1]) != _is_slower(pair[2])])


def _processors(found):
    return int(found["machine"]["parameters"]["processors"])


def _but_processors(found):
    """The release, and everything of a machine but how many processors it
    has."""
    parameters = found["machine"]["parameters"]
    return (found["release"], found["machine"]["name"].split(":")[0],
            *sorted((key, value) for key, value in parameters.items()
                    if key not in ("processors", "sockets")))


def _rates(found):
    """The median rate of crypt-async, {cell's name without that of the
    machine: rate}"""
    return {cell["name"].split(" ", 1)[1]: cell["medians"][c.CRYPT_ASYNC]
            for cell in found["cells"]}


def growth(machines):
    """Of machines that differ in nothing but their processors, cells that
    were measured with several numbers of these: (machine, kernel, cell,
    {processors: rate}, whether more of them ever made it slower)."""
    groups = {}
    for found in sorted(machines, key=_processors):
        groups.setdefault(_but_processors(found), []).append(found)
    for group in groups.values():
        rates = {}
        for found in group:
            for cell, rate in _rates(found).items():
                rates.setdefault(cell, {})[_processors(found)] = rate
        for cell, by_count in rates.items():
            if len(by_count) > 1:
                values = list(by_count.values())
                yield (group[0]["machine"]["name"].split(":")[0],
                       group[0]["kernel"], cell, by_count,
                       any(more < (1 - SLOWER) * less
                           for less, more in zip(values, values[1:])))


# --- age ------------------------------------------------------------------

def _changes_since(commit):
    """How many later commits changed the module; None if nobody knows."""
    done = subprocess.run(
        ["git", "-c", f"safe.directory={os.path.realpath(TOP)}", "-C", TOP,
         "rev-list", "--count", f"{commit}..HEAD", "--", *MODULE],
        check=False, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)
    return int(done.stdout) if done.returncode == 0 else None


def ages(boots):
    """{commit: the changes since}"""
    return {commit: _changes_since(commit)
            for commit in dict.fromkeys(boot["commit"] for boot in boots)}


if __name__ == "__main__":
    if sys.argv[1:] != ["--ages"]:
        sys.exit(__doc__)
    print(json.dumps(ages(load())))
