# SPDX-License-Identifier: GPL-2.0-only
"""What is measured: the contestants and the cells.

A cell is one kind of work on one kind of device; its figures are comparable
among the contestants of the cell, and nothing else."""

import dataclasses
import re

KIB = 1 << 10
MIB = 1 << 20

# The contestants: the target, and its options.
RAW, OURS, DEFAULT = "raw", "crypt-async", "crypt"
CONTESTANTS = {
    RAW: None,
    DEFAULT: ("crypt", []),
    "crypt no_wq": ("crypt", ["no_read_workqueue", "no_write_workqueue"]),
    "crypt submit": ("crypt", ["submit_from_crypt_cpus"]),
    "crypt same_cpu": ("crypt", ["same_cpu_crypt"]),
    OURS: ("crypt-async", []),
}
SETTINGS = [name for name in CONTESTANTS if name not in (RAW, OURS)]


@dataclasses.dataclass(frozen=True)
class Cipher:
    """A cipher: the word in the table line, the algorithm of the Crypto API
    (None: not timed bare) and the key's bytes."""
    table: str
    bare: str | None
    key: int


CIPHERS = {
    "aes-xts": Cipher("aes-xts-plain64", "xts(aes)", 64),
}
DEVICES = {
    "brd": None,
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One kind of work on one kind of device."""
    work: str
    size: int
    depth: int = 1
    jobs: int = 1
    engine: str = "libaio"
    unit: int = 4096
    cipher: str = "aes-xts"
    device: str = "brd"
    cpus: int = 2

    @property
    def stack(self):
        """What is the same for all cells measured side by side."""
        return (self.cpus, self.device, self.cipher, self.unit, self.engine)

    @property
    def stack_name(self):
        """The stack, for a person."""
        return (f"{self.cpus}cpu {self.device} {self.cipher} {self.unit} "
                f"{self.engine}")

    @property
    def work_name(self):
        """The work, for a person."""
        return (f"{short(self.size)} {self.work} d{self.depth}"
                + (f" x{self.jobs}" if self.jobs > 1 else ""))

    @property
    def name(self):
        """All of it; no two cells have the same."""
        return f"{self.stack_name} {self.work_name}"

    @property
    def ways(self):
        """How many processors the cipher's work may be spread over: one for
        each I/O in flight, and for each 64 KiB of it."""
        return min(self.cpus,
                   self.jobs * self.depth * max(1, self.size // (64 * KIB)))

    @property
    def reads(self):
        """The share of its I/O that reads."""
        return {"read": 1.0, "randread": 1.0, "mix": 0.7}.get(self.work, 0.0)


def short(size):
    """A size in few letters: 4k, 1m."""
    return f"{size // MIB}m" if size >= MIB else f"{size // KIB}k"


def _both(size, *shapes, random=None):
    """Reads and writes of a size in several (depth, jobs)."""
    random = size == 4 * KIB if random is None else random
    prefix = "rand" if random else ""
    return [Cell(prefix + kind, size, depth, jobs)
            for depth, jobs in shapes for kind in ("read", "write")]


def _on(cells, **stack):
    return [dataclasses.replace(cell, **stack) for cell in cells]


def _short():
    small = _both(4 * KIB, (1, 1), (32, 1), (8, 4))
    return [*small, Cell("mix", 4 * KIB, 8), Cell("fsync", 4 * KIB, 1),
            *_both(64 * KIB, (1, 1)), *_both(MIB, (1, 1), (4, 1)),
            *_on(_both(4 * KIB, (1, 1), (32, 1)) + _both(MIB, (4, 1)),
                 unit=512)]


FORMS = {"short": _short}


def choose(form, pattern):
    """The cells of a form whose names have all words of the pattern, each a
    regular expression for the beginning of a word."""
    wanted = [re.compile(r"\b(?:" + word + ")") for word in pattern.split()]
    return [cell for cell in FORMS[form]()
            if all(word.search(cell.name) for word in wanted)]
