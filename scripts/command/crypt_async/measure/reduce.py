# SPDX-License-Identifier: GPL-2.0-only
"""From figures of single runs to ratios.

Runs of one round and cell follow each other directly, so two contestants are
compared round by round; the median of these ratios is what counts, and their
extremes are the spread. The best of dm-crypt's settings is the one beside
which crypt-async is slowest."""

import math
import statistics

from .cells import AA, CRYPT_ASYNC, DEFAULT, RAW, SETTINGS

NOISE = 0.97        # a ratio down to this is not worse
AA_TOLERANCE = 0.005    # how far the ratio of the A/A test may be from 1
TOO_NOISY = 0.03    # the same on a real machine
STATE = 0.03        # runs that are further apart are in two states
RUNS_P5 = 20        # from so many runs on there is a 5th percentile
MINIMUM, P5 = "minimum", "5th percentile"


def ratios(crypt_async, theirs):
    """Round by round."""
    return [a / b for a, b in zip(crypt_async, theirs, strict=True)]


def geometric_mean(values):
    """The mean of ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def spread(values):
    """(median, min, max)"""
    return statistics.median(values), min(values), max(values)


def against_best(rates):
    """dm-crypt's best setting, and crypt-async's ratio to it."""
    compared = {name: spread(ratios(rates[CRYPT_ASYNC], rates[name]))
                for name in SETTINGS if name in rates}
    best = min(compared, key=lambda name: compared[name][0])
    return best, compared[best]


def limit_share(cell):
    """Its share of the limit: the rate at which an I/O would take the time
    of the raw device and that of the cipher. None without these."""
    if not cell["cipher_ns"] or RAW not in cell["rates"]:
        return None
    limits = [1 / (1 / raw + ns / 1e9) for raw, ns in
              zip(cell["rates"][RAW], cell["cipher_ns"], strict=True)]
    return spread(ratios(cell["rates"][CRYPT_ASYNC], limits))


def share_of_raw(rates):
    """crypt-async's rate to that of the lower device, or None."""
    if RAW not in rates:
        return None
    return spread(ratios(rates[CRYPT_ASYNC], rates[RAW]))


def noise(cell):
    """The A/A test on a real machine: the ratio of dm-crypt's default, mapped
    a second time, to the first mapping. None where it is mapped once, or time
    is simulated."""
    rates = cell["rates"]
    if AA not in rates or "busy_ns" in cell:
        return None
    return statistics.median(ratios(rates[AA], rates[DEFAULT]))


def is_noisy(ratio):
    """Do two contestants that are the same differ by too much? So may any
    two, and ratios of the cell say nothing."""
    return ratio is not None and \
        not 1 - TOO_NOISY <= ratio <= 1 + TOO_NOISY


# --- simulated time -------------------------------------------------------

def states(values):
    """Runs in groups that are close to each other, as (median, count), from
    the slowest on: each run is within STATE of the one before."""
    groups = []
    for value in sorted(values):
        if groups and value <= groups[-1][-1] * (1 + STATE):
            groups[-1].append(value)
        else:
            groups.append([value])
    return [(statistics.median(group), len(group)) for group in groups]


