# SPDX-License-Identifier: GPL-2.0-only
"""The pages of docs/results, on records that are made up."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, f"{TOP}/scripts/bench")
import core  # noqa: E402
import machine as m  # noqa: E402
import made_up_report  # noqa: E402
from crypt_async.measure import cells as c  # noqa: E402
from points import end, equal, point  # noqa: E402

PAGES = f"{TOP}/scripts/results/pages"
PLATFORMS = """# a comment
arm64     trixie   4    arm64
arm64-16k trixie   16   arm64
s390x     bookworm 4    s390x
amd64     trixie   4    amd64
"""
NEWER = """rt   bookworm,trixie  4 amd64
next sid,experimental 4 amd64
"""
README = """Before

<!-- support matrix: scripts/results/pages -->
what was there
<!-- end -->

<!-- figures: scripts/results/pages -->
old figures
<!-- end -->

After
"""
BENCHMARKS, TESTS, COVERAGE = "benchmarks", "tests", "coverage"
ROUNDS = 4


# --- records --------------------------------------------------------------

def cell(kind, mine=150.0, forced=0):
    """A cell of a simulated machine: of dm-crypt's settings one has 100, the
    default 50, the others less."""
    rates = dict.fromkeys(c.DEFINED, 40.0) | {
        c.RAW: 400.0, c.DEFAULT: 50.0, c.AA: 50.5, c.NO_WQ: 100.0,
        c.CRYPT_ASYNC: mine}
    busy = dict.fromkeys(c.DEFINED, 4000.0) | {c.CRYPT_ASYNC: 1000.0}
    p99 = dict.fromkeys(c.DEFINED, 8000.0) | {c.CRYPT_ASYNC: 4000.0}

    def of_each(figures):
        return {name: [figure] * ROUNDS for name, figure in figures.items()}
    return {"name": kind.name, "stack": kind.stack_name,
            "work": kind.work_name, "ways": kind.ways, "size": kind.size,
            "seconds": [0.1] * ROUNDS, "cipher_ns": [2500000.0] * ROUNDS,
            "rates": of_each(rates), "busy_ns": of_each(busy),
            "p50": of_each(p99), "p99": of_each(p99), "requests": {},
            "forced": of_each(dict.fromkeys(c.DEFINED, forced))}


def boot(commit, cells, name="small"):
    """What one guest wrote."""
    return {"kernel": "6.12.1", "release": "trixie", "driver": "xts-made-up",
            "command": f"scripts/bench/bench --simulated # {commit}",
            "commit": commit, "date": "2001-02-03", "rounds": ROUNDS,
            "machine": m.load(name).as_json(), "forced": 0,
            "host_seconds": 1.0, "simulated_seconds": 0.1, "cells": cells}


KINDS = core.choose(m.load("small"), "full")

RUN = {"commit": "c" * 40, "version": "9.8.7", "command": "make release-test",
       "machine": {"processors": 3, "memory_gib": 5, "kvm": False},
       "kernels": {"bookworm": "6.1.1", "trixie": "6.12.1"},
       "begun": "2001-01-01 00:00 UTC", "without": ["trixie/99-never"],
       "parts": {
           "bookworm/10-one": {"result": "passed", "points": 7,
                               "date": "2001-01-01 01:00 UTC",
                               "seconds": 1800, "skipped": []},
           "trixie/10-one": {"result": "failed", "points": 7,
                             "date": "2001-01-01 02:00 UTC", "seconds": 1800,
                             "skipped": ["no such disk"],
                             "failed": ["not ok 3 - it is right"],
                             "repeat": ["make test TESTS=10-one"]},
           "here/unit/two": {"result": "passed", "points": 0,
                             "date": "2001-01-01 03:00 UTC", "seconds": 0,
                             "skipped": ["no such root"]}}}

COUNTED = {"commit": "d" * 40, "command": "make coverage RECORD=yes",
           "kernel": "6.12.2", "date": "2001-02-04", "failed": False,
           "files": {"src/a.c": {"lines": 8, "ran": 4,
                                 "missed": [3, 4, 5, 9]},
                     "src/b.c": {"lines": 2, "ran": 2, "missed": []}},
           "labels": {"lines": 4, "ran": 3, "missed": ["src/a.c:5"]}}


# --- pages ----------------------------------------------------------------

class Checkout:
    """A directory with records and pages."""

    def __init__(self, records):
        self._directory = tempfile.TemporaryDirectory()
        self.path = self._directory.name
        for name, record in records.items():
            self.put(name, record)

    def write(self, name, text):
        """Write another file."""
        path = f"{self.path}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def readme(self, platforms=PLATFORMS):
        """README.md."""
        self.write("README.md", README)
        self.write("scripts/lab/platforms", platforms)
        equal(self.make(), (0, ""), "the program")
        with open(f"{self.path}/README.md", encoding="utf-8") as file:
            text = file.read()
        has(text, "Before\n\n<!--", "<!-- end -->\n\nAfter\n")
        assert "what was there" not in text, text
        assert "old figures" not in text, text
        return text

    def matrix(self, platforms=PLATFORMS):
        """The table of platforms there, by its first words."""
        rows = tables(self.readme(platforms))[0]
        return {row.pop("machine, pages"): row for row in rows}

    def put(self, name, record):
        """Write a record."""
        path = f"{self.path}/results/{name}.json"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(record, file)

    def make(self, *words):
        """Run the program: its exit status and what it says."""
        done = subprocess.run([PAGES, *words, self.path], text=True,
                              check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def page(self, name):
        """A page, made now."""
        equal(self.make(), (0, ""), "the program")
        with open(f"{self.path}/docs/results/{name}.md",
                  encoding="utf-8") as file:
            return file.read()


def tables(text):
    """The tables of a page: lists of rows, {head: word}."""
    found, heads = [], None
    for line in text.splitlines():
        words = [word.strip() for word in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            heads = None
        elif heads is None:
            heads = words
            found.append([])
        elif not line.startswith("| ---"):
            equal(len(words), len(heads), f"words in {line!r}")
            found[-1].append(dict(zip(heads, words)))
    return found


def has(text, *wanted):
    """Fail unless a page has it all."""
    for words in wanted:
        assert words in text, f"the page has no {words!r}:\n{text}"


@point
def nothing():
    """A page without a record says so"""
    empty = Checkout({})
    has(empty.page(BENCHMARKS), "No figures are recorded yet",
        "No figures from hardware yet", "None are recorded yet")
    has(empty.page(TESTS), "No run is recorded yet", "None was tried yet")
    has(empty.page(COVERAGE), "No run is recorded yet")


@point
def simulated():
    """A cell of a simulated machine has each of its columns"""
    page = Checkout({"simulated/1": {"boots": [
        boot("abc", [cell(KINDS[0]), cell(KINDS[1])])]}}).page(BENCHMARKS)
    rows, = tables(page)
    equal(len(rows), 2, "rows")
    equal(rows[0], {
        "work": KINDS[0].work_name, "to best": "1.50",
        "spread": "1.50 to 1.50", "best setting": c.NO_WQ,
        "to default": "3.00", "of limit": "0.75", "slow runs": "1.50",
        "A/A": "1.010", "time to min": "0.25", "time to default": "0.25",
        "p99": "0.50", "runs": str(ROUNDS), "misses": "",
        "measured": "2001-02-03, abc"}, "the first row")
    has(page, f"\n{KINDS[0].stack_name.split(' ', 1)[1]}:\n",
        "Linux 6.12.1", "xts-made-up", "# abc", "plain_ps=1000",
        f"2 of {len(KINDS)} core cells were measured",
        "Geometric mean of 2 cells: 1.50 of the best setting, 3.00 of the "
        "default", "A/A test: 1.010 is the farthest from 1; cells beyond "
        "0.5%: 2; cells with forced steps: 0")


@point
def figures():
    """README.md has a line for each simulated machine"""
    has(Checkout({}).readme(), "No figures are recorded yet")
    _, rows = tables(Checkout({"simulated/1": {"boots": [
        boot("abc", [cell(KINDS[0]), cell(KINDS[1], 90.0)])]}}).readme())
    equal(rows, [{
        "simulated machine": "small, Linux 6.12.1",
        "cells measured": f"2 of {len(KINDS)}", "to best setting": "1.16",
        "min and max": "0.90 to 1.50", "to default": "2.32",
        "cells that miss an aim": "1"}], "the table")


@point
def below():
    """Cells that miss an aim are counted, and say which"""
    page = Checkout({"simulated/1": {"boots": [boot("abc", [
        cell(KINDS[0]), cell(KINDS[1], 90.0, forced=1)])]}}).page(BENCHMARKS)
    rows, = tables(page)
    equal([row["misses"] for row in rows], ["", "rate"], "aims")
    has(page, "miss an aim: rate 1, p99 0, time 0",
        "cells with forced steps: 1")


@point
def last():
    """Of each cell the last commit counts, with all that it measured"""
    page = Checkout({
        "simulated/1": {"boots": [boot("old", [cell(KINDS[0], 10.0),
                                               cell(KINDS[1], 200.0)])]},
        "simulated/2": {"boots": [boot("new", [cell(KINDS[0], 150.0)])]},
        "simulated/3": {"boots": [boot("new", [cell(KINDS[0], 150.0)])]},
        "simulated/4": {"boots": [boot("new", [cell(KINDS[0])], "laptop")]},
    }).page(BENCHMARKS)
    small, laptop = tables(page)
    equal([(row["measured"], row["runs"], row["to best"]) for row in small],
          [("2001-02-03, new", str(2 * ROUNDS), "1.50"),
           ("2001-02-03, old", str(ROUNDS), "2.00")], "small")
    equal(len(laptop), 1, "rows of laptop")


@point
def cost():
    """Instructions of an I/O have each of their columns"""
    counted = {c.RAW: 1000, "dm-linear": 2000, "cipher": 3000,
               c.CRYPT_ASYNC: 6000, c.DEFAULT: 15000, c.NO_WQ: 9000}
    old, new = ({**boot(commit, []), "cost": [
        {"device": "brd", "unit": 512, "work": work, "instructions": {
            name: [value] * 3 for name, value in counted.items()}}
        for work in works]} for commit, works in (
            ("old", ["write"]), ("new", ["read"])))
    page = Checkout({"cost/1": old, "cost/2": new}).page(BENCHMARKS)
    rows, = tables(page)
    equal(rows, [{
        "device, unit, work": "brd, 512, read", "above": "1000",
        "dm-crypt, default": "10000", "its cheapest setting": "4000",
        "which is": c.NO_WQ, "ratio": "0.25", "all": "6000",
        "to best": "1.50", "to default": "2.50", "of limit": "0.67"}],
        "rows")
    has(page, "Linux 6.12.1", "commit new, 2001-02-03, xts-made-up")


@point
def hardware():
    """A report from a real machine has each of its columns"""
    report = made_up_report.measured()
    page = Checkout({"hardware/2001-01-01-x-bench": report}).page(BENCHMARKS)
    rows, = tables(page)
    summary = report["summary"]
    equal(rows, [{
        "machine": "made up", "kernel": report["kernel"],
        "module": report["module"], "device": report["device"],
        "cells": str(summary["cells"]),
        "to best": f"{summary['to_best']:.2f}",
        "to default": f"{summary['to_default']:.2f}",
        "worst cell": summary["worst"],
        "too noisy": str(len(summary["noisy"])),
        "report": "[2001-01-01-x-bench.json]"
                  "(../../results/hardware/2001-01-01-x-bench.json)"}],
        "rows")


@point
def tested():
    """Each test has a result for each kernel"""
    page = Checkout({"tests/9.8.7": RUN}).page(TESTS)
    grid, skipped, failed = tables(page)
    equal(grid, [{"test": "10-one", "bookworm, 6.1.1": "ok 7",
                  "trixie, 6.12.1": "**failed**: 1 of 7", "here": "–"},
                 {"test": "unit/two", "bookworm, 6.1.1": "–",
                  "trixie, 6.12.1": "–", "here": "skipped"}], "the grid")
    equal(skipped, [{"skipped, since": "no such disk", "in":
                     "trixie/10-one"},
                    {"skipped, since": "no such root",
                     "in": "here/unit/two"}], "what was skipped")
    equal(failed, [{"failed": "trixie/10-one", "points": "3 - it is right",
                    "to repeat": "`make test TESTS=10-one`"}], "what failed")
    has(page, "Version 9.8.7, commit cccccccccccc", "`make release-test`",
        "from 2001-01-01 00:00 UTC to 2001-01-01 03:00 UTC, 1.0 hours",
        "3 processors, 5 GiB, guests emulated",
        "1 have none: trixie/99-never", "failed: trixie/10-one")


def part(result="passed", **more):
    """A part's result."""
    return {"result": result, "points": 3, "date": "2001-01-01 01:00 UTC",
            "seconds": 60, "skipped": []} | more | (
                {"failed": ["not ok 1 - a"], "repeat": ["b"]}
                if result == "failed" else {})


