# SPDX-License-Identifier: GPL-2.0-only
"""In a guest: the lower devices, and the contestants on them."""

import contextlib
import itertools
import os
import sys

import ca
import integrity
import timed
from chaos import Chaos
from crypt_async.measure import cells as c

DISK = 192 * c.MIB          # of a device
USED = 128 * c.MIB          # of it, by the work
AT_ONCE = 1 * c.MIB         # when a device is filled

notes = []


def say(text):
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def note(text):
    """Something that the report must say."""
    if text not in notes:
        notes.append(text)
        say(text)


# --- lower devices --------------------------------------------------------

class Lower:
    """A device: its path and its number."""

    def __init__(self, path, sectors=DISK // ca.SECTOR):
        self.path = path
        self.sectors = sectors
        dev = os.stat(path).st_rdev
        self.devno = f"{os.major(dev)}:{os.minor(dev)}"

    def read(self, at, length):
        """Some bytes of the device (for integrity.make)."""
        with ca.Disk(self.path) as disk:
            return disk.read(at, 4096)[:length]

    def wipe(self):
        """Forget a superblock."""
        with ca.Disk(self.path) as disk:
            disk.write(0, bytes(AT_ONCE))


def fill(path, size=DISK):
    """Write all of a device, so that no run allocates its memory, and each
    unit has its tag."""
    block = os.urandom(AT_ONCE)
    with ca.Disk(path) as disk:
        for at in range(0, size, AT_ONCE):
            disk.write(at, block)


@contextlib.contextmanager
def ram_disk():
    """brd."""
    ca.modprobe("brd", "rd_nr=1", f"rd_size={DISK // c.KIB}")
    yield "/dev/ram0"
    ca.run("modprobe", "-r", "brd")


@contextlib.contextmanager
def null_disk(name, **attributes):
    """null_blk, which answers when a timer says so."""
    with ca.NullBlk(size=DISK // c.MIB, **c.DEVICES[name],
                    **attributes) as disk:
        queue = f"/sys/block/{disk.block}/queue/rotational"
        with open(queue, "w", encoding="ascii") as file:
            file.write("1" if name == c.ROTATIONAL else "0")
        yield disk.path


@contextlib.contextmanager
def timed_disk(name):
    """A disk of tests/kmod/timed.c."""
    with timed.Timed(size_mb=DISK // c.MIB, **timed.KINDS[name]) as disk:
        yield disk.path


@contextlib.contextmanager
def device(name, **attributes):
    """A device that holds data all over; with other attributes of
    null_blk."""
    with (ram_disk() if name == "brd"
          else timed_disk(name) if name in timed.KINDS
          else null_disk(name, **attributes)) as path:
        fill(path)
        yield Lower(path)


@contextlib.contextmanager
def no_copies(lower, cells):
    """Meanwhile a modelled disk transfers no data, as far as the cells do
    without: the processors' time is theirs, and a real disk takes none of it
    to copy."""
    if (lower.path != timed.Timed.path
            or any(c.CIPHERS[cell.cipher].tag or cell.is_script
                   for cell in cells)):
        yield
        return
    timed.copy(False)
    try:
        yield
    finally:
        timed.copy(True)


# --- contestants ----------------------------------------------------------

def cipher_of(name):
    """The cipher of a cell on this kernel."""
    if name != "async":
        return c.CIPHERS[name]
    if not ca.run("modprobe", "-q", "cryptd", fail=False).returncode:
        return c.CIPHERS[name]
    note("async is the mock driver: this kernel has no cryptd")
    Chaos().close()
    return c.MOCK


def unit_options(cipher, unit):
    """The options that all contestants have."""
    return ca.unit_options(unit) + (
        [f"integrity:{cipher.tag}:aead"] if cipher.tag else [])


def has_options(mapping, target, wanted):
    """Is a mapping what it should be?"""
    return all(kind == target and sorted(params.split()[6:]) == sorted(wanted)
               for _, _, kind, params in mapping.table())


def table_of(part, targets, kind, params):
    """A part (first sector, sectors) of a device in several targets, whose
    arguments params(sector) gives."""
    first, sectors = part
    step = sectors // targets
    return [(at, step, kind, params(first + at))
            for at in range(0, step * targets, step)]


def map_one(name, lower, cipher, key, unit, *, part=None, targets=1):
    """A mapping that is what it claims, or None where the kernel cannot."""
    kind, given = c.DEFINED[name]
    options = given + unit_options(cipher, unit)

    def params(sector):
        return ca.crypt_params(cipher.table, key or "-", lower.devno,
                               iv_offset=sector, offset=sector,
                               options=options)

    try:
        mapping = ca.Mapping(table_of(part or (0, lower.sectors), targets,
                                      kind, params))
    except OSError as error:
        note(f"left out: {name}, {cipher.table}: {error.strerror}")
        return None
    if not has_options(mapping, kind, options):
        sys.exit(f"{name} {options}: the table is {mapping.table()}")
    return mapping


def map_all(name, lower, cipher, key, unit, count):
    """As many mappings of one contestant, on parts of the device; none where
    the kernel cannot."""
    step, mappings = lower.sectors // count & -8, []
    for at in range(count):
        mapping = map_one(name, lower, cipher, key, unit,
                          part=(at * step, step))
        if not mapping:
            break
        mappings.append(mapping)
    return mappings


def same_data(mapped):
    """What one contestant writes, all others must read: {name: mappings}."""
    for number, first in enumerate(next(iter(mapped.values()))):
        wanted = os.urandom(c.MIB)
        with ca.Disk(first.path) as disk:
            disk.write(0, wanted)
        for name, mappings in mapped.items():
            with ca.Disk(mappings[number].path) as disk:
                if disk.read(0, c.MIB) != wanted:
                    sys.exit(f"{name} reads something else than was written")


@contextlib.contextmanager
def with_tags(lower, cipher, unit):
    """The device as the cipher needs it: on dm-integrity if there are tags."""
    if not cipher.tag:
        yield lower
        return
    with integrity.make(lower, cipher.tag, unit) as mapping:
        yield Lower(mapping.path, mapping.sectors)


@contextlib.contextmanager
def contestants(lower, cipher, key, unit, more=(), count=1):
    """The contestants: {name: path}; the paths of several mappings with colons
    between, as fio has them. What stores tags leaves no raw device: to write
    to that one would destroy them."""
    mapped = {}
    with with_tags(lower, cipher, unit) as tagged:
        try:
            for name in [*c.SETTINGS, c.CRYPT_ASYNC, *more]:
                mappings = map_all(name, tagged, cipher, key, unit, count)
                if mappings:
                    mapped[name] = mappings
            found = {name: ":".join(mapping.path for mapping in mappings)
                     for name, mappings in mapped.items()}
            if cipher.tag:
                fill(found[c.DEFAULT], USED)
            same_data(mapped)
            yield (found if cipher.tag
                   else {c.RAW: tagged.path, **found})
        finally:
            for mapping in itertools.chain(*mapped.values()):
                mapping.remove()
