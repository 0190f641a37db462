# SPDX-License-Identifier: GPL-2.0-only
"""Reports of selftest and of bench: the checker, on made-up ones, and those
in results/hardware."""

import datetime
import glob
import json
import math
import os
import subprocess
import tempfile

from crypt_async import bench_report, hardware
from crypt_async.measure import cells
from made_up_report import changed, measured, report
from points import end, equal, point

HARDWARE = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                        "..", "..", "results", "hardware")


TODAY = datetime.date(2026, 11, 29)


@point
def checked():
    """The checker takes a report, and none with anything made up in it."""
    today = TODAY
    equal(hardware.problems(report(), today), [], "what is right")
    for field in report():
        assert hardware.problems(changed([field], None), today), field
    for index in range(4):
        for field in report()["drivers"][index]:
            assert hardware.problems(changed(["drivers", index, field],
                                             None), today), (index, field)
    good = ["drivers", 1, "cases", 0]
    for field in report()["drivers"][1]["cases"][0]:
        assert hardware.problems(changed([*good, field], None), today), field
    for path, value in (
            (["schema"], 2), (["date"], "2030-01-01"), (["date"], "soon"),
            (["kernel"], "mine"), (["hostname"], "x"), (["cpus"], True),
            (["drivers"], []), (["drivers", 1, "result"], "fine"),
            (["drivers", 1, "driver"], "chaos(xts-aes-hw)"),
            (["drivers", 1, "driver"], "xts-aes-bad"),
            (["drivers", 1, "driver"], "a driver"),
            (["drivers", 1, "cipher"], "rot13"),
            (["drivers", 0, "result"], "ok"),
            (["drivers", 3, "result"], "ok"),
            (["drivers", 1, "result"], "wrong"),
            (["drivers", 1, "cases"], []), ([*good, "bytes"], 1 << 20),
            ([*good, "ios"], 2), ([*good, "overtaken"], 60),
            ([*good, "overtaken"], -1), ([*good, "unit"], 1024),
            ([*good, "key"], 24),
            ([*good, "counters", "parked"], 6),
            ([*good, "counters", "errors"], 1),
            ([*good, "counters", "written_bytes"], 1),
            ([*good, "counters", "written_bytes"], 13 << 20),
            ([*good, "counters", "fragments"], 1),
            ([*good, "counters", "speed"], 1)):
        assert hardware.problems(changed(path, value), today), (path, value)


@point
def checked_bench():
    """The same of reports of bench."""
    good = measured()
    for each in (good, measured(writes=False, device="disk", mib=8),
                 measured(noisy=0), measured(noisy=len(good["cells"]))):
        equal(bench_report.problems(each, TODAY), [], "what is right")
    for path in ([], ["cells", 0], ["cells", 2], ["cells", 2, "rates"],
                 ["summary"]):
        at = good
        for key in path:
            at = at[key]
        for field in at:
            made = changed([*path, field], None, good)
            assert bench_report.problems(made, TODAY), (path, field)
        made = changed([*path, "more"], 1, good)
        assert bench_report.problems(made, TODAY), (path, "more")


def wrong_values(good):
    """(path, value) of what cannot be in a report of bench."""
    cell, rates = ["cells", 2], good["cells"][2]["rates"]
    raw = [*cell, "rates", "raw"]
    yield from (
        (["schema"], 2), (["tool"], "crypt-async selftest"),
        (["date"], "2026-12-02"), (["date"], "29.11.2026"),
        (["module"], "new"), (["kernel"], "mine"), (["cpu"], " "),
        (["cpus"], 0), (["cpus"], 4.0), (["virtual"], 0), (["rounds"], 0),
        (["rounds"], 2), (["rounds"], True), (["hostname"], "x"),
        (["device"], "/dev/sda"),
        (["mib"], 63), (["mib"], 64.0), (["writes"], False),
        (["unit"], 1024), (["seconds"], 0.0), (["seconds"], -1.0),
        (["seconds"], math.inf), (["seconds"], math.nan), (["seconds"], 1),
        (["seed"], -1), (["seed"], 1 << 31), (["driver"], "a driver"),
        (["driver"], "cryptd(x"), (["cells"], []), (["cells"], {}),
        (["cells"], good["cells"][:-1]), (["cells"], good["cells"] * 2),
        (["cells"], [1] * len(good["cells"])),
        (["cells"], good["cells"][::-1]), (cell, good["cells"][1]),
        ([*cell, "name"], "4k randwrite d1"), ([*cell, "size"], 512),
        ([*cell, "rates"], []), (raw, rates["raw"][:-1]),
        (raw, rates["raw"] * 2), (raw, 1000.0), (raw, {}),
        ([*cell, "noise"], str(good["cells"][2]["noise"])),
        ([*cell, "noise"], None), ([*cell, "noisy"], True),
        (["cells", 0, "noisy"], False), ([*cell, "noisy"], 0),
        ([*cell, "best"], "crypt submit"), ([*cell, "to_best"], None))
    for key in ("to_best", "to_default", "of_raw"):
        for at, value in enumerate(good["cells"][2][key]):
            yield [*cell, key, at], value * 1.001
        yield [*cell, key], good["cells"][2][key][:2]
        yield [*cell, key], "fast"
    for value in (0.0, -1.0, 1000, "1000", None, True, math.inf, math.nan,
                  1e300, 5e-324):
        yield [*raw, 1], value
    for name in rates:
        yield [*cell, "rates", name, 0], 2 * rates[name][0]
    for factor in (1e-7, 1e7):      # the ratios stay
        yield [*cell, "rates"], {name: [rate * factor for rate in values]
                                 for name, values in rates.items()}
    for key, value in good["summary"].items():
        yield ["summary", key], {"cells": len(good["cells"]), "noisy": [],
                                 "worst": "x", "below": ["x"]}.get(
                                     key, value and 1.5)
    yield ["summary"], []


