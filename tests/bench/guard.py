# SPDX-License-Identifier: GPL-2.0-only
"""In a guest whose time is simulated: crypt-async beside dm-crypt in a cell,
or with the word "all" in two, and then with a module that is slower."""

import os
import random
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "scripts", "bench"))

# pylint: disable=wrong-import-position
import ca  # noqa: E402
import machine  # noqa: E402
import recorded  # noqa: E402
import simulated  # noqa: E402
import stacks  # noqa: E402
from crypt_async.measure import cells as c  # noqa: E402
from crypt_async.measure import reduce as r  # noqa: E402

SMALL = machine.load("small")
SLOW = "/vm/share/slow.ko"
ROUNDS = 3
ONCE = 1                    # where much more than chance is looked for
# How much worse than what was recorded is still the same.
SAME = 0.05
# Of each turn a cell with little to spare. They read, since that is what the
# slow module is slower at.
CELLS = [c.Cell("randread", 4 * c.KIB, unit=512, device=device, cpus=2,
                machine="small") for device in ("brd", "null10")]
NAMES = (*c.SETTINGS, c.AA, c.CRYPT_ASYNC)
FEW = (c.DEFAULT, c.NO_WQ, c.AA, c.CRYPT_ASYNC)

turn, *every = sys.argv[1:]
chosen = CELLS if every else [CELLS[int(turn) % len(CELLS)]]
del sys.argv[1:]


def measure(cell, rounds, names):
    """A cell's reduced figures."""
    how = simulated.How(SMALL, rounds, simulated.Totals(), names)
    with stacks.device(cell.device) as lower:
        found, = simulated.measure_stack(lower, [cell], how)
    reduced = r.reduce_cell(found)
    ca.diag(f"{cell.name}: {reduced['to_best'][0]:.3f} of {reduced['best']}, "
            f"processors' time {reduced['busy_to_default']:.3f} of the "
            f"default's, A/A {reduced['aa']:.4f}; {how.totals.as_json()}")
    return reduced


def bars(cell):
    """The least ratio to the best setting, and the most of the default's
    time: what was recorded of a cell on this kernel, if it was; else no
    worse than dm-crypt."""
    for found in recorded.by_machine(recorded.load()):
        for one in found["cells"]:
            if (one["name"], one["kernel"]) == (cell.name,
                                                os.uname().release):
                return ((1 - SAME) * one["to_best"][0],
                        (1 + SAME) * one["busy_to_default"])
    ca.diag("no figures were recorded on this kernel: dm-crypt is the bar")
    return 1, 1


def look(cell):
    """Fail unless a cell is as it was."""
    reduced = measure(cell, ROUNDS, NAMES)
    least, most = bars(cell)
    ca.diag(f"the bars are {least:.3f} and {most:.3f}")
    ca.equal(reduced["forced"], 0, "forced steps")
    ca.check(abs(reduced["aa"] - 1) <= r.AA_TOLERANCE,
             "dm-crypt is as fast as itself")
    ca.check(reduced["to_best"][0] >= least, "the rate")
    ca.check(reduced["busy_to_default"] <= most, "processors' time")


@ca.test("crypt-async is as fast as it was, beside dm-crypt")
def as_fast():
    for cell in chosen:
        look(cell)


@ca.test("one more wake-up for each read is seen")
def seen():
    if not os.path.exists(SLOW):
        ca.skip("two of three turns do without")
    ca.unload_module()
    try:
        ca.load_file(SLOW)
        reduced = measure(chosen[0], ONCE, FEW)
        ca.check(reduced["to_best"][0] < bars(chosen[0])[0], "the rate")
    finally:
        ca.cleanup()
        if ca.module_loaded(ca.MODULE):
            ca.unload_module()
        ca.load_module()


if __name__ == "__main__":
    random.seed(1)
    ca.modprobe("dm-crypt")
    ca.load_file("/vm/modules/bare.ko")
    ca.main()
