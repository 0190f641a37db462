# SPDX-License-Identifier: GPL-2.0-only
"""usage: python3 tests/bench/reduce.py

Checks the cells and ratios of scripts/command/crypt_async/measure with made-up
figures; TAP."""

import contextlib
import io
import math
import sys
import traceback

from crypt_async import bench
from crypt_async.measure import cells as c
from crypt_async.measure import fio, page, table
from crypt_async.measure import reduce as r

TESTS = []


def test(function):
    """Declare a test point; its docstring is the name."""
    TESTS.append(function)
    return function


def equal(got, want):
    """Fail unless both are the same, up to rounding."""
    if isinstance(want, float):
        same = math.isclose(got, want, rel_tol=1e-9)
    elif isinstance(want, (tuple, list)) and want and isinstance(
            want[0], float):
        same = len(got) == len(want) and all(map(math.isclose, got, want))
    else:
        same = got == want
    if not same:
        raise AssertionError(f"got {got!r}, expected {want!r}")


def measured(name="a cell", crypt_async=(100.0,), cipher_ns=(), **others):
    """A cell as a guest tells it."""
    rates = {c.RAW: 400.0, c.DEFAULT: 10.0, c.NO_WQ: 50.0,
             "crypt submit": 20.0, "crypt same_cpu": 5.0}
    rates = {key: [value] * len(crypt_async) for key, value in rates.items()}
    rates.update({key: list(values) for key, values in others.items()})
    return {"name": name, "stack": "stack", "work": "work", "ways": 1,
            "size": 4096, "cipher_ns": list(cipher_ns),
            "rates": {**rates, c.CRYPT_ASYNC: list(crypt_async)}}


# --- ratios ---------------------------------------------------------------

@test
def round_by_round():
    """the ratio is the median of the rounds' ratios, not of the rates"""
    rates = {c.CRYPT_ASYNC: [10.0, 30.0, 80.0], c.DEFAULT: [10.0, 10.0, 100.0]}
    best, spread = r.against_best(rates)
    equal(best, c.DEFAULT)
    equal(spread, (1.0, 0.8, 3.0))


@test
def the_best():
    """the best setting is the one beside which crypt-async is slowest"""
    cell = r.reduce_cell(measured(crypt_async=[100.0, 100.0, 100.0]))
    equal(cell["best"], c.NO_WQ)
    equal(cell["to_best"], (2.0, 2.0, 2.0))
    equal(cell["to_default"], (10.0, 10.0, 10.0))
    equal(cell["of_raw"], (0.25, 0.25, 0.25))


@test
def the_best_is_no_contestant_of_ours():
    """neither the raw device nor crypt-async is a setting of dm-crypt"""
    equal(sorted(c.SETTINGS),
          sorted(set(c.CONTESTANTS) - {c.RAW, c.CRYPT_ASYNC}))
    equal(len(c.SETTINGS), 4)


@test
def the_limit():
    """the limit is the raw device's time and the cipher's"""
    cell = measured(crypt_async=[400.0], cipher_ns=[1_000_000],
                    **{c.RAW: [1000.0]})
    equal(r.limit_share(cell), (0.8, 0.8, 0.8))


@test
def no_limit():
    """there is no limit without the cipher's time or the raw device"""
    equal(r.limit_share(measured()), None)
    cell = measured(cipher_ns=[1000])
    del cell["rates"][c.RAW]
    equal(r.limit_share(cell), None)
    equal(r.reduce_cell(cell)["of_raw"], None)


@test
def uneven_rounds():
    """rounds that one contestant lacks are an error"""
    try:
        r.ratios([1.0, 2.0], [1.0])
    except ValueError:
        return
    raise AssertionError("not noticed")


# --- summary --------------------------------------------------------------

@test
def geometric():
    """half and double make one"""
    equal(r.geometric_mean([0.5, 2.0]), 1.0)
    cells = [r.reduce_cell(measured(f"cell {rate}", [rate]))
             for rate in (25.0, 100.0)]
    found = r.summary(cells)
    equal(found["to_best"], 1.0)
    equal(found["to_default"], 5.0)
    equal(found["worst"], "cell 25.0")
    equal(found["of_limit"], None)
    equal(found["limit"], None)


@test
def limit_of_all():
    """half of the limit and twice the best setting: the limit is four times
    that"""
    cell = r.reduce_cell(measured("cell", [100.0]))
    cell["of_limit"] = (0.5, 0.5, 0.5)
    bounded = r.summary([cell])["limit"]
    equal(bounded, [cell["to_best"][0] * 2, cell["to_default"][0] * 2])


@test
def noise():
    """a cell at the bound of noise is not below it, one under it is"""
    cells = [r.reduce_cell(measured(str(rate), [rate]))
             for rate in (48.4, 48.5, 50.0)]
    equal(r.summary(cells)["below"], ["48.4"])


# --- a default beside itself ----------------------------------------------

