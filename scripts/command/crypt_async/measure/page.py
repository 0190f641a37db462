# SPDX-License-Identifier: GPL-2.0-only
"""The report: one file of HTML with everything in it."""

import html
import itertools

from . import plots
from .cells import CRYPT_ASYNC, DEFAULT, RAW, short
from .reduce import AA_TOLERANCE, NOISE, boots_of
from .table import CANNOT_TELL, left_out

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
tr.below td, p.forced { background: #fbeee4; }
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

RATIOS = (">to best", ">min", ">max", "best setting", ">to default",
          ">of limit", ">of raw")


def _beside(cell):
    return f"{cell['noise']:.3f}"


def _noisy_row(cell):
    return (f"<tr>{_cell('td', cell['work'])}"
            f'<td colspan="{len(RATIOS)}">{CANNOT_TELL}</td>'
            f"{_cell('td', _beside(cell))}</tr>")


def _cell_row(cell):
    if cell["noisy"]:
        return _noisy_row(cell)
    median, low, high = cell["to_best"]
    beside = [] if cell["noise"] is None else [_beside(cell)]
    return _row([cell["work"], median, low, high, cell["best"],
                 cell["to_default"][0], _middle(cell["of_limit"]),
                 _middle(cell["of_raw"]), *beside],
                "below" if median < NOISE else "")


def _chart(cells):
    """The bars of cells; nothing without cells, which gnuplot refuses."""
    return plots.bars(
        [cell["work"] for cell in cells],
        [("to the best setting", [c["to_best"][0] for c in cells]),
         ("to the default", [c["to_default"][0] for c in cells])],
        "rate of crypt-async, as a ratio", log=True) if cells else ""


def _stack(name, cells):
    """The cells that were measured side by side: a plot and a table."""
    beside = ([] if cells[0]["noise"] is None
              else ["A/A"])
    return [f"<h3>{html.escape(name)}</h3>",
            _chart([cell for cell in cells if not cell["noisy"]]),
            _table(["work", *RATIOS, *beside],
                   [_cell_row(cell) for cell in cells])]


def _summary(found):
    """The figures that count."""
    noisy = f"<p>{html.escape(left_out(found))}</p>" if found["noisy"] else ""
    if not found["cells"]:
        return [noisy]
    below = found["below"]
    parts = ['<p class="figures">Over ', str(found["cells"]),
             " cells, geometric mean: <b>", _text(found["to_best"]),
             "</b> times the best setting of dm-crypt in each cell, <b>",
             _text(found["to_default"]), "</b> times its default",
             f", <b>{_text(found['of_limit'])}</b> of the limit"
             if found["of_limit"] else "", ".</p>\n<p>",
             f"Cells below {NOISE} of the best setting: {len(below)}.</p>"]
    listed = "".join(f"<li>{html.escape(name)}</li>" for name in below)
    return ["".join(parts), noisy,
            f'<ul class="cells">{listed}</ul>' if below else ""]


def _cells(found):
    parts = ["<h2>Rates</h2>", *_summary(found["summary"])]
    for name, cells in itertools.groupby(found["cells"],
                                         key=lambda cell: cell["stack"]):
        parts += _stack(name, list(cells))
    return parts


# --- simulated machines ---------------------------------------------------

MODEL = """Time is made of what the processors execute, each instruction
weighed by its kind alone. Not in this model are: caches and what it costs to
share a line of them, but for atomic instructions; memory and its bandwidth;
what a processor executes at once or ahead; prefetch; frequencies;
hyperthreads; and what an interrupt costs beside its instructions. Work that is
shared among processors therefore looks cheaper here than it is."""


def _machine(machine):
    """What a machine is, and what is not in the model."""
    rows = [_row(list(pair)) for pair in machine["parameters"].items()]
    return [f"<h2>The machine: {html.escape(machine['name'])}</h2>",
            f"<p>{html.escape(machine['about'])}</p>",
            _table(["parameter", "value"], rows), f"<p>{MODEL}</p>"]


def _states(runs):
    return ", ".join(f"{rate:.0f} ({count})" for rate, count in runs)


def _repeated_row(cell):
    marked = (cell["low"] < 1 or abs(cell["aa"] - 1) > AA_TOLERANCE
              or cell["forced"])
    return _row([f"{cell['stack']} {cell['work']}", f"{cell['aa']:.3f}",
                 cell["low"], f"{cell['low_is']} of {cell['runs']}",
                 cell["busy_to_min"],
                 cell["busy_to_default"], cell["p99_to_default"],
                 *(_states(cell["states"][name])
                   for name in (CRYPT_ASYNC, cell["best"])), cell["forced"]],
                "below" if marked else "")


def _forced(found):
    """Whether the figures depend on the host."""
    if not found["forced"]:
        return "<p>No step was forced.</p>"
    return (f'<p class="forced">{found["forced"]} steps were forced: a '
            "processor went on though another one was behind, which the host "
            "did not run for a second. So these figures depend on what else "
            "the host did. Cells in which that was so: "
            f"{len(found['summary']['forced'])}.</p>")


def _repeated(found):
    """What only simulated time shows of the cells."""
    summary = found["summary"]
    return ["<h2>States, latency and processors' time</h2>",
            "<p>A/A: the rate of a second mapping that is dm-crypt's default "
            "too, to that of the first. Slow runs: crypt-async's rate there, "
            "to that of the best setting; the 5th percentile, of fewer than "
            "twenty runs the minimum. Processors' time for an I/O: to the "
            "setting with the minimum, and to the default. The 99th "
            "percentile of latency: to the default, where there are a "
            "thousand requests. States: I/O per second, and in how many "
            "runs.</p>",
            f"<p>Cells whose A/A test is more than {AA_TOLERANCE:.1%} from 1: "
            f"{len(summary['aa_failed'])}. Cells in which crypt-async's slow "
            "runs are slower than the best setting: "
            f"{len(summary['low'])}.</p>",
            _forced(found),
            _table(["cell", "A/A", ">slow runs", "which is", ">time to min",
                    ">to default", ">p99", "crypt-async", "best setting",
                    ">forced steps"], map(_repeated_row, found["cells"])),
            *_requests([cell for cell in found["cells"] if cell["requests"]])]


def _requests(cells):
    """How many the lower device had."""
    if not cells:
        return []
    names = [CRYPT_ASYNC, DEFAULT, RAW]
    return ["<p>Requests of the lower device for each I/O, where such a "
            "device has few at once.</p>",
            _table(["cell", *(">" + name for name in names)],
                   [_row([f"{cell['stack']} {cell['work']}",
                          *(cell["requests"].get(name) for name in names)])
                    for cell in cells])]


# --- what was recorded ----------------------------------------------------

def _age(cell):
    """When it was measured, and whether the module has changed since."""
    changes = cell["changes"]
    return [cell["date"], cell["commit"],
            "not known" if changes is None else changes]


def _recorded(found):
    """Which of the core cells were measured, and when."""
    core, missing = (found["recorded"][what] for what in ("core", "missing"))
    done = len(core) - len(missing)
    share = (f"{done} of {len(core)} core cells were measured, "
             f"{done / len(core):.0%}. " if core else "")
    listed = "".join(f"<li>{html.escape(name)}</li>" for name in missing)
    return ["<h2>What was measured, and when</h2>",
            f"<p>{share}Of each cell this page has the runs of the commit "
            "that was measured last.</p>",
            f'<p>Not measured:</p><ul class="cells">{listed}</ul>'
            if missing else "",
            _table(["cell", "date", "commit",
                    ">later commits that change the module"],
                   [_row([cell["name"], *_age(cell)])
                    for cell in found["cells"]])]


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
                           boot["rounds"],
                           *(boot.get(f"{what}seconds")
                             for what in ("", "simulated_", "host_")),
                           boot["seed"], boot["command"]]))
    notes = sorted({note for boot in boots for note in boot["notes"]})
    if not plots.available():
        notes.append("There are no plots, since gnuplot was not installed.")
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return ["<h2>How it was measured</h2>",
            _table(["boot", "date", "commit", "cipher", ">CPUs", ">rounds",
                    ">seconds of a run", ">simulated seconds",
                    ">seconds taken", ">seed", "command"], parts),
            f"<ul>{listed}</ul>" if notes else ""]


def _kernel(found, boots):
    """What was measured on one kernel."""
    machine = found["machine"]
    parts = [f"<h1>crypt-async beside dm-crypt on Linux "
             f"{html.escape(found['kernel'])}"
             + (f", machine {html.escape(machine['name'])}" if machine else "")
             + "</h1>",
             "<p>A ratio above 1 says that crypt-async is faster. Figures are "
             "medians of rounds, min and max are the extremes. "
             "docs/explanation/measuring.md says what each means.</p>"]
    for what, section in (("machine", _machine),
                          ("recorded", lambda _: _recorded(found)),
                          ("cells", lambda _: _cells(found)),
                          ("machine", lambda _: _repeated(found)),
                          ("costs", _costs), ("growth", _growth),
                          ("memory", _memory)):
        if found.get(what):
            parts += section(found[what])
    return parts + _about(boots)


def page(kernels, boots):
    """The whole file."""
    parts = []
    for found in kernels:
        parts += _kernel(found, boots_of(found, boots))
    return HEAD + "\n".join(parts) + "\n</body>\n</html>\n"
