# SPDX-License-Identifier: GPL-2.0-only
"""In a guest: work that is not fio's, on files, on the page cache of a device,
and on swap space."""

import contextlib
import functools
import io
import mmap
import os
import random
import tarfile

import ca
from cgroup import Cgroups
from crypt_async.measure import cells as c
from crypt_async.measure import fio
from stacks import USED

TARBALL = "/tmp/bench.tar"
FILES = 300                 # in it
FILE_MOST = 32 * c.KIB
FILE_SYSTEM = "/tmp/bench.mnt"
LARGE_FILE = 32 * c.MIB
SMALL_FILES = 100
SMALL = 4 * c.KIB
# Of a process that swaps: what it writes to, and what it may keep.
WRITTEN, KEPT = 64 * c.MIB, 24 * c.MIB


@functools.cache
def _block():
    """Data of which no part is zero: a kernel may not write such pages."""
    return random.randbytes(c.MIB).replace(b"\0", b"\1")


# --- where the work is done -----------------------------------------------

@contextlib.contextmanager
def _device(path):
    yield path


@contextlib.contextmanager
def _file_system(path):
    """A new one, mounted."""
    os.makedirs(FILE_SYSTEM, exist_ok=True)
    ca.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard",
           path, f"{USED // c.KIB}k")
    ca.run("mount", "-t", "ext4", path, FILE_SYSTEM)
    try:
        os.sync()
        yield FILE_SYSTEM
    finally:
        ca.run("umount", FILE_SYSTEM)


@functools.cache
def _make_tarball():
    """Files of random sizes in a few directories."""
    with tarfile.open(TARBALL, "w") as tar:
        for number in range(FILES):
            info = tarfile.TarInfo(f"d{number % 10}/f{number}")
            info.size = random.randrange(FILE_MOST)
            tar.addfile(info, io.BytesIO(random.randbytes(info.size)))


def _file_system_and_tarball(path):
    _make_tarball()
    return _file_system(path)


@contextlib.contextmanager
def _swap_space(path):
    """Swap on the device, and a group whose processes have to use it."""
    ca.run("mkswap", path)
    ca.run("swapon", path)
    try:
        with Cgroups("memory", "bench") as (group,):
            group.set("memory.max", KEPT)
            yield group
    finally:
        ca.run("swapoff", path)


# --- the work -------------------------------------------------------------

def _untar(place):
    ca.run("tar", "-xf", TARBALL, "-C", place)
    os.sync()


def _copy(path):
    """A large copy through the page cache, until all of it is written."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(LARGE_FILE // c.MIB):
            os.write(fd, _block())
        os.fsync(fd)
    finally:
        os.close(fd)


def _large_file(place):
    _copy(f"{place}/large")


def _small_files(place):
    """Small files, each of which is written before the next one."""
    for number in range(SMALL_FILES):
        fd = os.open(f"{place}/{number}", os.O_WRONLY | os.O_CREAT)
        os.write(fd, _block()[:SMALL])
        os.fsync(fd)
        os.close(fd)


def _write_memory(group):
    """As a process with less memory than it writes to."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            group.enter()
            memory = mmap.mmap(-1, WRITTEN,
                               mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for _ in range(WRITTEN // c.MIB):
                memory.write(_block())
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    ca.equal(status, 0, "the process that swaps ends well")


WORK = {c.UNTAR: (_file_system_and_tarball, _untar),
        c.COPY: (_device, _copy),
        c.FILE: (_file_system, _large_file),
        c.SMALL: (_file_system, _small_files),
        c.SWAP: (_swap_space, _write_memory)}


@contextlib.contextmanager
def prepared(work, path):
    """Everything that work needs beforehand; gives the function that does it,
    once."""
    _block()
    prepare, run = WORK[work]
    with prepare(path) as place:
        yield functools.partial(run, place)


def in_lots(cells, paths):
    """As fio.in_lots(). But the contestants hold the raw device, so that it
    can have no file system and be no swap space."""
    return [(cell, name) for cell, name in fio.in_lots(cells, paths)
            if name != c.RAW or not cell.is_script or cell.work == c.COPY]
