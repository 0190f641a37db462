# SPDX-License-Identifier: GPL-2.0-only
"""Ratios on a terminal."""

from .reduce import NOISE

WIDTH = 24


def ratio(value):
    """A ratio, to be read at a glance."""
    return "-" if value is None else f"{value:.2f}"


def _share(cells):
    """What the last column is a share of: the limit, where it is known."""
    return "of_limit" if any(cell["of_limit"] for cell in cells) else "of_raw"


def _cell_line(cell, share):
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
