# SPDX-License-Identifier: GPL-2.0-only
"""A disk in memory and mappings on it that go away with the process that made
them, also when it is killed. A mapping is open here and its removal is asked
for, so that the kernel removes it when it is closed; the disk is a loop device
that ends with its last user, on a file that has no name. Between the making of
a mapping and this, a guard looks after it, and any later run."""

import contextlib
import errno
import fcntl
import mmap
import os
import signal
import struct
import time

from . import ioctl
from .common import Problem, read, run
from .mapping import Kernel, Mapping, all_mappings
from .temporary import (MARK, SELFTEST, name_for, owner, remove_later,
                        this_run)

LOOP_CONFIGURE, _LOOP_GET_FREE = 0x4C0A, 0x4C82
LOOP_CONFIG = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 8Q")
_LOOP_AUTOCLEAR = 4
_SECTOR = 512
_PIECE = 64 << 10   # of direct I/O
_PROVIDED = struct.Struct("<16xQ")  # sectors, in dm-integrity's superblock
PATIENCE = 10       # seconds, while udev looks at something

_abandoned = False


def abandon():
    """From now on nothing is waited for: a driver does not answer, and what
    it has stays until it does."""
    global _abandoned
    _abandoned = True


def is_abandoned():
    """Is it so?"""
    return _abandoned


def _watch(pipe, run_):
    """What a guard does: wait until the pipe's writer ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                   signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.read(pipe, 1)
    for mapping in all_mappings():
        if owner(mapping) == run_:
            remove_later(mapping.name)


@contextlib.contextmanager
def guarded():
    """A process in a session of its own removes what is left when this one
    ends, however it does. It is told so by a pipe, which this one holds: the
    file, to be closed by its children."""
    run_ = this_run()
    theirs, ours = os.pipe()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            os.close(ours)
            os.setsid()
            _watch(theirs, run_)
        os._exit(0)
    os.close(theirs)
    try:
        yield ours
    finally:
        os.close(ours)
        os.waitpid(pid, 0)


def _attach(file, path):
    """The loop device on the file; None if somebody else took it."""
    loop = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    config = LOOP_CONFIG.pack(file, _SECTOR, *[0] * 5, 0, 0, 0,
                               _LOOP_AUTOCLEAR, SELFTEST.encode(), b"", b"",
                               *[0] * 10)
    try:
        fcntl.ioctl(loop, LOOP_CONFIGURE, config)
        return loop
    except OSError as error:
        os.close(loop)
        if error.errno != errno.EBUSY:
            raise
        return None


class Disk:
    """A loop device on memory: its bytes are those of `file`, and the first
    ones, `size` of them, are what is looked at."""

    def __init__(self, size, more=0):
        if not os.path.exists("/dev/loop-control"):
            run("modprobe", "loop")
        self.size, self._whole, self._loop = size, size + more, None
        self.file = os.memfd_create(SELFTEST)
        os.ftruncate(self.file, self._whole)
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            while self._loop is None:
                number = fcntl.ioctl(control, _LOOP_GET_FREE)
                self._loop = _attach(self.file, f"/dev/loop{number}")
        finally:
            os.close(control)
        dev = os.fstat(self._loop).st_rdev
        self._attached = f"/sys/block/loop{number}/loop"
        self.devno = f"{os.major(dev)}:{os.minor(dev)}"

    def fill(self, data):
        """Have it hold this from its beginning on."""
        os.pwrite(self.file, data, 0)

    def bytes(self):
        """What it holds."""
        return os.pread(self.file, self.size, 0)

    def wipe(self):
        """Have it hold zeros."""
        os.ftruncate(self.file, 0)
        os.ftruncate(self.file, self._whole)

    def close(self):
        """It goes away with its last user."""
        os.close(self._loop)
        os.close(self.file)
        if not _abandoned:
            _wait(lambda: not os.path.exists(self._attached))


class Through:
    """The disk as another mapping shows it, in place of its own bytes."""

    def __init__(self, mapped, size):
        self.file, self.size = mapped.file, size

    def fill(self, data):
        """Have it hold this from its beginning on."""
        for at in range(0, len(data), _PIECE):
            os.pwrite(self.file, aligned(data[at:at + _PIECE]), at)

    def bytes(self):
        """What it holds; `at` of an error is where it could not be read."""
        data, memory = bytearray(), mmap.mmap(-1, _PIECE)
        for at in range(0, self.size, _PIECE):
            try:
                length = os.preadv(self.file, [memory], at)
            except OSError as error:
                error.at = at
                raise
            data += memory[:length]
        return bytes(data)


def aligned(data):
    """The data where direct I/O can take it from."""
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


def _wait(condition):
    """Wait a little for what the kernel does by itself. Did it?"""
    end = time.monotonic() + PATIENCE
    while not (done := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return done


@contextlib.contextmanager
def with_tags(disk, size, tag, unit):
    """The disk with room for a tag beside each unit: its device number."""
    words = [f"block_size:{unit}"] if unit > _SECTOR else []
    params = " ".join([disk.devno, "0", str(tag), "D", str(len(words)),
                       *words])
    disk.wipe()
    with Vanishing([(0, 8, "integrity", params)]):
        pass        # a disk of zeros is formatted at first sight
    sectors, = _PROVIDED.unpack(os.pread(disk.file, _PROVIDED.size, 0))
    if sectors * _SECTOR < size:
        raise OSError(errno.ENOSPC, "dm-integrity left too little room")
    with Vanishing([(0, size // _SECTOR, "integrity", params)]) as mapped:
        dev = os.fstat(mapped.file).st_rdev
        yield f"{os.major(dev)}:{os.minor(dev)}"


def _is_gone(name, number):
    """Is a mapping removed? Its name goes first, and what it stands on is
    used for a moment longer: until its device goes, too. (The next one with
    this number has another name.)"""
    try:
        ioctl.call(ioctl.STATUS, name)
    except OSError as error:
        if error.errno != errno.ENXIO:
            return False
    else:
        return False
    directory = f"/sys/block/dm-{number}"
    return not os.path.exists(directory) \
        or read(f"{directory}/dm/name") not in (None, "", name)


class Vanishing:
    """A mapping that is removed when it is closed, here or by the end of this
    process; `file` is open for direct I/O."""

    _count = 0

    def __init__(self, table):
        Vanishing._count += 1
        self.name = name_for(SELFTEST, Vanishing._count)
        self.file = self._number = None
        kernel = Kernel()
        try:
            ioctl.call(ioctl.CREATE, self.name, uuid=MARK + self.name)
            self._use(table)
        except BaseException as error:
            remove_later(self.name)
            if self.file is not None:
                os.close(self.file)
            if isinstance(error, OSError):
                error.said = kernel.said()
            raise

    def _use(self, table):
        ioctl.call(ioctl.LOAD, self.name, payload=ioctl.pack_table(table),
                   count=len(table), flags=ioctl.SECURE_DATA_FLAG)
        ioctl.call(ioctl.SUSPEND, self.name)
        self._number = os.minor(ioctl.call(ioctl.STATUS, self.name).dev)
        path = f"/dev/dm-{self._number}"
        _wait(lambda: os.path.exists(path))
        self.file = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        remove_later(self.name)

    def mapping(self):
        """For its status and messages."""
        return Mapping(self.name)

    def close(self):
        """Close it, and see it go; udev may still look at it."""
        os.close(self.file)
        if _abandoned:
            return
        if not _wait(lambda: _is_gone(self.name, self._number)):
            raise Problem(f"{self.name} is still open elsewhere; it goes "
                          "away when it is closed there")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