def run_of(parts, begun="2001-01-01 00:00 UTC", **more):
    """A record of tests/release."""
    return RUN | {"kernels": {}, "parts": parts, "without": [],
                  "begun": begun} | more


def built(suite, arch, flavour, kernel="6.12.1", pages=4):
    """The name of a point of tests/packages/headers."""
    return (f"{suite} {arch}: builds for Linux {kernel}-{flavour} "
            f"({kernel}-1), pages of {pages} KiB")


@point
def unknown():
    """Without a record the table says unknown for each platform"""
    cells = Checkout({}).matrix()
    equal(list(cells), ["amd64, 4 KiB", "arm64, 4 KiB", "arm64, 16 KiB",
                        "s390x, 4 KiB"], "machines")
    equal({state for row in cells.values() for state in row.values()},
          {"unknown"}, "states")


@point
def tested_there():
    """A machine is tested when each of its files passed, and only then"""
    cells = Checkout({"tests/1": run_of(
        {"trixie/10-one": part(), "trixie/20-two": part(),
         "bookworm-s390x/10-one": part(), "trixie/stress": part("failed"),
         "trixie-arm64/10-one": part("failed"),
         "trixie-arm64/20-two": part()},
        without=["bookworm-s390x/20-two", "bookworm-s390x/stress",
                 "trixie-arm64-16k/10-one", "bookworm/10-one"],
        kernels={"trixie": "6.12.1"})}).matrix()
    column = "Debian 13: 6.12"
    equal(cells["amd64, 4 KiB"][column], "tested", "all")
    equal(cells["s390x, 4 KiB"]["Debian 12"], "1 of 2 files", "one")
    equal(cells["arm64, 4 KiB"][column], "**failed**: 10-one", "one failed")
    equal(cells["arm64, 16 KiB"][column], "unknown", "none of these")
    equal(cells["amd64, 4 KiB"]["Debian 12"], "unknown", "none")


