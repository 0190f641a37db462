# SPDX-License-Identifier: GPL-2.0-only
"""What a power cut leaves: work on a file system, every write of which is kept
in the order in which the lower device got it, by the kernel's dm-log-writes.

Its log is described in Documentation/admin-guide/device-mapper/log-writes.rst,
and by the kernel's own tools for it: a superblock, then entries, each of them
a sector and its data."""

import contextlib
import hashlib
import os
import signal
import struct
import subprocess

import ca

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

MAGIC = 0x6a736677736872
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


def entries(log):
    """What was logged to a file: (sector, flags, data), of a mark its text."""
    with open(log, "rb") as file:
        magic, _, count, size = SUPER.unpack_from(file.read(ca.SECTOR))
        ca.equal((magic, size), (MAGIC, ca.SECTOR), "the log's superblock")
        for _ in range(count):
            head = file.read(size)
            sector, sectors, flags, length = ENTRY.unpack_from(head)
            data = b""
            if flags & MARK:
                data = head[ENTRY.size:ENTRY.size + length]
            elif not flags & DISCARD:
                data = file.read(sectors * size)
                ca.equal(len(data), sectors * size, "bytes of an entry")
            yield sector, flags, data


def moments(log):
    """Numbers of the entries after which everything so far is durable."""
    found, made = [], False
    for number, (_, flags, data) in enumerate(entries(log)):
        made |= bool(flags & MARK) and data == b"made"
        if made and flags & (FLUSH | FUA):
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


def _fill(logger, files):
    """Make files, sync each, say so in the log; remove and rename some, and
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
        logger.message(f"mark file-{number}")
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
    """Have all writes of the work in the log, a device's path."""
    ca.modprobe("dm-log-writes")
    lower = ca.NullBlk(size=SIZE >> 20)
    with ca.Mapping.single(SECTORS, "log-writes",
                           f"{lower.devno} {log}") as logger:
        devno = f"{os.major(logger.dev)}:{os.minor(logger.dev)}"
        with ca.Mapping(table(ca.TARGET, devno, key)) as mapping:
            ca.run(*MKFS[kind], mapping.path)
            logger.message("mark made")
            with mounted(mapping.path, kind), _stress():
                _fill(logger, files)
            status = logger.info()
            ca.check("logging_disabled" not in status,
                     f"the log has room for everything: {status}")
    ca.run("blockdev", "--flushbufs", log)
    lower.close()
