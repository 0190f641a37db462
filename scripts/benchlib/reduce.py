# SPDX-License-Identifier: GPL-2.0-only
"""From figures of single runs to ratios.

Runs of one round and cell follow each other directly, so two contestants are
compared round by round; the median of these ratios is what counts, and their
extremes are the spread. The best of dm-crypt's settings is the one that we
compare worst with."""

import math
import statistics

from cells import DEFAULT, OURS, RAW, SETTINGS

NOISE = 0.97        # a ratio down to this is not worse


def ratios(ours, theirs):
    """Round by round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def geometric_mean(values):
    """The mean of ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def spread(values):
    """(median, least, most)"""
    return statistics.median(values), min(values), max(values)


def against_best(rates):
    """The setting that is best beside ours, and our ratio to it."""
    compared = {name: spread(ratios(rates[OURS], rates[name]))
                for name in SETTINGS if name in rates}
    best = min(compared, key=lambda name: compared[name][0])
    return best, compared[best]


def limit_share(cell):
    """Our share of the limit: the rate at which an I/O takes what it takes
    on the raw device and what the cipher alone takes. None without it."""
    if not cell["cipher_ns"]:
        return None
    limits = [1 / (1 / raw + ns / 1e9) for raw, ns in
              zip(cell["rates"][RAW], cell["cipher_ns"], strict=True)]
    return spread(ratios(cell["rates"][OURS], limits))


def reduce_cell(cell):
    """A cell's ratios."""
    rates = cell["rates"]
    best, to_best = against_best(rates)
    return {"name": cell["name"], "stack": cell["stack"],
            "work": cell["work"], "best": best, "to_best": to_best,
            "to_default": spread(ratios(rates[OURS], rates[DEFAULT])),
            "of_limit": limit_share(cell),
            "of_raw": spread(ratios(rates[OURS], rates[RAW])),
            "medians": {name: statistics.median(values)
                        for name, values in rates.items()}}


def summary(reduced):
    """What a set of cells comes to."""
    shares = [cell["of_limit"][0] for cell in reduced if cell["of_limit"]]
    return {"cells": len(reduced),
            "to_best": geometric_mean(c["to_best"][0] for c in reduced),
            "to_default": geometric_mean(c["to_default"][0] for c in reduced),
            "of_limit": geometric_mean(shares) if shares else None,
            "worst": min(reduced, key=lambda c: c["to_best"][0])["name"],
            "below": [cell["name"] for cell in reduced
                      if cell["to_best"][0] < NOISE]}


def reduce_cost(row):
    """Instructions per I/O, and what each contestant takes of them above
    dm-linear and the cipher; ours as a share of dm-crypt's cheapest."""
    counted = {name: statistics.median(values)
               for name, values in row["instructions"].items()}
    floor = counted["dm-linear"] + counted["cipher"]
    above = {name: counted[name] - floor for name in [*SETTINGS, OURS]
             if name in counted}
    best = min((name for name in SETTINGS if name in above), key=above.get)
    return {"unit": row["unit"], "work": row["work"], "counted": counted,
            "above": above, "best": best, "to_best": above[OURS] / above[best]}
