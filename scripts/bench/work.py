# SPDX-License-Identifier: GPL-2.0-only
"""In a guest: one kind of work on one contestant after the other."""

import time

import files
from crypt_async.measure.fio import in_lots, run_fio
from stacks import USED

BARE = "/sys/kernel/debug/bare/run"
BARE_MS = 50


def _script(cell, path):
    """How often a second a script does its work."""
    with files.prepared(cell.work, path) as run:
        start = time.monotonic()
        run()
        return 1 / (time.monotonic() - start)


# --- a round --------------------------------------------------------------

def run_round(cells, paths, seconds):
    """All cells on all contestants: (cell, name, I/O per second)."""
    by_fio = in_lots([cell for cell in cells if not cell.is_script], paths)
    others = files.in_lots([cell for cell in cells if cell.is_script], paths)
    rates = run_fio([(cell, paths[name]) for cell, name in by_fio], seconds,
                    USED)
    rates += [_script(cell, paths[name]) for cell, name in others]
    return [(cell, name, rate)
            for (cell, name), rate in zip(by_fio + others, rates)]


# --- the cipher alone -----------------------------------------------------

def bare_ns(direction, cipher, key, cell, ms=BARE_MS):
    """Nanoseconds for the bytes of one I/O, by the cipher alone."""
    with open(BARE, "w", encoding="ascii") as file:
        file.write(f"{direction} {cipher.bare} {key or '-'} {cell.unit} "
                   f"{cell.size} {ms} {cell.ways}")
    with open(BARE, encoding="ascii") as file:
        ios, ns, _ = file.read().split()
    return int(ns) / int(ios)


def bare_mixed(cipher, key, cell, ms=BARE_MS):
    """The same for reads and writes as the cell mixes them."""
    total = 0
    for direction, share in (("decrypt", cell.reads),
                             ("encrypt", 1 - cell.reads)):
        if share:
            total += share * bare_ns(direction, cipher, key, cell, ms)
    return total