@point
def kernels():
    """The newest kernels and those with PREEMPT_RT have a place"""
    checkout = Checkout({"tests/1": run_of(
        {"trixie-rt/10-one": part(), "sid-next/10-one": part(),
         "trixie/10-one": part("failed"), "bookworm/headers": part(
             built=[built("bookworm", "amd64", "amd64", "6.1.1")],
             not_built=[built("bookworm", "amd64", "rt-amd64", "6.1.1")])})})
    cells = checkout.matrix(PLATFORMS + NEWER)
    real_time, usual = cells["amd64, 4 KiB, real-time"], cells["amd64, 4 KiB"]
    equal(list(cells)[1], "amd64, 4 KiB, real-time", "the second row")
    equal((real_time["Debian 13"], usual["Debian 13"]),
          ("tested", "**failed**: 10-one"), "of one release")
    equal((real_time["unstable"], usual["unstable"]), ("unknown", "tested"),
          "the newest")
    equal(real_time["Debian 12: 6.1"], "**does not build**: 6.1.1-rt-amd64",
          "of its builds, those of such kernels")


@point
def newest():
    """Of a part the newest record counts, whatever its name"""
    parts = {"trixie/10-one": part(), "trixie/20-two": part()}
    old = run_of(parts | {"trixie/20-two": part("failed")}, begun="2001-01-01")
    new = run_of({"trixie/20-two": part()}, begun="2002-01-01",
                 without=["trixie/10-one", "trixie/30-three"])
    cells = Checkout({"tests/2": old, "tests/1": new}).matrix()
    equal(cells["amd64, 4 KiB"]["Debian 13"], "2 of 3 files", "both")
    cells = Checkout({"tests/2": new | {"begun": "2000-01-01"},
                      "tests/1": old}).matrix()
    equal(cells["amd64, 4 KiB"]["Debian 13"], "**failed**: 20-two", "old")
    short = {name: part("failed")
             for name in ("trixie/20-two", "trixie/kernel-log")}
    cells = Checkout({"tests/2": run_of({}, begun="1999-01-01", short=short),
                      "tests/1": new}).matrix()
    equal(cells["amd64, 4 KiB"]["Debian 13"], "1 of 3 files", "a short run")