def twice(name, again, crypt_async=(100.0,)):
    """A cell whose default is mapped twice: 10 a second, and this."""
    return measured(name, crypt_async, **{c.AA: again})


@test
def apart():
    """the default beside itself is a median, round by round"""
    cell = r.reduce_cell(measured(
        crypt_async=[100.0] * 3, **{c.DEFAULT: [10.0, 20.0, 80.0],
                                    c.AA: [10.0, 40.0, 60.0]}))
    equal(cell["noise"], 1.0)
    equal(cell["noisy"], False)


@test
def apart_too_far():
    """3 % apart is not too noisy, either way; more is"""
    found = {again: r.reduce_cell(twice("x", [again]))["noisy"]
             for again in (9.69, 9.7, 10.0, 10.3, 10.31)}
    equal(found, {9.69: True, 9.7: False, 10.0: False, 10.3: False,
                  10.31: True})


@test
def mapped_once():
    """a default that is mapped once cannot be too noisy"""
    cell = r.reduce_cell(measured())
    equal((cell["noise"], cell["noisy"]), (None, False))


@test
def noisy_left_out():
    """a summary leaves out cells that are too noisy, and names them"""
    cells = [r.reduce_cell(cell) for cell in (
        twice("fast", [10.0], [200.0]), twice("slow", [10.1], [50.0]),
        twice("slowest", [11.0], [10.0]))]
    found = r.summary(cells)
    equal((found["cells"], found["noisy"]), (2, ["slowest"]))
    equal((found["worst"], found["below"]), ("slow", []))
    equal(found["to_best"], 2.0)
    equal(found["to_default"], 10.0)
    equal(cells[2]["to_best"], (0.2, 0.2, 0.2))


def shown(*cells):
    """What is printed of cells, and the page."""
    measured_ = {**boot(*cells), "name": "x", "emulated": False, "cpus": 1,
                 "driver": "x", "rounds": 1, "seconds": 1.0, "seed": 1,
                 "date": "2000-01-01", "commit": "x", "command": "x",
                 "notes": []}
    kernels = r.by_kernel([measured_])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        table.print_cells(kernels[0]["cells"])
        table.print_summary(kernels[0]["summary"])
    return printed.getvalue(), page.page(kernels, [measured_])


def has(text, *words):
    """Fail unless the text has each of these."""
    for word in words:
        if word not in text:
            raise AssertionError(f"no {word!r} in {text}")


def lacks(text, *words):
    """Fail if the text has any of these."""
    for word in words:
        if word in text:
            raise AssertionError(f"{word!r} in {text}")


@test
def noisy_shown():
    """a cell that is too noisy has no ratio, in the table and in the page"""
    printed, html = shown(twice("good", [9.9], [123.0]),
                          twice("bad", [12.0], [345.0]))
    has(printed, "2.46 ", "too noisy to tell: the default is 1.200 of itself",
        "Cells left out: 1, too noisy to tell", "mean of 1 cells")
    lacks(printed, "6.90", "34.50", "0.86")
    has(html, '<td class="n">2.46</td>', '<td>0.990</td>',
        '<td colspan="7">too noisy to tell</td><td>1.200</td>',
        "Over 1 cells", "left out: 1,")
    lacks(html, "6.90", "34.50", "0.86")


@test
def all_noisy():
    """without any other cell there is no mean, but what to do"""
    found = r.summary([r.reduce_cell(twice("x", [11.0]))])
    equal(found, {"cells": 0, "noisy": ["x"], "to_best": None,
                  "to_default": None, "of_limit": None, "limit": None,
                  "worst": None, "below": []})
    for text in shown(twice("x", [11.0]), twice("y", [9.0])):
        has(text, "All cells are too noisy", "more --seconds or --rounds")
        lacks(text, "geometric", "worst", "elow 0.97", "<svg")


@test
def quiet():
    """nothing is said of noise where a default is mapped once"""
    for text in shown(measured()):
        lacks(text, "noisy", "itself", "A/A")


@test
def expected():
    """bench maps the default twice, and expects the time of each run"""
    equal(set(bench.MAPPED), {c.DEFAULT, c.AA, c.NO_WQ, c.CRYPT_ASYNC})
    how = bench.How(None, write=True, seconds=2.0)
    runs = fio.in_lots(how.cells, [c.RAW, *bench.MAPPED])
    equal(len(runs), 8 * 5)
    equal(how.expected, len(runs) * (2.0 + bench.PER_RUN))


# --- cost and growth ------------------------------------------------------

COUNTED = {c.RAW: 4000, "dm-linear": 6000, "cipher": 7000, c.DEFAULT: 30000,
           c.NO_WQ: 15000, "crypt submit": 16000, "crypt same_cpu": 40000,
           c.CRYPT_ASYNC: 14000}