def low(values):
    """The rate of slow runs, and what it is: the 5th percentile, that is, the
    slowest which is not below that of more than one run in twenty; of fewer
    runs the minimum."""
    values = sorted(values)
    return (values[len(values) // RUNS_P5],
            P5 if len(values) >= RUNS_P5 else MINIMUM)


def _medians(figures):
    """Of each contestant whose runs all have a figure."""
    return {name: statistics.median(values)
            for name, values in figures.items() if None not in values}


def _to_min(mine, others):
    """Mine, as a multiple of the minimum of others; None without these."""
    return mine / min(others) if mine and others else None


def reduce_repeated(cell):
    """What figures that repeat allow: the A/A test, crypt-async's slow runs,
    latency, and processors' time. Nothing of a cell whose time was not
    simulated."""
    rates = cell["rates"]
    if "busy_ns" not in cell:
        return {}
    busy, p99 = _medians(cell["busy_ns"]), _medians(cell["p99"])
    settings = [name for name in SETTINGS if name in rates]
    fastest = max(statistics.median(rates[name]) for name in settings)
    slow, which = low(rates[CRYPT_ASYNC])
    return {"aa": (statistics.median(rates[AA])
                   / statistics.median(rates[DEFAULT])),
            "low": slow / fastest, "low_is": which,
            "runs": len(rates[CRYPT_ASYNC]),
            "forced": sum(map(sum, cell["forced"].values())),
            "states": {name: states(values)
                       for name, values in rates.items()},
            "busy": busy, "p50": _medians(cell["p50"]), "p99": p99,
            "requests": _medians(cell.get("requests", {})),
            "busy_to_min": _to_min(busy.get(CRYPT_ASYNC),
                                   [busy[name] for name in settings]),
            "busy_to_default": _to_min(busy.get(CRYPT_ASYNC),
                                       [busy[DEFAULT]]),
            "p99_to_default": (_to_min(p99[CRYPT_ASYNC], [p99[DEFAULT]])
                               if {CRYPT_ASYNC, DEFAULT} <= p99.keys()
                               else None)}


def reduce_cell(cell):
    """A cell's ratios."""
    rates = cell["rates"]
    best, to_best = against_best(rates)
    apart = noise(cell)
    return {**reduce_repeated(cell), "noise": apart, "noisy": is_noisy(apart),
            "name": cell["name"], "stack": cell["stack"],
            "work": cell["work"], "best": best, "to_best": to_best,
            "to_default": spread(ratios(rates[CRYPT_ASYNC], rates[DEFAULT])),
            "of_limit": limit_share(cell),
            "of_raw": share_of_raw(rates),
            "medians": {name: statistics.median(values)
                        for name, values in rates.items()}}


def headroom(reduced):
    """What the limit itself comes to, as ratios to the best setting and to
    the default: no target can do better, but by overlapping the cipher and
    the device. None where no cell has a limit."""
    bounded = [cell for cell in reduced if cell["of_limit"]]
    if not bounded:
        return None
    return [geometric_mean(cell[key][0] / cell["of_limit"][0]
                           for cell in bounded)
            for key in ("to_best", "to_default")]


def _mean(cells, key):
    """The mean of a ratio in those cells that have it, or None."""
    values = [cell[key][0] for cell in cells if cell[key]]
    return geometric_mean(values) if values else None


def summary(reduced):
    """What a set of cells comes to, without those that are too noisy."""
    kept = [cell for cell in reduced if not cell["noisy"]]
    slowest = min(kept, key=lambda c: c["to_best"][0], default=None)
    return {"cells": len(kept),
            "noisy": [cell["name"] for cell in reduced if cell["noisy"]],
            "to_best": _mean(kept, "to_best"),
            "to_default": _mean(kept, "to_default"),
            "of_limit": _mean(kept, "of_limit"),
            "limit": headroom(kept),
            "worst": slowest and slowest["name"],
            "below": [cell["name"] for cell in kept
                      if cell["to_best"][0] < NOISE],
            **summary_repeated([c for c in reduced if "aa" in c])}


def summary_repeated(reduced):
    """The same of cells whose time was simulated: those whose A/A test fails,
    those in which crypt-async's slow runs are slower than the best setting,
    and those with forced steps."""
    if not reduced:
        return {}
    return {"aa": max((cell["aa"] for cell in reduced),
                      key=lambda ratio: abs(ratio - 1)),
            "aa_failed": [cell["name"] for cell in reduced
                          if abs(cell["aa"] - 1) > AA_TOLERANCE],
            "low": [cell["name"] for cell in reduced if cell["low"] < 1],
            "low_is": sorted({cell["low_is"] for cell in reduced}),
            "forced": [cell["name"] for cell in reduced if cell["forced"]]}


def reduce_cost(row):
    """Instructions per I/O, and what each contestant takes of them above
    dm-linear and the cipher; crypt-async's as a share of dm-crypt's cheapest.
    All of them together are a rate of depth 1 without noise, with a cell's
    ratios."""
    counted = {name: statistics.median(values)
               for name, values in row["instructions"].items()}
    floor = counted["dm-linear"] + counted["cipher"]
    above = {name: counted[name] - floor for name in [*SETTINGS, CRYPT_ASYNC]
             if name in counted}
    best = min((name for name in SETTINGS if name in above), key=above.get)
    return {"device": row["device"], "unit": row["unit"],
            "work": row["work"], "counted": counted, "above": above,
            "best": best, "ratio": above[CRYPT_ASYNC] / above[best],
            "to_best": counted[best] / counted[CRYPT_ASYNC],
            "to_default": counted[DEFAULT] / counted[CRYPT_ASYNC],
            "of_limit": (counted[RAW] + counted["cipher"])
            / counted[CRYPT_ASYNC]}


def reduce_growth(row):
    """A point of a curve: each contestant's share of the raw device's rate
    there."""
    raw = row["rates"][RAW]
    return {"axis": row["axis"], "value": row["value"], "work": row["work"],
            "of_raw": {name: spread(ratios(values, raw))
                       for name, values in row["rates"].items()
                       if name != RAW}}


# --- several boots --------------------------------------------------------

def merge(cells):
    """Cells of several runs: the rounds of a cell that was measured more than
    once are put together, if its contestants are the same; else the last
    run counts."""
    merged = {}
    for cell in cells:
        before = merged.get(cell["name"])
        if before and before["rates"].keys() == cell["rates"].keys():
            joined = {what: {name: before[what][name] + values
                             for name, values in figures.items()}
                      for what, figures in cell.items()
                      if isinstance(figures, dict)}
            cell = {**cell, **joined, **{
                what: before[what] + figures
                for what, figures in cell.items()
                if isinstance(figures, list)}}
        merged[cell["name"]] = cell
    return list(merged.values())


def by_stack(cells):
    """Cells that were measured side by side, side by side."""
    stacks = list(dict.fromkeys(cell["stack"] for cell in cells))
    return sorted(cells, key=lambda cell: stacks.index(cell["stack"]))


def _rows(boots, what):
    return [row for boot in boots for row in boot.get(what, [])]


def _last(rows, *keys):
    """The last of the rows that are the same thing."""
    return list({tuple(row[key] for key in keys): row
                 for row in rows}.values())


def _totals(boots):
    """Of simulated machines: the forced steps, within runs or not, and how
    long all took."""
    if not boots[0].get("machine"):
        return {}
    return {what: sum(boot[what] for boot in boots)
            for what in ("forced", "host_seconds", "simulated_seconds")}


def reduce_kernel(boots):
    """All that was measured on one kernel, and one machine."""
    cells = [reduce_cell(cell)
             for cell in by_stack(merge(_rows(boots, "cells")))]
    costs = _last(_rows(boots, "cost"), "device", "unit", "work")
    growth = _last(_rows(boots, "growth"), "axis", "value", "work")
    return {"kernel": boots[0]["kernel"], "release": boots[0]["release"],
            "machine": boots[0].get("machine"), **_totals(boots),
            "cells": cells, "summary": summary(cells) if cells else None,
            "costs": [reduce_cost(row) for row in costs],
            "growth": [reduce_growth(row) for row in growth],
            "memory": _last(_rows(boots, "memory"), "name")}


def platform(measured):
    """The kernel, and the machine where that is a simulated one, of a boot or
    of what was reduced. A machine's name alone is not enough: its file may
    have been another one."""
    machine = measured.get("machine")
    return measured["kernel"], machine and (
        machine["name"], *sorted(machine["parameters"].items()))


def boots_of(found, boots):
    """Those that something reduced is from."""
    return found.get("boots") or [boot for boot in boots
                                  if platform(boot) == platform(found)]


def by_kernel(boots):
    """All that was measured, a kernel and a machine at a time."""
    return [reduce_kernel([boot for boot in boots if platform(boot) == which])
            for which in dict.fromkeys(map(platform, boots))]
