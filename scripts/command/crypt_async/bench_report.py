# SPDX-License-Identifier: GPL-2.0-only
"""What bench measures, and its report on some machine, which can be sent in:
how it is made, and whether one can be what bench has written."""

import datetime
import math
import os

from . import hardware, ramdisk
from .common import read
from .measure.cells import (AA, CRYPT_ASYNC, DEFAULT, KIB, MIB, NO_WQ, RAW,
                            both)
from .measure.reduce import reduce_cell, summary

SCHEMA = 1
TOOL = "crypt-async bench"

# dm-crypt's default twice, which says how far figures can be trusted.
MAPPED = (DEFAULT, AA, NO_WQ, CRYPT_ASYNC)
WORK = [*both(4 * KIB, (1, 1), (32, 1)), *both(64 * KIB, (1, 1)),
        *both(MIB, (4, 1))]
UNITS = (512, 4096)
MIN_SIZE = 8 * MIB          # of a device
SEEDS = 1 << 31

# Kinds of devices.
RAM_DISK, VIRTUAL = "RAM disk", "virtual disk"
DISK, ROTATIONAL = "disk", "disk, rotational"

# Taken from what was measured, and from what it was reduced to.
_TOLD = {"device": str, "mib": int, "unit": int, "writes": bool,
         "seconds": float, "rounds": int, "seed": int, "driver": str}
_MEASURED = {"name": str, "size": int, "rates": dict}
_RATIOS = ("noise", "noisy", "best", "to_best", "to_default", "of_raw")
_SUMMARY = ("cells", "noisy", "to_best", "to_default", "worst", "below")
_FIELDS = hardware.FACTS | _TOLD | {"cells": list, "summary": dict}

# I/O per second of any device and any run.
_MIN_RATE, _MAX_RATE = 1e-3, 1e9


def work(writes):
    """The kinds of work: all, or those that only read."""
    return [cell for cell in WORK if writes or cell.reads == 1]


# --- writing --------------------------------------------------------------

def kind(path):
    """What a device is, without its name, by its directory in sysfs. Virtual
    are those of the device mapper, loop devices and so on."""
    if "/devices/virtual/block/" in path:
        return VIRTUAL
    # A partition has no queue of its own.
    is_rotational = any(read(f"{of}/queue/rotational") == "1"
                        for of in (path, os.path.dirname(path)))
    return ROTATIONAL if is_rotational else DISK


def _picked(fields, *of):
    return {name: value for each in of for name, value in each.items()
            if name in fields}


def report(facts, told, reduced):
    """The report: of hardware.facts(), what was measured, and what
    reduce_kernel() made of that. Nothing in it names the machine."""
    return {**facts, **_picked(_TOLD, told),
            "cells": [{**_picked(_MEASURED, cell), **_picked(_RATIOS, found)}
                      for cell, found in zip(told["cells"], reduced["cells"],
                                             strict=True)],
            "summary": _picked(_SUMMARY, reduced["summary"])}


# --- checking -------------------------------------------------------------

def _is_same(got, want):
    """Is it what was computed here, but for rounding?"""
    if isinstance(want, float):
        return isinstance(got, float) and math.isclose(got, want)
    if isinstance(want, (list, tuple)):
        return isinstance(got, list) and len(got) == len(want) \
            and all(map(_is_same, got, want))
    return type(got) is type(want) and got == want


def _differs(got, want, names):
    """Yield those of the names whose values differ."""
    for name in names:
        if not _is_same(got[name], want[name]):
            yield f"{name} does not follow from the rates"


def _how(report_):
    """Yield what is wrong with how it was measured, and on what."""
    device, mib = report_["device"], report_["mib"]
    if device not in (RAM_DISK, VIRTUAL, DISK, ROTATIONAL):
        yield f"device is not one: {device!r}"
    if mib < MIN_SIZE // MIB:
        yield f"mib is less than {MIN_SIZE // MIB}"
    if device == RAM_DISK and (
            mib != ramdisk.SIZE // MIB or not report_["writes"]):
        yield "bench makes no such RAM disk, or writes to it"
    if report_["unit"] not in UNITS:
        yield "unit is not 512 or 4096"
    if not 0 < report_["seconds"] < math.inf:
        yield "seconds is not more than 0"
    if not 0 <= report_["seed"] < SEEDS:
        yield "bench has no such seed"
    if not hardware.is_driver_name(report_["driver"]):
        yield "no driver has such a name"


def _rates(rates, rounds):
    """Yield what is wrong with the rates of a cell."""
    if set(rates) != {RAW, *MAPPED}:
        yield "its contestants are others than bench's"
        return
    for name, values in rates.items():
        if not isinstance(values, list) or len(values) != rounds:
            yield f"{name} does not have {rounds} rates"
        elif not all(isinstance(value, float)
                     and _MIN_RATE < value < _MAX_RATE for value in values):
            yield f"a rate of {name} is none"


def _cell(cell, wanted, rounds):
    """(what is wrong with a cell, what its rates come to)"""
    bad = hardware.types(cell, _MEASURED | dict.fromkeys(_RATIOS, object),
                         wanted.work_name)
    bad = bad or list(_rates(cell["rates"], rounds))
    if bad:
        return bad, None
    name = cell["name"]
    found = reduce_cell({"name": name, "stack": "", "work": name,
                         "cipher_ns": [], "rates": cell["rates"]})
    if (name, cell["size"]) != (wanted.work_name, wanted.size):
        bad.append("bench measures another one in its place")
    return bad + list(_differs(cell, found, _RATIOS)), found


def problems(report_, today=None):
    """Sentences that say why this is no report of bench; none, if it can be
    one."""
    out = hardware.types(report_, _FIELDS, "report")
    if out:
        return out
    out += [*hardware.wrong_facts(report_, TOOL, SCHEMA,
                                  today or datetime.date.today()),
            *_how(report_)]
    wanted = work(report_["writes"])
    if len(report_["cells"]) != len(wanted):
        return [*out, f"there are {len(report_['cells'])} cells, "
                f"not {len(wanted)}"]
    reduced = []
    for cell, one in zip(report_["cells"], wanted):
        bad, found = _cell(cell, one, report_["rounds"])
        out += [f"{one.work_name}: {text}" for text in bad]
        reduced.append(found)
    if out:
        return out
    return hardware.types(report_["summary"],
                          dict.fromkeys(_SUMMARY, object), "summary") \
        or list(_differs(report_["summary"], summary(reduced), _SUMMARY))
