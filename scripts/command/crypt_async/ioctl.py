# SPDX-License-Identifier: GPL-2.0-only
"""The device mapper by ioctl: keys go through memory only, and a table can be
swapped under the root file system, where no program could be started in
between. The structures are those of <linux/dm-ioctl.h>."""

import errno
import fcntl
import os
import struct

HEADER = struct.Struct("=3I2II i 3I Q 128s 129s 7x")
TARGET = struct.Struct("=QQiI16s")
_VERSION = (4, 0, 0)
_UUID_SIZE, _HAS_UUID = 129, 1

(CREATE, REMOVE, SUSPEND, STATUS, LOAD, CLEAR, DEPS, TABLE_STATUS, VERSIONS,
 MESSAGE) = (3, 4, 6, 7, 9, 10, 11, 12, 13, 14)
LIST_DEVICES = 2

READONLY_FLAG = 1 << 0
SUSPEND_FLAG = 1 << 1
STATUS_TABLE_FLAG = 1 << 4
ACTIVE_FLAG = 1 << 5
INACTIVE_FLAG = 1 << 6
BUFFER_FULL_FLAG = 1 << 8
SKIP_LOCKFS_FLAG = 1 << 10
NOFLUSH_FLAG = 1 << 11
QUERY_INACTIVE_FLAG = 1 << 12
UUID_FLAG = 1 << 14
SECURE_DATA_FLAG = 1 << 15
DEFERRED_REMOVE_FLAG = 1 << 17
IMA_FLAG = 1 << 19

SMALL = 1024        # Python lets other threads run only up to this size
LARGE = 64 << 10
_LARGEST = 1 << 28

_control = None


class Answer:
    """What an ioctl returned: the header's fields and the data after it."""

    def __init__(self, buffer):
        fields = HEADER.unpack_from(buffer)
        self.targets, self.open_count, self.flags = fields[5:8]
        self.dev = fields[10]
        self.name, self.uuid = text(fields[11]), text(fields[12])
        self.data = bytes(buffer[fields[4]:fields[3]])


def call(command, name="", *, size=SMALL, **how):
    """One ioctl, for which see _once(); what does not fit into its buffer is
    asked for again, in one twice as large. Raises OSError as the kernel
    says."""
    while True:
        answer = _once(command, name, size=size, **how)
        if not answer.flags & BUFFER_FULL_FLAG:
            return answer
        if size >= _LARGEST:
            raise OSError(errno.ENOSPC, "the kernel's answer has no end")
        size *= 2


def request(command):
    """The number of an ioctl, which reads and writes the header."""
    return 0xC0000000 | HEADER.size << 16 | 0xFD << 8 | command


def _opened():
    """The device mapper's own device, which only root can open."""
    global _control
    if _control is None:
        _control = os.open("/dev/mapper/control", os.O_RDWR | os.O_CLOEXEC)
    return _control


def lock(number):
    """Of runs of this command, only one has this number: the byte there of
    the device mapper's own device is locked, which needs no file and ends
    with the process. Raises BlockingIOError if another one has it."""
    try:
        fcntl.lockf(_opened(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except PermissionError as error:        # as lockf may say it as well
        raise BlockingIOError(*error.args) from None


def unlock(number):
    """Let others have it."""
    fcntl.lockf(_opened(), fcntl.LOCK_UN, 1, number)


def _once(command, name, *, size, dev=0, flags=0, payload=b"", count=0,
          uuid=""):
    """The mapping is known by its name, or by its device number; a new one
    gets a UUID."""
    name = name.encode(errors="surrogateescape")
    if len(name) > 127:
        raise OSError(errno.ENXIO, "no mapping has a name of that length")
    control = _opened()
    size = max(size, HEADER.size + len(payload))
    buffer = bytearray(size)
    HEADER.pack_into(buffer, 0, *_VERSION, size, HEADER.size, count, 0,
                      flags, 0, 0, dev, name, uuid.encode())
    buffer[HEADER.size:HEADER.size + len(payload)] = payload
    try:
        fcntl.ioctl(control, request(command), buffer, True)
        return Answer(buffer)
    finally:
        if flags & SECURE_DATA_FLAG:
            buffer[:] = bytes(len(buffer))


def text(data):
    """A string as the kernel keeps it."""
    return data.split(b"\0", 1)[0].decode(errors="surrogateescape")


def pack_table(table):
    """A table, (start, length, target, params) for each line, for LOAD."""
    out = b""
    for start, length, target, params in table:
        words = params.encode(errors="surrogateescape") + b"\0"
        words += bytes(-(len(words) + TARGET.size) % 8)
        out += TARGET.pack(start, length, 0, TARGET.size + len(words),
                            target.encode()) + words
    return out


def unpack_table(answer):
    """The lines of an answer to TABLE_STATUS."""
    at = 0
    for _ in range(answer.targets):
        start, length, _, following, target = TARGET.unpack_from(
            answer.data, at)
        end = answer.data.index(b"\0", at + TARGET.size)
        yield (start, length, text(target),
               text(answer.data[at + TARGET.size:end + 1]))
        at = following


def pack_message(words, sector=0):
    """A message to the target at a sector, for MESSAGE."""
    return struct.pack("=Q", sector) + words.encode() + b"\0"


def versions():
    """The registered targets: {name: (major, minor, patch)}."""
    data = call(VERSIONS, size=LARGE).data
    found, at = {}, 0
    while True:
        following, *version = struct.unpack_from("=4I", data, at)
        found[text(data[at + 16:])] = tuple(version)
        if not following:
            return found
        at += following


def lower_devices(name, flags=0):
    """The device numbers of what a mapping's table stands on; without a table
    there is no answer."""
    data = call(DEPS, name, flags=flags, size=LARGE).data
    if not data:
        return ()
    count, = struct.unpack_from("=I", data)
    return struct.unpack_from(f"={count}Q", data, 8)


def devices():
    """The mapped devices: [(name, device number, UUID), …]."""
    data = call(LIST_DEVICES, size=LARGE, flags=UUID_FLAG).data
    found, at = [], 0
    while data:
        dev, following = struct.unpack_from("=QI", data, at)
        end = data.index(b"\0", at + 12)
        if end > at + 12:
            # Behind the name, aligned: an event's number, flags, the UUID.
            more = end + 1 + -(end + 1) % 8
            flags, = struct.unpack_from("=I", data, more + 4)
            uuid = text(data[more + 8:more + 8 + _UUID_SIZE]) \
                if flags & _HAS_UUID else ""
            found.append((text(data[at + 12:end + 1]), dev, uuid))
        if not following:
            break
        at += following
    return found
