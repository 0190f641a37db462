# SPDX-License-Identifier: GPL-2.0-only
"""Ratios on a terminal."""

from .cells import CRYPT_ASYNC, DEFAULT, RAW
from .reduce import AA_TOLERANCE, NOISE, TOO_NOISY

WIDTH = 24
CANNOT_TELL = "too noisy to tell"


def ratio(value):
    """A ratio, to be read at a glance."""
    return "-" if value is None else f"{value:.2f}"


def _share(cells):
    """What the last column is a share of: the limit, where it is known."""
    return "of_limit" if any(cell["of_limit"] for cell in cells) else "of_raw"


def left_out(found):
    """Says that a summary leaves out some cells, or all, and why."""
    why = (f"{CANNOT_TELL}, as dm-crypt's default differs from itself by "
           f"more than {TOO_NOISY:.0%}.")
    if found["cells"]:
        return f"Cells left out: {len(found['noisy'])}, {why}"
    return (f"All cells are {why} End what else runs here, and measure "
            "again, with more --seconds or --rounds.")


def _cell_line(cell, share):
    if cell["noisy"]:
        return (f"  {cell['work']:{WIDTH}}  {CANNOT_TELL}: the default is "
                f"{cell['noise']:.3f} of itself")
    median, low, high = cell["to_best"]
    mark = " <" if median < NOISE else ""
    spread = f"{low:.2f}-{high:.2f}"
    return (f"  {cell['work']:{WIDTH}}{median:8.2f} {spread:>12}"
            f"{cell['to_default'][0]:10.2f}"
            f"{ratio(cell[share] and cell[share][0]):>10}"
            f"   {cell['best']}{mark}")


def print_cells(cells):
    """The cells, by stack."""
    share = _share(cells)
    print(f"  {'crypt-async as a ratio':{WIDTH}}{':best':>8} {'spread':>12}"
          f"{':default':>10}{share.replace('_', ' '):>10}   best setting")
    stack = None
    for cell in cells:
        if cell["stack"] != stack:
            stack = cell["stack"]
            print(stack)
        print(_cell_line(cell, share))


def print_summary(found):
    """The end of the table."""
    if found["noisy"]:
        print(left_out(found))
    if not found["cells"]:
        return
    limit = found["of_limit"]
    print(f"geometric mean of {found['cells']} cells: "
          f"{found['to_best']:.2f} : best, "
          f"{found['to_default']:.2f} : default"
          + (f", {ratio(limit)} of the limit" if limit else ""))
    if found["limit"]:
        print("the limit itself: {:.2f} : best, {:.2f} : default".format(
            *found["limit"]))
    print(f"worst cell: {found['worst']}")
    print(f"cells below {NOISE}: {len(found['below'])}")


def _states(runs):
    """The states of runs, as rates and how often each was seen."""
    return ", ".join(f"{rate:.0f} ({count})" for rate, count in runs)


def _print_requests(cells):
    """How many the lower device had for each I/O."""
    for cell in cells:
        print("requests for each I/O:" + ", ".join(
            f" {name} {cell['requests'][name]:.2f}"
            for name in (CRYPT_ASYNC, DEFAULT, RAW))
            + f"   {cell['stack']} {cell['work']}")


def print_repeated(cells, found):
    """What only simulated time shows."""
    print(f"\n  {'':{WIDTH}}{'A/A':>8}{'slow':>8}{'time :min':>12}"
          f"{':default':>9}{'p99':>6}   I/O per second of crypt-async, and in "
          "how many runs")
    stack = None
    for cell in cells:
        if cell["stack"] != stack:
            stack = cell["stack"]
            print(stack)
        print(f"  {cell['work']:{WIDTH}}{cell['aa']:8.3f}"
              f"{cell['low']:8.2f}{ratio(cell['busy_to_min']):>12}"
              f"{ratio(cell['busy_to_default']):>9}"
              f"{ratio(cell['p99_to_default']):>6}   "
              + _states(cell["states"][CRYPT_ASYNC])
              + (f" FORCED STEPS: {cell['forced']}" if cell["forced"] else ""))
    _print_requests([cell for cell in cells if cell["requests"]])
    print(f"A/A test: {found['aa']:.3f} is the farthest from 1; cells beyond "
          f"{AA_TOLERANCE:.1%}: {len(found['aa_failed'])}")
    print(f"slow runs ({' or '.join(found['low_is'])}) below 1: "
          f"{len(found['low'])} cells")


def print_totals(found):
    """How long simulation took, and whether it depended on the host."""
    print(f"{found['simulated_seconds']:.1f} simulated seconds in "
          f"{found['host_seconds']:.0f} s")
    print(f"forced steps: {found['forced']}"
          + (", so that these figures depend on what else the host did"
             if found["forced"] else ""))