@test
def cost():
    """cost is what is above dm-linear and the cipher"""
    row = r.reduce_cost({"device": "brd", "unit": 512, "work": "read",
                         "instructions": {
        name: [value - 9, value, value + 900]
        for name, value in COUNTED.items()}})
    equal(row["above"][c.CRYPT_ASYNC], 1000)
    equal(row["above"][c.DEFAULT], 17000)
    equal(row["best"], c.NO_WQ)
    equal(row["ratio"], 0.5)
    equal(row["to_best"], 15000 / 14000)
    equal(row["to_default"], 30000 / 14000)
    equal(row["of_limit"], 11000 / 14000)


@test
def growth():
    """a point of a curve is a share of the raw rate, round by round"""
    row = r.reduce_growth({"axis": "jobs", "value": 4, "work": "read",
                           "rates": {c.RAW: [100.0, 200.0, 400.0],
                                     c.CRYPT_ASYNC: [50.0, 50.0, 300.0]}})
    equal(row["of_raw"], {c.CRYPT_ASYNC: (0.5, 0.25, 0.75)})


# --- several boots --------------------------------------------------------

def boot(*cells, kernel="6.12", **more):
    """What a guest left."""
    return {"kernel": kernel, "release": "trixie", "cells": list(cells),
            **more}


@test
def merged():
    """rounds of a cell measured twice are put together"""
    first = measured(crypt_async=[100.0, 150.0])
    second = measured(crypt_async=[25.0])
    found, = r.by_kernel([boot(first), boot(second)])
    equal(len(found["cells"]), 1)
    equal(found["cells"][0]["to_best"], (2.0, 0.5, 3.0))


@test
def other_contestants():
    """of a cell with other contestants the last run counts"""
    second = measured(crypt_async=[25.0])
    del second["rates"]["crypt submit"]
    found, = r.by_kernel([boot(measured()), boot(second)])
    equal(found["cells"][0]["to_best"], (0.5, 0.5, 0.5))


@test
def kernels():
    """kernels are kept apart"""
    found = r.by_kernel([boot(measured(), kernel="6.1"), boot(measured()),
                         boot(measured("other"), kernel="6.1")])
    equal([(one["kernel"], len(one["cells"])) for one in found],
          [("6.1", 2), ("6.12", 1)])


@test
def stacks():
    """the cells of a stack come together, whichever run they are of"""
    cells = [{**measured(name), "stack": stack}
             for name, stack in (("a", "1"), ("b", "2"), ("c", "1"))]
    found, = r.by_kernel([boot(*cells[:2]), boot(cells[2])])
    equal([cell["name"] for cell in found["cells"]], ["a", "c", "b"])


@test
def no_cells():
    """a run without cells has no summary"""
    found, = r.by_kernel([boot()])
    equal((found["summary"], found["costs"], found["growth"]), (None, [], []))


# --- which cells ----------------------------------------------------------

@test
def names():
    """no two cells have the same name"""
    for form in c.FORMS:
        found = [cell.name for cell in c.choose(form)]
        equal(len(set(found)), len(found))


@test
def short_form():
    """the short form is a choice of the full one, with both devices"""
    short, full = c.choose("short"), c.choose("full")
    equal({cell.name for cell in short} - {cell.name for cell in full}, set())
    equal({(cell.device, cell.unit) for cell in short},
          {(device, unit) for device in ("brd", "null10")
           for unit in (512, 4096)})
    equal(22 <= len(short) <= 26, True)


@test
def full_form():
    """the full form has every value of every axis, but simulated ones"""
    full = c.choose("full")
    for axis, want in (("device", c.DEVICES.keys() - {"null80"}),
                       ("cpus", {1, 2, 4}),
                       ("cipher", set(c.CIPHERS)), ("unit", {512, 4096}),
                       ("engine", {"libaio", "io_uring"})):
        equal({getattr(cell, axis) for cell in full}, want)


@test
def words():
    """a pattern's words are whole words"""
    devices = {cell.device for cell in c.choose("full", "null10")}
    equal(devices, {"null10"})
    found = c.choose("full", "2cpu brd aes-xts 4096 libaio 4k "
                     "rand(read|write) d1")
    equal(len(found), 2)
    equal(c.choose("full", "nosuch"), [])


@test
def parts():
    """the parts are the whole, and each cell is in one"""
    whole = c.choose("full")
    equal([cell for number in range(1, 8)
           for cell in c.choose("full", part=f"{number}/7")], whole)


@test
def ways():
    """the cipher's work spreads as far as I/O and processors allow"""
    equal(c.Cell("read", 4096).ways, 1)
    equal(c.Cell("read", 4096, depth=32).ways, 2)
    equal(c.Cell("read", c.MIB, cpus=4).ways, 4)
    equal(c.Cell("read", 128 * c.KIB, cpus=4).ways, 2)


def main():
    """TAP."""
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, function in enumerate(TESTS, 1):
        try:
            function()
            print(f"ok {number} - {function.__doc__}")
        except Exception:
            failed += 1
            print(f"not ok {number} - {function.__doc__}")
            for line in traceback.format_exc().splitlines():
                print("#", line)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
