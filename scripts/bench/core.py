# SPDX-License-Identifier: GPL-2.0-only
"""The cells of simulated machines: the core, which has one for each claim and
each fault of the past; the short form, for ten minutes; and the rest, of which
each commit measures others."""

import dataclasses
import math
import random

from crypt_async.measure import cells as c

SECONDS = {c.MIB: 0.06, 128 * c.KIB: 0.05, 64 * c.KIB: 0.05}
USUALLY = 0.04
# I/O that a run should have: so that one more or less is half a percent of
# them; where their latency is what counts, fewer.
ENOUGH, ENOUGH_TIMED = 200, 50
# Devices that need longer for as many requests.
SLOW = {"null80": 4, "nvme": 4, "nvme0": 2, "requests": 10, "rotational": 10}
COUNTED = {"requests", "rotational"}    # what each request costs is much
LARGE = 128 * c.KIB
DRAWN = 12                  # of the rest, by a commit
FORMS = ("short", "full", "drawn")
MARGIN, LONGER = 1.2, 8     # how much longer a run becomes: a bit, and at most


def _on(device, cells, **stack):
    return [dataclasses.replace(cell, device=device, **stack)
            for cell in cells]


def _core():
    """At most 80."""
    kib4 = c.both(4 * c.KIB, (1, 1), (8, 1), (32, 1), (8, 4))
    middle = c.both(16 * c.KIB, (1, 1)) + c.both(64 * c.KIB, (1, 1))
    parts = c.both(128 * c.KIB, (1, 1))
    large = c.both(c.MIB, (1, 1), (4, 1))
    other = c.both(4 * c.KIB, (1, 1), (32, 1)) + c.both(c.MIB, (1, 1))
    return [*(cell for device in ("brd", "null10")
              for cell in [*_on(device, kib4 + middle + parts + large,
                                unit=512),
                           *_on(device, other)]),
            *_on("brd", c.both(16 * c.KIB, (32, 1))
                 + c.both(64 * c.KIB, (32, 1)), unit=512),
            *_on("brd-4", c.both(4 * c.KIB, (8, 4)), unit=512),
            *_on("null80", c.both(4 * c.KIB, (32, 1)), unit=512),
            *_on("null10", [c.MIX, c.FSYNC], unit=512),
            *_on("null10", c.both(4 * c.KIB, (1, 1)), engine="io_uring"),
            *_on("brd", c.both(4 * c.KIB, (1, 1)), cipher="cipher_null",
                 unit=512),
            *_modelled()]


def _modelled():
    """Disks that have a rate, deep queues and places for interrupts; and
    those on which requests that are merged and in order count."""
    kib4, kib128 = 4 * c.KIB, 128 * c.KIB
    return [*_on("nvme", [c.Cell("randread", kib4),
                          c.Cell("randread", kib4, 32),
                          *c.both(c.MIB, (1, 1))], unit=512),
            *_on("nvme0", c.both(kib4, (8, 4)), unit=512),
            *_on("requests", [c.Cell("write", kib128),
                              c.Cell("randwrite", kib4, 32),
                              c.Cell("write", kib4, 32)], unit=512),
            *_on("rotational", [c.Cell("read", kib128),
                                c.Cell("write", kib128, 8)], unit=512),
            *_scripts("nvme", c.COPY, c.FILE, c.SMALL, c.SWAP, c.BESIDE),
            *_scripts("requests", c.COPY, c.BESIDE)]


def _scripts(device, *works):
    """Work that is not fio's. It has stacks of its own, by the engine."""
    return _on(device, [c.Cell(work, c.MIB, engine="script", unit=512)
                        for work in works])


