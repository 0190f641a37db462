# SPDX-License-Identifier: GPL-2.0-only
"""What is on a disk with a cache after the power failed: all short orders of
writes, durable writes and flushes, of two units."""

import itertools
import random

from points import end, equal, point
from powercut import UNIT, Disk
from recorder import FLUSH, FUA, WRITE

LENGTH = 5
# What a request writes: one of two units, or both.
REQUESTS = [(FLUSH, ()), *itertools.product((WRITE, FUA),
                                            ((0,), (1,), (0, 1)))]


def orders():
    """Each, as (kind, units): number n, from 1 on, writes bytes n."""
    for length in range(LENGTH + 1):
        yield from itertools.product(REQUESTS, repeat=length)


def run(order):
    """The disk after it."""
    disk = Disk(2 * UNIT)
    for number, (kind, those) in enumerate(order, 1):
        disk.do(kind, min(those, default=0) * UNIT,
                bytes([number]) * len(those) * UNIT)
    return disk


def written(order, unit):
    """Numbers of what wrote a unit, 0 for nothing: all, and the last that is
    durable, by itself or by a flush behind it."""
    flushed = max((number for number, (kind, _) in enumerate(order, 1)
                   if kind == FLUSH), default=0)
    those = [(number, kind) for number, (kind, where) in enumerate(order, 1)
             if unit in where]
    durable = [number for number, kind in those
               if kind == FUA or number < flushed]
    return [0, *(number for number, _ in those)], max(durable, default=0)


def units(image):
    """The numbers in both."""
    return [image[0], image[UNIT]]


@point
def durable():
    """What is durable is there."""
    for order in orders():
        equal(units(run(order).durable),
              [written(order, unit)[1] for unit in (0, 1)], order)


@point
def some():
    """Some of what is cached is there, and nothing older than is durable."""
    rng = random.Random(1)
    for order in orders():
        disk = run(order)
        for unit, found in enumerate(units(disk.some(rng))):
            those, last = written(order, unit)
            equal(found in those and found >= last, True, order)


@point
def each():
    """By lot, each of the units is there or is not."""
    both = (WRITE, (0, 1))
    disk = run([both, (FLUSH, ()), both])
    found = {tuple(units(disk.some(random.Random(n)))) for n in range(99)}
    equal(found, set(itertools.product((1, 3), repeat=2)), "both units")


if __name__ == "__main__":
    end()
