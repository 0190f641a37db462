# SPDX-License-Identifier: GPL-2.0-only
"""In a guest: work that is not a single job of fio: on files, on the page
cache of a device, on swap space, and beside other work."""

import contextlib
import functools
import io
import json
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
# Of a reader: how often it reads, and what writers do meanwhile.
READS, WRITERS = 300, 4
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


def _read_beside_writers(path):
    """As many reads of 4 KiB, one at a time, beside bulk writers: their
    latency. The writers end with the reader."""
    words = [*fio.FIO, "--lat_percentiles=1", "--clat_percentiles=0",
             "--slat_percentiles=0", "--percentile_list=50:99",
             f"--filename={path}", f"--size={USED}", "--ioengine=libaio",
             "--name=reader", "--time_based=0", "--rw=randread", "--bs=4k",
             f"--number_ios={READS}", "--exitall=1", "--exit_what=all",
             "--name=writers", "--new_group", "--time_based=1", "--rw=write",
             "--bs=1m", "--iodepth=4", f"--numjobs={WRITERS}",
             "--runtime=60s", "--offset_increment=25%"]
    text = ca.run(*words, cwd="/tmp").stdout
    jobs = json.loads(text[text.index("{"):])["jobs"]
    found = jobs[0]["read"]["lat_ns"]["percentile"]
    ca.check(jobs[-1]["write"]["io_bytes"], "the writers wrote")
    return {"p50": found["50.000000"], "p99": found["99.000000"]}


WORK = {c.UNTAR: (_file_system_and_tarball, _untar),
        c.COPY: (_device, _copy),
        c.FILE: (_file_system, _large_file),
        c.SMALL: (_file_system, _small_files),
        c.SWAP: (_swap_space, _write_memory),
        c.BESIDE: (_device, _read_beside_writers)}


@contextlib.contextmanager
def prepared(work, path):
    """Everything that work needs beforehand; gives the function that does it,
    once, and returns figures of its own, if it has any."""
    _block()
    prepare, run = WORK[work]
    with prepare(path) as place:
        yield functools.partial(run, place)


def in_lots(cells, paths):
    """As fio.in_lots(), but for scripts that the raw device cannot do."""
    return [(cell, name) for cell, name in fio.in_lots(cells, paths)
            if name != c.RAW or not cell.is_script or cell.work in c.ON_RAW]
