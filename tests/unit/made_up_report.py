# SPDX-License-Identifier: GPL-2.0-only
"""Reports of selftest and of bench that are made up."""

import copy
import json
import random

from crypt_async import bench_report, hardware
from crypt_async.measure import cells
from crypt_async.measure.reduce import by_kernel

COUNTED = dict.fromkeys(hardware.COUNTERS, 0) | {
    "reads": 40, "writes": 40, "read_bytes": 6 << 20,
    "written_bytes": 6 << 20, "fragments": 200, "parked": 7, "resumed": 7}


def case(unit, key, memory, **more):
    """A case that may have been."""
    return {"unit": unit, "key": key, "memory": memory, "ios": 60,
            "bytes": 12 << 20, "overtaken": 30,
            "counters": dict(COUNTED), **more}


def facts(tool):
    """What a report says of a machine that is made up."""
    return {"schema": 1, "tool": tool, "date": "2026-11-29",
            "module": "0.2.0", "kernel": "6.12.1", "machine": "aarch64",
            "cpu": "made up", "cpus": 4, "board": "",
            "distribution": "made up", "virtual": False}


def report():
    """A report of selftest that may be one."""
    def driver(name, result, **more):
        return {"driver": name, "cipher": "xts(aes)", "module": "hw",
                "async": True, "priority": 300, "kernel_selftest": "passed",
                "result": result, "cases": [], **more}

    return {**facts("crypt-async selftest"), "area": 4 << 20,
            "rounds": 1, "not_tried": list(hardware.NOT_TRIED),
            "skipped": [{"cipher": "cbc(aes)", "why": "none"}],
            "drivers": [
                driver("xts(ecb(aes-generic))", "reference"),
                driver("xts-aes-hw", "ok", cases=[
                    case(512, 64, "usual"), case(4096, 64, "little"),
                    case(512, 32, "little")]),
                driver("xts-aes-none", "skipped", why="none"),
                driver("xts-aes-bad", "wrong", cases=[
                    case(512, 64, "usual", trouble={
                        "kind": "wrong", "at": 1, "what": "read"})])]}


ROUNDS = 3


def _measured(work, number, apart):
    """A cell, with the default so far from itself."""
    rng = random.Random(number)
    rates = {name: [rng.uniform(1000, 2000) for _ in range(ROUNDS)]
             for name in (cells.RAW, *bench_report.MAPPED)}
    rates[cells.AA] = [
        rate * (apart + (at - 1) / 100)
        for at, rate in enumerate(rates[cells.DEFAULT])]
    return {"name": work.work_name, "stack": "made up", "work": "made up",
            "ways": 1, "size": work.size, "cipher_ns": [], "rates": rates}


def measured(noisy=1, **more):
    """A report of bench that may be one, with so many cells that are too
    noisy."""
    told = {"kernel": "6.12.1", "release": "", "device": "RAM disk",
            "mib": 64, "unit": 4096, "writes": True, "seconds": 0.5,
            "rounds": ROUNDS, "seed": 1, "driver": "xts-aes-hw",
            "name": "/dev/secret", "command": "bench /dev/secret", **more}
    told["cells"] = [
        _measured(work, number, 1.1 if number < noisy else 1.01)
        for number, work in enumerate(bench_report.work(told["writes"]))]
    reduced, = by_kernel([told])
    made = bench_report.report(facts("crypt-async bench"), told, reduced)
    return json.loads(json.dumps(made))


def changed(path, value, of=None):
    """A report with one thing changed, or taken out; if not another one, that
    of selftest."""
    made = copy.deepcopy(of or report())
    at = made
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return made