@point
def short_run():
    """A short run is said to be one, and a whole one takes its place"""
    short = {"trixie/10-one": part(), "trixie/kernel-log": part(),
             "trixie/storm": part()}
    names = ["trixie/10-one", "trixie/20-two", "trixie/stress"]

    def state(parts, short):
        cells = Checkout({"tests/1": run_of(
            parts, short=short, without=[name for name in names
                                         if name not in parts])}).matrix()
        return cells["amd64, 4 KiB"]["Debian 13"]
    equal(state({}, short), "1 of 2 files, short run", "one")
    equal(state({}, short | {"trixie/20-two": part()}), "tested, short run",
          "all")
    equal(state({"trixie/10-one": part()}, short), "1 of 2 files", "whole")
    equal(state({}, short | {"trixie/kernel-log": part("failed")}),
          "**failed**: kernel-log", "a complaint")
    equal(state({"trixie/10-one": part()},
                {"trixie/10-one": part("failed")}), "**failed**: 10-one",
          "only the short one failed")


@point
def builds():
    """What was only built says so, and so does what was not"""
    cells = Checkout({"tests/1": run_of({
        "trixie/headers": part(
            built=[built("trixie", "arm64", "arm64"),
                   built("trixie", "arm64", "rt-arm64"),
                   built("trixie", "arm64", "arm64-16k", pages=16),
                   built("trixie", "ppc64el", "64k", pages=64)],
            not_built=[built("trixie", "amd64", "rt-amd64"),
                       built("trixie", "ppc64el", "powerpc64le")],
            skipped=["the mirror does not have that for trixie on s390x",
                     "another reason"]),
        "trixie/10-one": part()})}).matrix()
    equal({name: row["Debian 13: 6.12"] for name, row in cells.items()},
          {"amd64, 4 KiB": "tested; **does not build**: 6.12.1-rt-amd64",
           "arm64, 4 KiB": "builds", "arm64, 16 KiB": "builds",
           "ppc64el, 4 KiB": "**does not build**: 6.12.1-powerpc64le",
           "ppc64el, 64 KiB": "builds", "s390x, 4 KiB": "not to be had"},
          "states")
    equal(cells["s390x, 4 KiB"]["unstable"], "unknown", "another suite")
    cells = Checkout({"tests/1": run_of({"sid/headers": part(
        "failed", built=[built("sid", "arm64", "arm64", "7.10.3"),
                         built("sid", "arm64", "rt-arm64", "7.9.3")])},
        kernels={"sid-next": "7.11.1-amd64"})}).matrix()
    equal((cells["amd64, 4 KiB"]["unstable: 7.11"],
           cells["arm64, 4 KiB"]["unstable: 7.11"]), ("unknown", "builds"),
          "not all of it could be looked at")
    cells = Checkout({"tests/1": run_of({"sid/headers": part(
        built=[built("sid", "amd64", "amd64", "7.2.3")])})}).matrix()
    equal([row["unstable: 7.2"] for row in cells.values()],
          ["builds", "no kernel", "no kernel", "no kernel"], "sid")


