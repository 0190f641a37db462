# SPDX-License-Identifier: GPL-2.0-only
"""In a guest: one kind of work on one contestant after the other."""

import io
import os
import random
import tarfile
import time

import ca
from crypt_async.measure import cells as c
from crypt_async.measure.fio import in_lots, run_fio
from stacks import USED

BARE = "/sys/kernel/debug/bare/run"
BARE_MS = 50

TARBALL = "/tmp/bench.tar"
FILES = 300                 # in it
FILE_MOST = 32 * c.KIB
FILE_SYSTEM = "/tmp/bench.mnt"


# --- a file system --------------------------------------------------------

def _make_tarball():
    """Files of random sizes in a few directories."""
    with tarfile.open(TARBALL, "w") as tar:
        for number in range(FILES):
            info = tarfile.TarInfo(f"d{number % 10}/f{number}")
            info.size = random.randrange(FILE_MOST)
            tar.addfile(info, io.BytesIO(random.randbytes(info.size)))


def untar(path):
    """Unpack an archive to a new file system, and sync: how often a second."""
    if not os.path.exists(TARBALL):
        _make_tarball()
    os.makedirs(FILE_SYSTEM, exist_ok=True)
    ca.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard",
           path, f"{USED // c.KIB}k")
    ca.run("mount", "-t", "ext4", path, FILE_SYSTEM)
    try:
        os.sync()
        start = time.monotonic()
        ca.run("tar", "-xf", TARBALL, "-C", FILE_SYSTEM)
        os.sync()
        return 1 / (time.monotonic() - start)
    finally:
        ca.run("umount", FILE_SYSTEM)


# --- a round --------------------------------------------------------------

def run_round(cells, paths, seconds):
    """All cells on all contestants: (cell, name, I/O per second)."""
    by_fio = in_lots([cell for cell in cells if cell.work != c.UNTAR], paths)
    # No file system on the raw device: the contestants hold it.
    others = in_lots([cell for cell in cells if cell.work == c.UNTAR],
                     paths.keys() - {c.RAW})
    rates = run_fio([(cell, paths[name]) for cell, name in by_fio], seconds,
                    USED)
    rates += [untar(paths[name]) for _, name in others]
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
