# SPDX-License-Identifier: GPL-2.0-only
"""Plots by gnuplot, as SVG elements that a page can hold; nothing where that
is not installed."""

import re
import shutil
import subprocess

WIDTH = 760
BAR_HEIGHT = 28
MARGINS = 105
COLOURS = ("#1f4e79", "#9db7d1", "#c0703a", "#6b8e23", "#888888")
FONT = "sans-serif,12"


def available():
    """Can there be plots?"""
    return shutil.which("gnuplot") is not None


def _svg(commands, height):
    """Run gnuplot: the element, without what a file has around it."""
    if not available():
        return ""
    setup = [f"set terminal svg size {WIDTH},{height} fixed "
             f"noenhanced background '#ffffff' font '{FONT}'",
             "set tics nomirror textcolor '#1a1a1a'",
             "set border 3 linecolor '#888888'",
             "set key top right outside horizontal"]
    done = subprocess.run(["gnuplot"], input="\n".join(setup + commands),
                          text=True, check=True, stdout=subprocess.PIPE)
    return re.sub(r"^.*?(?=<svg)", "", done.stdout, flags=re.DOTALL).strip()


def _quoted(text):
    """A string for gnuplot, in which nothing is special."""
    return "'" + text.replace("'", "''") + "'"


def _block(name, rows):
    """Data; a gap where there is none."""
    lines = [" ".join("NaN" if value is None else
                      str(value) for value in row) for row in rows]
    return [f"${name} << END", *lines, "END"]


def _bar_rows(values, start, place, thick):
    """Rows for boxxyerror: a bar from the start to each value."""
    return [(start, at + place, start, value, at + place - thick / 2,
             at + place + thick / 2) for at, value in enumerate(values)]


def _ticks(pairs):
    """Named ticks: pairs of (place, label)."""
    return "(" + ", ".join(f"{_quoted(label)} {place}"
                           for place, label in pairs) + ")"


def _plot(blocks, style):
    """Draw (name, rows) in the colours' order, in this style."""
    commands, drawn = [], []
    for number, (name, rows) in enumerate(blocks):
        commands += _block(f"d{number}", rows)
        drawn.append(f"$d{number} {style} linecolor rgb '{COLOURS[number]}' "
                     f"title {_quoted(name)}")
    return [*commands, "plot " + ", ".join(drawn)]


def bars(labels, series, title, *, log=False):
    """Bars to the right, one of each series at each label: series is a list
    of (name, values). On a logarithmic axis they begin at 1."""
    thick = 0.8 / len(series)
    places = [(number - (len(series) - 1) / 2) * thick
              for number in range(len(series))]
    commands = [f"set xlabel {_quoted(title)}",
                "set grid xtics linecolor '#dddddd'",
                "set style fill solid noborder",
                f"set yrange [{len(labels) - 0.4}:-0.6]",
                f"set ytics {_ticks(enumerate(labels))} scale 0"]
    if log:
        commands += ["set logscale x 2", "set arrow from 1,graph 0 "
                     "to 1,graph 1 nohead linecolor '#444444' front"]
    blocks = [(name, _bar_rows(values, int(log), place, thick * 0.9))
              for place, (name, values) in zip(places, series)]
    commands += _plot(blocks, "using 1:2:3:4:5:6 with boxxyerror")
    return _svg(commands, MARGINS + BAR_HEIGHT * len(labels))


def curves(points, series, title, across):
    """Lines over what grows, in powers of two: points are (value, label), and
    series is a list of (name, {value: height})."""
    commands = [f"set xlabel {_quoted(across)}",
                f"set ylabel {_quoted(title)}", "set logscale x 2",
                f"set xrange [{0.9 * points[0][0]}:{1.1 * points[-1][0]}]",
                "set yrange [0:*]", "set grid ytics linecolor '#dddddd'",
                f"set xtics {_ticks(points)}"]
    blocks = [(name, [(value, heights.get(value)) for value, _ in points])
              for name, heights in series]
    commands += _plot(blocks, "using 1:2 with linespoints linewidth 2 "
                      "pointtype 7 pointsize 0.5")
    return _svg(commands, 300)