@point
def many():
    """Of many parts without a result some are named"""
    left = [f"trixie/{number}" for number in range(20)]
    page = Checkout({"tests/9": {**RUN, "without": left}}).page(TESTS)
    has(page, "20 have none: trixie/0, ", "trixie/11, and 8 more\n")


@point
def drivers():
    """A crypto driver that was tried has each of its columns"""
    report = made_up_report.report()
    rows, = tables(Checkout({"hardware/2001-01-01-x": report}).page(TESTS))
    equal(rows[1], {"driver": "xts-aes-hw", "cipher": "xts(aes)",
                    "result": "ok", "machine": "made up", "kernel": "6.12.1",
                    "report": "2001-01-01-x.json"}, "a driver")
    equal(len(rows), len(report["drivers"]), "drivers")


@point
def covered():
    """Each file has its lines, and those that did not run"""
    page = Checkout({"coverage": COUNTED}).page(COVERAGE)
    rows, = tables(page)
    equal(rows, [
        {"file": name, "lines": lines, "ran": ran, "percent": percent,
         "did not run": missed} for name, lines, ran, percent, missed in (
            ("src/a.c", "8", "4", "50.0", "3-5, 9"),
            ("src/b.c", "2", "2", "100.0", ""),
            ("all", "10", "6", "60.0", ""),
            ("labels", "4", "3", "75.0", "src/a.c:5"))], "rows")
    has(page, "commit dddddddddddd", "`make coverage RECORD=yes`",
        "2001-02-04, Linux 6.12.2", "tests failed: none")


