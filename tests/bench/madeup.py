# SPDX-License-Identifier: GPL-2.0-only
"""usage: python3 tests/bench/madeup.py DIR

Leaves in DIR/raw what guests would, with made-up figures: every cell of the
full form on one kernel, a few on another, and those of two simulated
machines; and some as crypt-async bench measures them, a part of them, or
all, too noisy."""

import json
import os
import random
import sys

from crypt_async.measure import cells as c

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "..", "..", "scripts", "bench"))
import core  # noqa: E402
import machine  # noqa: E402

ROUNDS = 5
COUNTED = {c.RAW: 4000, "dm-linear": 6000, "cipher": 7000, c.DEFAULT: 30000,
           c.NO_WQ: 15000, "crypt submit": 16000, "crypt same_cpu": 40000,
           c.CRYPT_ASYNC: 14000}
AXES = {"devices": (1, 4, 16, 64), "jobs": (1, 4, 16, 64),
        "targets": (1, 4, 16, 64), "size": (4096, c.MIB, 16 * c.MIB)}
CURVES = (c.RAW, c.DEFAULT, c.NO_WQ, c.CRYPT_ASYNC)
rng = random.Random(1)


def rounds(highest=1000.0):
    """Some rates."""
    return [highest * rng.uniform(0.1, 1) for _ in range(ROUNDS)]


def cell(of):
    """A cell; what needs tags has no raw device and no limit."""
    names = [name for name in c.CONTESTANTS
             if name != c.RAW or not c.CIPHERS[of.cipher].tag]
    return {"name": of.name, "stack": of.stack_name, "work": of.work_name,
            "ways": of.ways, "size": of.size,
            "rates": {name: rounds() for name in names},
            "cipher_ns": rounds() if c.RAW in names else []}


def repeated(of):
    """A cell of a simulated machine: a few of its requests are too few."""
    names = list(c.DEFINED)
    return {**cell(of), "rates": {name: rounds() for name in names},
            "seconds": [0.1] * ROUNDS,
            "forced": {name: [0] * ROUNDS for name in names},
            "busy_ns": {name: rounds() for name in names},
            "p50": {name: rounds() for name in names},
            "p99": {name: rounds() if of.size < c.MIB else [None] * ROUNDS
                    for name in names},
            "requests": {name: rounds() for name in names
                         if of.device in core.COUNTED}}


def twice(of, apart):
    """A cell with dm-crypt's default twice, so far from itself."""
    made = cell(of)
    made["rates"][c.AA] = [rate * apart
                              for rate in made["rates"][c.DEFAULT]]
    return made


def boot(kernel, cpus=2, **what):
    """What one guest writes."""
    return {"kernel": kernel, "release": "trixie", "cpus": cpus,
            "emulated": True, "seed": 1, "form": "full", "rounds": ROUNDS,
            "seconds": 0.4, "driver": "made-up", "date": "2000-01-01",
            "commit": "none", "command": "made up: <\"&'>",
            "notes": ["a note with <markup> & more"], **what}


def boots():
    """All of them, by name."""
    full = c.choose("full")
    yield "cells", boot("6.12.0", cells=[cell(one) for one in full])
    for name in ("laptop", "small"):
        simulated = machine.load(name)
        yield f"{name}-1", boot(
            "6.12.0", simulated.processors, machine=simulated.as_json(),
            forced=0, host_seconds=10.0, simulated_seconds=0.5,
            cells=[repeated(one) for one in core.choose(simulated, "full")])
    yield "older", boot("6.1.0", cells=[cell(one) for one in full[:3]])
    yield "noisy", boot("6.5.0", cells=[
        twice(full[0], 1.0), twice(full[1], 1.1)])
    yield "too-noisy", boot("6.6.0", cells=[twice(full[0], 0.9)])
    yield "cost", boot("6.12.0", cpus=1, cost=[
        {"device": device, "unit": unit, "work": work, "instructions": {
            name: [count + unit] * 3 for name, count in COUNTED.items()}}
        for device in ("brd", "null10") for unit in (512, 4096)
        for work in ("read", "write")])
    yield "growth", boot("6.12.0", growth=[
        {"axis": axis, "value": value, "work": work,
         "rates": {name: rounds() for name in CURVES}}
        for axis, values in AXES.items() for value in values
        for work in ("read", "write")],
        memory=[{"name": name, "rest": 1000.5, "rest slab": 100.0,
                 "load": 5000} for name in CURVES if name != c.RAW])


def main():
    """Write them."""
    raw = os.path.join(sys.argv[1], "raw")
    os.makedirs(raw, exist_ok=True)
    for name, found in boots():
        with open(f"{raw}/{name}.json", "w", encoding="ascii") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main()