def _rest():
    """Everything else."""
    kib4, kib64 = 4 * c.KIB, 64 * c.KIB
    some = c.both(kib4, (1, 1), (32, 1)) + c.both(c.MIB, (1, 1))
    middle = c.both(16 * c.KIB, (32, 1)) + c.both(kib64, (32, 1))
    return [*_on("null10", middle, unit=512),
            *_on("null80", c.both(kib4, (1, 1)) + c.both(c.MIB, (1, 1)),
                 unit=512),
            *_on("nvme", c.both(kib64, (1, 1), (32, 1))
                 + c.both(c.MIB, (4, 1)), unit=512),
            *_on("nvme", some),
            *_on("nvme0", c.both(kib4, (1, 1)) + c.both(c.MIB, (1, 1)),
                 unit=512),
            *_on("requests", c.both(kib4, (32, 4)) + c.both(c.MIB, (4, 1)),
                 unit=512),
            *_on("null10-4", c.both(kib4, (8, 4)) + c.both(c.MIB, (1, 4)),
                 unit=512),
            *_on("brd-4", c.both(c.MIB, (1, 4)), unit=512),
            *_on("brd", some, cipher="aes-gcm"),
            *_on("null80", some, cipher="aes-gcm"),
            *_on("brd", some, cipher="async"),
            *_on("null80", some, cipher="async"),
            *_on("brd", c.both(kib4, (32, 1)), cipher="cipher_null"),
            *_on("null10", c.both(kib4, (32, 1)), engine="io_uring"),
            *(cell for device in ("brd", "null80", "rotational")
              for cell in _scripts(device, c.COPY, c.FILE, c.SMALL, c.SWAP)),
            *_scripts("requests", c.FILE, c.SMALL, c.SWAP)]


# Seen slow at some time, or what the module is for.
SHORT = {
    "brd aes-xts 512 libaio 4k randread d8",
    "brd aes-xts 512 libaio 128k read d1",
    "brd aes-xts 512 libaio 1m read d1",
    "null10 aes-xts 512 libaio 4k randread d1",
    "null10 aes-xts 512 libaio 4k randwrite d1",
    "null10 aes-xts 512 libaio 4k randread d32",
    "null10 aes-xts 512 libaio 1m write d1",
}


def _is_short(cell):
    return cell.name.split(" ", 1)[1] in SHORT


def _of(machine, cells):
    return [dataclasses.replace(cell, cpus=machine.processors,
                                machine=machine.name) for cell in cells]


def rest(machine):
    """The cells of a machine that are not core cells."""
    return _of(machine, _rest())


def choose(machine, form, pattern="", part="1/1", commit=""):
    """The cells of a form on a machine, as cells.choose() has others. Of the
    rest a commit draws some; a pattern, all that have its words."""
    cells = rest(machine) if form == "drawn" else _of(machine, _core())
    if form == "short":
        cells = list(filter(_is_short, cells))
    elif form == "drawn" and commit and not pattern:
        cells = random.Random(commit).sample(cells, DRAWN)
    chosen = [cell for cell in cells if c.has_words(cell, pattern.split())]
    return c.cut(sorted(chosen, key=lambda cell: cell.stack), part)


def seconds(cell, machine):
    """How long a run of a cell is at least: slow machines make as many
    requests as others. In whole milliseconds, as fio has it."""
    return round(SECONDS.get(cell.size, USUALLY) * machine.slowness
                 * SLOW.get(cell.lower, 1), 3)


def is_timed(cell):
    """Is its rate one divided by latency? Of large I/O one after the other a
    run has few, so that latency says more than their number."""
    return cell.depth * cell.jobs == 1 and cell.size >= LARGE


def enough(cell):
    """The number of I/O that a run of a cell should have at least."""
    return ENOUGH_TIMED if is_timed(cell) else ENOUGH


def longer(cell, length, count):
    """The seconds of a run that has enough I/O, if one of this length had so
    many; not more than eight times as long, as far as a run tells."""
    if count >= enough(cell):
        return length
    times = min(MARGIN * enough(cell) / max(count, 1), LONGER)
    return math.ceil(1000 * length * times) / 1000
