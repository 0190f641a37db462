# SPDX-License-Identifier: GPL-2.0-only
"""In a guest: what happens when there is more of something, and the memory
that is held."""

import contextlib
import dataclasses
import secrets
import threading

import ca
import stacks
from chaos import stats
from crypt_async.measure import cells as c
from crypt_async.measure.fio import in_lots, run_fio

COUNTS = (1, 4, 16, 64)
SIZES = tuple(4 * c.KIB << 2 * step for step in range(7))   # to 16 MiB
MANY = COUNTS[-1]
ROUNDS = 3              # at most: there are many points
REST = 0.02             # seconds between two looks at the memory
FIELDS = ("MemAvailable", "Slab")
CIPHER, UNIT = c.CIPHERS["aes-xts"], 4096
CURVES = [name for name in c.CONTESTANTS
          if name in (c.RAW, c.DEFAULT, c.NO_WQ, c.CRYPT_ASYNC)]


# --- curves ---------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Point:
    """One value of what grows, and the work there."""
    axis: str
    value: int
    cell: c.Cell
    devices: int = 1
    targets: int = 1

    @property
    def key(self):
        """As JSON has it."""
        return {"axis": self.axis, "value": self.value,
                "work": self.cell.work.removeprefix("rand")}


def points():
    """All of them."""
    for count in COUNTS:
        for cell in c.both(4 * c.KIB, (8, 4)):
            yield Point("devices", count, cell, devices=count)
        for cell in c.both(4 * c.KIB, (1, count)):
            yield Point("jobs", count, cell)
        for cell in c.both(4 * c.KIB, (8, 4)):
            yield Point("targets", count, cell, targets=count)
    for size in SIZES:
        for cell in c.both(size, (1, 1), random=False):
            yield Point("size", size, cell)


def part_of(lower, name, key, number, count, targets=1):
    """One of several devices of a contestant, side by side; a raw one is
    dm-linear, if it has to be one of several."""
    sectors = lower.sectors // count
    if name == c.RAW:
        return ca.Mapping.single(sectors, "linear",
                                 f"{lower.devno} {number * sectors}")
    return stacks.map_one(name, lower, CIPHER, key, UNIT, targets=targets,
                          part=(number * sectors, sectors))


@contextlib.contextmanager
def mapped(lower, name, key, count, targets=1):
    """Several devices of a contestant."""
    with contextlib.ExitStack() as open_ones:
        yield [open_ones.enter_context(
            part_of(lower, name, key, number, count, targets))
               for number in range(count)]


def paths_of(mappings):
    """As fio wants them."""
    return ":".join(mapping.path for mapping in mappings)


def run_shape(lower, shape, rates, key, how):
    """All rounds of the points that need the same devices."""
    devices, targets = shape
    chosen = [point for point in rates
              if (point.devices, point.targets) == shape]
    with contextlib.ExitStack() as open_ones:
        paths = {name: paths_of(open_ones.enter_context(
            mapped(lower, name, key, devices, targets))) for name in CURVES}
        for _ in range(min(how.rounds, ROUNDS)):
            order = in_lots(chosen, CURVES)
            found = run_fio([(point.cell, paths[name])
                             for point, name in order], how.seconds,
                            stacks.USED)
            for (point, name), rate in zip(order, found):
                rates[point].setdefault(name, []).append(rate)


def curves(lower, key, how):
    """All points: rows for JSON. Many devices take long to make, so that the
    rounds are within those that share them."""
    rates = {point: {} for point in points()}
    for shape in dict.fromkeys((point.devices, point.targets)
                               for point in rates):
        stacks.say(f"growth: {shape[0]} devices of {shape[1]} targets")
        run_shape(lower, shape, rates, key, how)
    return [{**point.key, "rates": found} for point, found in rates.items()]


# --- memory ---------------------------------------------------------------

def memory():
    """KiB of each field."""
    with open("/proc/meminfo", encoding="ascii") as file:
        words = (line.split() for line in file)
        return {name.rstrip(":"): int(value) for name, value, *_ in words
                if name.rstrip(":") in FIELDS}


def settled():
    """The memory, after all that is not needed was given back."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
    return memory()


class Watch(threading.Thread):
    """Looks for the minimum of the memory that is available."""

    def __init__(self):
        super().__init__()
        self.min_available = memory()["MemAvailable"]
        self._ended = threading.Event()

    def run(self):
        while not self._ended.wait(REST):
            self.min_available = min(self.min_available,
                                     memory()["MemAvailable"])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self._ended.set()
        self.join()


def at_rest(lower, name, key):
    """KiB that a device holds, of many."""
    before = settled()
    with mapped(lower, name, key, MANY):
        after = settled()
    return {"rest": (before["MemAvailable"] - after["MemAvailable"]) / MANY,
            "rest slab": (after["Slab"] - before["Slab"]) / MANY}


def loaded(path, seconds):
    """KiB that are gone while large writes are in flight."""
    before = settled()["MemAvailable"]
    with Watch() as watch:
        run_fio([(c.Cell("write", c.MIB, 16, 4), path)], seconds,
                stacks.USED)
    return before - watch.min_available


def pages_of(mapping):
    """What crypt-async's status says after the load."""
    found = stats(mapping)
    return {name: found[name] for name in ("pages", "cached")
            if name in found}


def held(lower, key, seconds):
    """The memory of each setting: rows for JSON. What fio holds under load
    is what it holds with a raw device."""
    with mapped(lower, c.RAW, key, 1) as (raw,):
        usual = loaded(raw.path, seconds)
    for name in CURVES:
        if name == c.RAW:
            continue
        row = {"name": name, **at_rest(lower, name, key)}
        with mapped(lower, name, key, 1) as (mapping,):
            row["load"] = loaded(mapping.path, seconds) - usual
            if name == c.CRYPT_ASYNC:
                row.update(pages_of(mapping))
        yield row


def growth(how):
    """Everything about growth."""
    key = secrets.token_hex(CIPHER.key)
    with stacks.device("brd") as lower:
        stacks.say("memory held")
        rows = list(held(lower, key, max(1, how.seconds)))
        return {"memory": rows, "growth": curves(lower, key, how)}
