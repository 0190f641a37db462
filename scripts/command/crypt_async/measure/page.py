# SPDX-License-Identifier: GPL-2.0-only
"""The report: one file of HTML with everything in it."""

import html
import itertools

from . import plots
from .cells import CRYPT_ASYNC, DEFAULT, short
from .reduce import NOISE

# The policy keeps the page from asking for anything outside.
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>crypt-async beside dm-crypt</title>
<style>
body { font: 16px/1.5 sans-serif; color: #1a1a1a; background: #fff;
       max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 3rem; border-bottom: 1px solid #bbb; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #ddd;
         text-align: left; white-space: nowrap; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tr.below td { background: #fbeee4; }
ul.cells { columns: 2; font-size: 0.9rem; }
.wide { overflow-x: auto; }
.figures { font-size: 1.1rem; }
svg { max-width: 100%; height: auto; display: block; margin: 1rem 0; }
</style>
</head>
<body>
"""
AXES = {"devices": "devices, for four jobs of depth 8 together",
        "jobs": "jobs of depth 1",
        "targets": "targets of the table, for four jobs of depth 8",
        "size": "bytes of an I/O, one at a time"}


# --- pieces ---------------------------------------------------------------

def _text(value):
    """A number to two places, a text as it is, nothing as a dash."""
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _cell(tag, value):
    right = isinstance(value, (int, float)) or value is None
    return (f'<{tag} class="n">' if right else f"<{tag}>") + (
        html.escape(_text(value)) + f"</{tag}>")


def _row(values, kind=""):
    marked = f' class="{kind}"' if kind else ""
    return f"<tr{marked}>" + "".join(_cell("td", v) for v in values) + "</tr>"


def _table(head, rows):
    """A table of rows; a name with > in front is a column of numbers."""
    names = "".join(
        f'<th class="n">{html.escape(name[1:])}</th>' if name[0] == ">"
        else f"<th>{html.escape(name)}</th>" for name in head)
    return ('<div class="wide"><table><thead><tr>' + names
            + "</tr></thead><tbody>\n" + "\n".join(rows)
            + "\n</tbody></table></div>")


def _middle(spread):
    return spread and spread[0]


# --- cells ----------------------------------------------------------------

def _cell_row(cell):
    median, low, high = cell["to_best"]
    return _row([cell["work"], median, low, high, cell["best"],
                 cell["to_default"][0], _middle(cell["of_limit"]),
                 _middle(cell["of_raw"])],
                "below" if median < NOISE else "")


def _stack(name, cells):
    """The cells that were measured side by side: a plot and a table."""
    chart = plots.bars(
        [cell["work"] for cell in cells],
        [("to the best setting", [c["to_best"][0] for c in cells]),
         ("to the default", [c["to_default"][0] for c in cells])],
        "rate of crypt-async, as a ratio", log=True)
    return [f"<h3>{html.escape(name)}</h3>", chart,
            _table(["work", ">to best", ">min", ">max", "best setting",
                    ">to default", ">of limit", ">of raw"],
                   [_cell_row(cell) for cell in cells])]


def _summary(found):
    """The figures that count."""
    below = found["below"]
    parts = ['<p class="figures">Over ', str(found["cells"]),
             " cells, geometric mean: <b>", _text(found["to_best"]),
             "</b> times the best setting of dm-crypt in each cell, <b>",
             _text(found["to_default"]), "</b> times its default",
             f", <b>{_text(found['of_limit'])}</b> of the limit"
             if found["of_limit"] else "", ".</p>\n<p>",
             f"Cells below {NOISE} of the best setting: {len(below)}.</p>"]
    listed = "".join(f"<li>{html.escape(name)}</li>" for name in below)
    return ["".join(parts),
            f'<ul class="cells">{listed}</ul>' if below else ""]


def _cells(found):
    parts = ["<h2>Rates</h2>", *_summary(found["summary"])]
    for name, cells in itertools.groupby(found["cells"],
                                         key=lambda cell: cell["stack"]):
        parts += _stack(name, list(cells))
    return parts


# --- cost -----------------------------------------------------------------

def _costs(rows):
    labels = [f"{row['device']} {row['unit']} {row['work']}" for row in rows]
    names = [CRYPT_ASYNC, DEFAULT, "cheapest setting"]
    series = [(name, [row["above"].get(name, row["above"][row["best"]])
                      for row in rows]) for name in names]
    table = [_row([label, row["ratio"], *(
        round(values[at]) for _, values in series), row["best"],
                   row["to_best"], row["to_default"], row["of_limit"]])
             for at, (label, row) in enumerate(zip(labels, rows))]
    return ["<h2>Cost of an I/O</h2>",
            "<p>Instructions for 4 KiB, one at a time, above what dm-linear "
            "and the cipher alone with the same units take; and what all "
            "of them come to as a rate.</p>",
            plots.bars(labels, series, "instructions"),
            _table(["I/O", ">ratio", ">" + CRYPT_ASYNC, ">" + DEFAULT,
                    ">cheapest",
                    "which is", ">to best", ">to default", ">of limit"],
                   table)]


# --- growth ---------------------------------------------------------------

def _label(axis, value):
    return short(value) if axis == "size" else str(value)


def _curve(axis, kind, rows):
    """The plot of one axis, for reads or for writes."""
    names = list(rows[0]["of_raw"])
    names.sort(key=lambda name: (name != CRYPT_ASYNC, name))
    series = [(name, {row["value"]: row["of_raw"][name][0] for row in rows
                      if name in row["of_raw"]}) for name in names]
    points = sorted((row["value"], _label(axis, row["value"]))
                    for row in rows)
    return [f"<h3>{html.escape(kind)}: {html.escape(AXES[axis])}</h3>",
            plots.curves(points, series, "share of the raw rate",
                         axis),
            _table([axis, *(">" + name for name in names)],
                   [_row([label, *(values.get(value) for _, values in series)])
                    for value, label in points])]


def _growth(rows):
    parts = ["<h2>Growth</h2>",
             "<p>Share of the rate of dm-linear on the same device.</p>"]
    for axis, kind in dict.fromkeys((row["axis"], row["work"])
                                    for row in rows):
        parts += _curve(axis, kind, [row for row in rows if (
            row["axis"], row["work"]) == (axis, kind)])
    return parts


def _memory(rows):
    table = [_row([row["name"], round(row["rest"]), round(row["rest slab"]),
                   round(row["load"]), row.get("pages"), row.get("cached")])
             for row in rows]
    return ["<h2>Memory</h2>",
            "<p>KiB that a device holds at rest, and under large writes at "
            "most; and pages that the target itself counts afterwards.</p>",
            _table(["target", ">at rest", ">of it slab", ">under load",
                    ">pages", ">cached"], table)]


# --- the page -------------------------------------------------------------

def _about(boots):
    """How it was measured."""
    parts = []
    for boot in boots:
        said = ("", "emulated, ")[boot["emulated"]]
        parts.append(_row([boot["name"], boot["date"], boot["commit"],
                           f"{said}{boot['driver']}", boot["cpus"],
                           boot["rounds"], boot["seconds"], boot["seed"],
                           boot["command"]]))
    notes = sorted({note for boot in boots for note in boot["notes"]})
    if not plots.available():
        notes.append("There are no plots, since gnuplot was not installed.")
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return ["<h2>How it was measured</h2>",
            _table(["boot", "date", "commit", "cipher", ">CPUs", ">rounds",
                    ">seconds", ">seed", "command"], parts),
            f"<ul>{listed}</ul>" if notes else ""]


def _kernel(found, boots):
    """What was measured on one kernel."""
    parts = [f"<h1>crypt-async beside dm-crypt on Linux "
             f"{html.escape(found['kernel'])}</h1>",
             "<p>A ratio above 1 says that crypt-async is faster. Figures are "
             "medians of rounds, min and max are the extremes. "
             "docs/performance.md says what each means.</p>"]
    for what, section in (("cells", lambda _: _cells(found)),
                          ("costs", _costs), ("growth", _growth),
                          ("memory", _memory)):
        if found[what]:
            parts += section(found[what])
    return parts + _about(boots)


def page(kernels, boots):
    """The whole file."""
    parts = []
    for found in kernels:
        parts += _kernel(found, [boot for boot in boots
                                 if boot["kernel"] == found["kernel"]])
    return HEAD + "\n".join(parts) + "\n</body>\n</html>\n"
