# SPDX-License-Identifier: GPL-2.0-only
"""What is measured: the contestants and the cells.

A cell is one kind of work on one kind of device; its figures are comparable
among the contestants of the cell, and nothing else."""

import dataclasses
import re

KIB = 1 << 10
MIB = 1 << 20

# The contestants: the target, and its options.
RAW, CRYPT_ASYNC, DEFAULT = "raw", "crypt-async", "crypt"
NO_WQ = "crypt no_wq"
CONTESTANTS = {
    RAW: None,
    DEFAULT: ("crypt", []),
    NO_WQ: ("crypt", ["no_read_workqueue", "no_write_workqueue"]),
    "crypt submit": ("crypt", ["submit_from_crypt_cpus"]),
    "crypt same_cpu": ("crypt", ["same_cpu_crypt"]),
    CRYPT_ASYNC: ("crypt-async", []),
}
# dm-crypt's default a second time, for an A/A test: the difference from the
# first is noise.
AA = "crypt A/A"
DEFINED = {**CONTESTANTS, AA: CONTESTANTS[DEFAULT]}
SETTINGS = [name for name in CONTESTANTS if name not in (RAW, CRYPT_ASYNC)]


@dataclasses.dataclass(frozen=True)
class Cipher:
    """A cipher: the word in the table line, the algorithm of the Crypto API
    (None: not timed bare), the key's bytes, and the bytes of metadata that
    dm-integrity has to keep with each unit."""
    table: str
    bare: str | None
    key: int
    tag: int = 0


CIPHERS = {
    "aes-xts": Cipher("aes-xts-plain64", "xts(aes)", 64),
    "cipher_null": Cipher("cipher_null-ecb", "ecb(cipher_null)", 0),
    "aes-gcm": Cipher("capi:gcm(aes)-random", None, 32, 28),
    "async": Cipher("capi:cryptd(xts(ecb(aes-generic)))-plain64",
                    "xts(ecb(aes-generic))", 64),
}
# For "async" where the kernel has no cryptd.
MOCK = Cipher("capi:chaos(xts(aes))-plain64", "xts(aes)", 64)

# The lower devices: brd, and null_blk with these attributes.
DEVICES = {
    "brd": None,
    "null10": {"irqmode": 2, "completion_nsec": 10_000},
    "null80": {"irqmode": 2, "completion_nsec": 80_000},
    "null100": {"irqmode": 2, "completion_nsec": 100_000},
    "disk": {"irqmode": 2, "completion_nsec": 1_000_000},
}
ROTATIONAL = "disk"


# Work that is not fio's, and what a person calls it.
UNTAR, COPY, FILE, SMALL, SWAP = "untar", "copy", "file", "small", "swap"
BESIDE = "beside"
SCRIPTS = {UNTAR: "ext4 untar sync", COPY: "buffered copy fsync",
           FILE: "ext4 file fsync", SMALL: "ext4 small files fsync",
           SWAP: "swap out", BESIDE: "4k randread beside 4 writers"}
# That which needs no file system or swap space, so that the raw device, which
# the contestants hold, can do it as well.
ON_RAW = {COPY, BESIDE}


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
    machine: str = ""   # one whose time is simulated

    @property
    def computer(self):
        """The machine's name, or what kind of guest it is."""
        return self.machine or f"{self.cpus}cpu"

    @property
    def is_script(self):
        """Is it other work than fio's?"""
        return self.work in SCRIPTS

    @property
    def lower(self):
        """The name of the lower device."""
        return self.device.partition("-")[0]

    @property
    def mappings(self):
        """How many mappings of one contestant share the device: "brd-4" is
        brd with four."""
        return int(self.device.partition("-")[2] or 1)

    @property
    def boot(self):
        """The guest that measures it."""
        return f"{self.computer}-{self.device}"

    @property
    def stack(self):
        """What is the same for all cells measured side by side."""
        return (self.cpus, self.device, self.cipher, self.unit, self.engine)

    @property
    def stack_name(self):
        """The stack, for a person."""
        return (f"{self.computer} {self.device} {self.cipher} {self.unit} "
                f"{self.engine}")

    @property
    def work_name(self):
        """The work, for a person."""
        if self.is_script:
            return SCRIPTS[self.work]
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


def both(size, *shapes, random=None):
    """Reads and writes of a size in several (depth, jobs)."""
    random = size == 4 * KIB if random is None else random
    prefix = "rand" if random else ""
    return [Cell(prefix + kind, size, depth, jobs)
            for depth, jobs in shapes for kind in ("read", "write")]


def _on(cells, **stack):
    return [dataclasses.replace(cell, **stack) for cell in cells]


MIX, FSYNC = Cell("mix", 4 * KIB, 8), Cell("fsync", 4 * KIB)


def _short():
    """A choice, for ten minutes."""
    one, deep = both(4 * KIB, (1, 1)), both(4 * KIB, (32, 1))
    big = both(MIB, (4, 1))
    return [*one, *deep, *both(4 * KIB, (8, 4)), *both(64 * KIB, (1, 1)),
            *both(MIB, (1, 1)), *big,
            *_on(one + big, unit=512),
            *_on(one + deep + [FSYNC], device="null10"),
            *_on(one, device="null10", unit=512)]


def _work():
    """All kinds of work."""
    cells = both(4 * KIB, (1, 1), (8, 1), (32, 1), (8, 4)) + [MIX, FSYNC]
    for size in (16 * KIB, 64 * KIB, 128 * KIB, MIB):
        cells += both(size, (1, 1), (4, 1))
    return cells + [Cell(UNTAR, 0)]


def _around():
    """A few kinds of work, with one axis moved at a time."""
    some = both(4 * KIB, (1, 1), (32, 1)) + both(MIB, (4, 1))
    return [*_on(some, device="null100"),
            *_on(some + both(64 * KIB, (4, 1)), device="disk"),
            *_on(some, engine="io_uring"),
            *_on(some, cipher="cipher_null", unit=512),
            *_on(some, cipher="cipher_null"),
            *_on(some, cipher="async"),
            *_on(some, cipher="aes-gcm", unit=512),
            *_on(some, cipher="aes-gcm"),
            *(replaced for cpus in (1, 4) for device in ("brd", "null10")
              for replaced in _on(some, cpus=cpus, device=device))]


def _full():
    """The cells of --full: all work on two devices, and _around()."""
    return [*(replaced for device in ("brd", "null10") for unit in (512, 4096)
              for replaced in _on(_work(), device=device, unit=unit)),
            *_around()]


FORMS = {"short": _short, "full": _full}


def has_words(cell, words):
    """Is each of these regular expressions a whole word of the name?"""
    return all(any(re.fullmatch(word, part) for part in cell.name.split())
               for word in words)


def choose(form, pattern="", part="1/1"):
    """The cells of a form whose names have all words of the pattern, in the
    order of boots and stacks; and of these the one part of several."""
    chosen = sorted((cell for cell in FORMS[form]()
                     if has_words(cell, pattern.split())),
                    key=lambda cell: (cell.cpus != 2, cell.stack))
    return cut(chosen, part)


def cut(chosen, part):
    """The one part of several."""
    number, parts = (int(word) for word in part.split("/"))
    return chosen[len(chosen) * (number - 1) // parts:
                  len(chosen) * number // parts]
