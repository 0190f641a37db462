# SPDX-License-Identifier: GPL-2.0-only
"""What a power cut leaves: work on a file system whose disk writes down what
it does, and what is on that disk after the power failed at some moment."""

import contextlib
import hashlib
import os
import signal
import subprocess

import ca
from recorder import FLUSH, FUA, MARK, WRITE, Recorder, entries

CIPHER = "aes-xts-plain64"
UNIT = 4096
SIZE = 32 * ca.MIB
SECTORS = SIZE // ca.SECTOR
LOG = 256 * ca.MIB
MAX_SIZE = 96 * ca.KIB
WHERE = "/tmp/ca-power-cut"
# Beside the files that are looked at: what makes and removes names, and
# writes, cuts, allocates and syncs files all over.
STRESS = ("stress-ng", "--quiet", "--iomix", "1", "--iomix-bytes", "2m",
          "--rename", "1", "--dir", "1", "--dir-dirs", "64",
          "--fallocate", "1", "--fallocate-bytes", "2m")
# How to make one, smaller than xfs likes them.
MKFS = {"ext4": ("mkfs.ext4", "-q", "-F", "-E", "nodiscard"),
        "xfs": ("mkfs.xfs", "-q", "-f", "-K", "--unsupported")}


class Disk:
    """What is on a disk with a volatile cache, after so much of a log."""

    def __init__(self, size=SIZE):
        self.durable = bytearray(size)
        self._cached = []

    @staticmethod
    def _put(image, at, data):
        image[at:at + len(data)] = data

    def do(self, kind, at, data):
        """What an entry says."""
        if kind in (WRITE, FUA):
            self._cached.append((kind, at, data))
        if kind == FUA:
            self._put(self.durable, at, data)
        elif kind == FLUSH:
            # The durable ones, too: each is newer than what it was put over.
            for _, *what in self._cached:
                self._put(self.durable, *what)
            self._cached.clear()

    def some(self, rng):
        """What is durable, and by lot some units of what is in the cache: a
        disk may write any of that at any time."""
        image = bytearray(self.durable)
        for kind, at, data in self._cached:
            for start in range(0, len(data), UNIT):
                if kind == FUA or rng.randrange(2):
                    self._put(image, at + start, data[start:start + UNIT])
        return image


def moments(log):
    """Numbers of the entries after which more is durable than before."""
    found, made = [], False
    for number, (kind, _, data) in enumerate(entries(log)):
        made |= kind == MARK and data == b"made"
        if made and kind in (FLUSH, FUA):
            found.append(number)
    return found


def table(target, lower, key):
    """A table of one target."""
    return [(0, SECTORS, target, ca.crypt_params(
        CIPHER, key, lower, options=ca.unit_options(UNIT)))]


@contextlib.contextmanager
def mounted(path, kind, options="defaults"):
    """The file system of a device."""
    os.makedirs(WHERE, exist_ok=True)
    ca.run("mount", "-t", kind, "-o", options, path, WHERE)
    try:
        yield
    finally:
        ca.run("umount", WHERE)


def content(seed, number):
    """What is in a file."""
    text = hashlib.sha256(f"{seed} {number}".encode()).digest()
    size = 1 + int.from_bytes(text[:3]) % MAX_SIZE
    return (text * (MAX_SIZE // len(text)))[:size]


def _fill(recorder, files):
    """Make files, sync each, have the log say so; remove and rename some, and
    write more without syncing it."""
    for number in range(files):
        path = f"{WHERE}/{number}"
        with open(path + ".new", "wb", buffering=0) as file:
            text = content(ca.seed, number)
            ca.equal(file.write(text), len(text), "bytes written")
            os.fsync(file.fileno())
        os.rename(path + ".new", path)
        directory = os.open(WHERE, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        recorder.mark(f"file-{number}")
        with open(f"{WHERE}/junk-{number % 8}", "ab") as file:
            file.write(ca.data(ca.rng.randrange(MAX_SIZE)))
        if number % 8 == 7:
            os.unlink(f"{WHERE}/junk-{ca.rng.randrange(8)}")


@contextlib.contextmanager
def _stress():
    """Others use the file system at the same time."""
    where = f"{WHERE}/stress"
    os.mkdir(where)

    def begun():
        found = list(os.walk(where))
        return sum(len(names) for *_, names in found) and len(found) > 4

    with subprocess.Popen([*STRESS, "--temp-path", where],
                          start_new_session=True) as process:
        try:
            ca.wait_until(lambda: begun() or process.poll() is not None,
                          "the others begin")
            yield
            ca.equal(process.poll(), None, "the others are still at it")
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
    ca.equal(process.returncode, 0, "what stress-ng ended with")


def record(kind, key, log, files):
    """Have all that the work does to the lower device in the log, a path."""
    with Recorder(SIZE, log) as recorder:
        # Between them a device that takes bios, since such writes are joined.
        lower = ca.Mapping.single(SECTORS, "linear", f"{recorder.devno} 0")
        with ca.Mapping(table(ca.TARGET, lower.devno, key)) as mapping:
            ca.run(*MKFS[kind], mapping.path)
            recorder.mark("made")
            with mounted(mapping.path, kind), _stress():
                _fill(recorder, files)
        lower.remove()