@point
def wrong_bench():
    """No report of bench can have wrong figures, or ratios of others."""
    good = measured()
    for path, value in wrong_values(good):
        made = changed(path, value, good)
        assert bench_report.problems(made, TODAY), (path, value)
    renamed = json.dumps(good).replace("4k randread d32", "4k randread d33")
    assert bench_report.problems(json.loads(renamed), TODAY), "another name"
    for wrong in ({"mib": 7}, {"device": "RAM disk"}):
        made = measured(**{"device": "disk", "writes": False, **wrong})
        assert bench_report.problems(made, TODAY), wrong


@point
def noisy():
    """All figures of a cell that is too noisy are in a report of bench."""
    first, *others = measured()["cells"]
    equal([cell["noisy"] for cell in (first, *others)],
          [True] + [False] * len(others), "which are too noisy")
    assert first["to_best"] and first["rates"][cells.AA], first
    assert abs(first["noise"] - 1.1) < 1e-9, first["noise"]


@point
def unnamed():
    """Nothing in a report of bench names the device or the command."""
    assert "secret" not in json.dumps(measured()), measured()


@point
def kinds():
    """A device is known by its kind."""
    with tempfile.TemporaryDirectory() as top:
        for path, is_rotational in (("virtual/block/loop0", 1),
                                    ("pci/sda", 1), ("pci/nvme0n1", 0)):
            os.makedirs(f"{top}/devices/{path}/queue")
            os.makedirs(f"{top}/devices/{path}/part1")
            with open(f"{top}/devices/{path}/queue/rotational", "w",
                      encoding="ascii") as file:
                print(is_rotational, file=file)
        for path, wanted in (("virtual/block/loop0", "virtual disk"),
                             ("pci/sda", "disk, rotational"),
                             ("pci/nvme0n1", "disk")):
            for part in ("", "/part1"):
                equal(bench_report.kind(f"{top}/devices/{path}{part}"),
                      wanted, path + part)


# Reports that have each field, by their template.
FORMS = {"TEMPLATE.json": report() | {"drivers": [report()["drivers"][1]]},
         "BENCH-TEMPLATE.json": measured()}


def fields(value):
    """The names in it, and how they are nested."""
    if isinstance(value, dict):
        return {key: fields(each) for key, each in value.items()}
    return [fields(each) for each in value[:1]] \
        if isinstance(value, list) else None


@point
def program():
    """results/hardware/check says it of files."""
    def check(text_):
        """Its exit status, and what it says."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text_)
            file.flush()
            done = subprocess.run([f"{HARDWARE}/check", file.name], text=True,
                                  capture_output=True, check=False)
            assert "Traceback" not in done.stderr, done.stderr
            return done.returncode, done.stdout

    equal(check(json.dumps(report())), (0, ""), "a good one")
    equal(check(json.dumps(measured())), (0, ""), "a good one of bench")
    for bad, word in (("{", "JSON"), ("[]", "object"), ("{}", "missing"),
                      (json.dumps({"tool": report()["tool"]}), "missing"),
                      ('{"tool": []}', "of another"),
                      (json.dumps(changed(["cpus"], 0)), "less than 1"),
                      (json.dumps(changed(["mib"], 0, measured())), "mib"),
                      (json.dumps(changed(["tool"], "x", measured())),
                       "of another")):
        code, said = check(bad)
        equal((code, word in said), (1, True), said)


@point
def committed():
    """Reports in results/hardware can be such.
    They are as they were written. The template has their fields, and is
    none."""
    for path in glob.glob(f"{HARDWARE}/*.json"):
        with open(path, encoding="utf-8") as file:
            written = file.read()
        made, name = json.loads(written), os.path.basename(path)
        form = FORMS.get(name)
        if form:
            equal(fields(made), fields(form), path)
            equal(made["tool"], form["tool"], path)
        done = subprocess.run([f"{HARDWARE}/check", path], text=True,
                              capture_output=True, check=False)
        equal(done.returncode, int(form is not None), f"{name}: {done}")
        equal(written.rstrip("\n"), json.dumps(made, indent=1), path)


@point
def machines():
    """The processor's model is found on several architectures."""
    for text_, model in (
            ("processor\t: 0\nmodel name\t: A 1\n", "A 1"),
            ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
             "cpu implementer 0x41, cpu part 0xd0b"),
            ("cpu\t\t: POWER9, altivec supported\n",
             "POWER9, altivec supported"),
            ("vendor_id       : IBM/S390\n", "IBM/S390"), ("", "unknown")):
        equal(hardware.processor(text_), model, text_)


end()