@point
def counted():
    """What scripts/lab/coverage-report writes is what the page reads"""
    path = f"{TOP}/scripts/lab/coverage-report"
    loader = importlib.machinery.SourceFileLoader("coverage_report", path)
    report = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(report)
    made = Checkout({"coverage": COUNTED})
    path = f"{made.path}/counted.json"
    report.write(path, {"src/a.c": {1: 7, 2: 0, 3: 0, 9: 1}},
                 {("src/a.c", 2): False, ("src/a.c", 8): True})
    with open(path, encoding="utf-8") as file:
        made.put("coverage", COUNTED | json.load(file))
    rows, = tables(made.page(COVERAGE))
    equal([list(row.values()) for row in rows],
          [["src/a.c", "4", "2", "50.0", "2-3"], ["all", "4", "2", "50.0", ""],
           ["labels", "2", "1", "50.0", "src/a.c:2"]], "rows")


@point
def stale():
    """A page that is edited, or older than its records, is found"""
    made = Checkout({"coverage": COUNTED})
    equal(made.make()[0], 0, "the program")
    equal(made.make("--check"), (0, ""), "pages that were just made")
    made.put("tests/9.8.7", RUN)
    code, said = made.make("--check")
    assert code == 1 and "docs/results/tests.md" in said, said
    assert "coverage.md" not in said, said
    made.make()
    with open(f"{made.path}/docs/results/coverage.md", "a",
              encoding="utf-8") as file:
        file.write("100 %\n")
    code, said = made.make("--check")
    assert code == 1 and "docs/results/coverage.md" in said, said
    made.matrix()
    equal(made.make("--check"), (0, ""), "pages that were just made")
    made.put("tests/9.8.8", run_of({"trixie/10-one": part()}))
    code, said = made.make("--check")
    assert code == 1 and "README.md" in said, said


end()
