# SPDX-License-Identifier: GPL-2.0-only
"""From figures of single runs to ratios.

Runs of one round and cell follow each other directly, so two contestants are
compared round by round; the median of these ratios is what counts, and their
extremes are the spread. The best of dm-crypt's settings is the one beside
which crypt-async is slowest."""

import math
import statistics

from .cells import CRYPT_ASYNC, DEFAULT, RAW, SETTINGS

NOISE = 0.97        # a ratio down to this is not worse


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


def reduce_cell(cell):
    """A cell's ratios."""
    rates = cell["rates"]
    best, to_best = against_best(rates)
    return {"name": cell["name"], "stack": cell["stack"],
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


def summary(reduced):
    """What a set of cells comes to."""
    shares = [cell["of_limit"][0] for cell in reduced if cell["of_limit"]]
    return {"cells": len(reduced),
            "to_best": geometric_mean(c["to_best"][0] for c in reduced),
            "to_default": geometric_mean(c["to_default"][0] for c in reduced),
            "of_limit": geometric_mean(shares) if shares else None,
            "limit": headroom(reduced),
            "worst": min(reduced, key=lambda c: c["to_best"][0])["name"],
            "below": [cell["name"] for cell in reduced
                      if cell["to_best"][0] < NOISE]}


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
            rates = {name: before["rates"][name] + values
                     for name, values in cell["rates"].items()}
            cell = {**cell, "rates": rates, "cipher_ns":
                    before["cipher_ns"] + cell["cipher_ns"]}
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


def reduce_kernel(boots):
    """All that was measured on one kernel."""
    cells = [reduce_cell(cell)
             for cell in by_stack(merge(_rows(boots, "cells")))]
    costs = _last(_rows(boots, "cost"), "device", "unit", "work")
    growth = _last(_rows(boots, "growth"), "axis", "value", "work")
    return {"kernel": boots[0]["kernel"], "release": boots[0]["release"],
            "cells": cells, "summary": summary(cells) if cells else None,
            "costs": [reduce_cost(row) for row in costs],
            "growth": [reduce_growth(row) for row in growth],
            "memory": _last(_rows(boots, "memory"), "name")}


def by_kernel(boots):
    """All that was measured, a kernel at a time."""
    return [reduce_kernel([boot for boot in boots
                           if boot["kernel"] == kernel])
            for kernel in dict.fromkeys(boot["kernel"] for boot in boots)]
