# SPDX-License-Identifier: GPL-2.0-only
"""The device mapper by ioctl, in process: a fork per dmsetup is slow in an
emulated guest. The structures are those of <linux/dm-ioctl.h>."""

import contextlib
import errno
import fcntl
import itertools
import os
import struct
import time

import scratch

_HEADER = struct.Struct("=3I2II i 3I Q 128s 129s 7x")
_TARGET = struct.Struct("=QQiI16s")
_VERSION = (4, 0, 0)

(_CREATE, _REMOVE, _SUSPEND, _STATUS, _LOAD, _CLEAR, _DEPS, _TABLE_STATUS,
 _VERSIONS, _MESSAGE) = (3, 4, 6, 7, 9, 10, 11, 12, 13, 14)

_SUSPEND_FLAG = 1 << 1
_STATUS_TABLE_FLAG = 1 << 4
_ACTIVE_FLAG = 1 << 5
_INACTIVE_FLAG = 1 << 6
_BUFFER_FULL_FLAG = 1 << 8
_SKIP_LOCKFS_FLAG = 1 << 10
_NOFLUSH_FLAG = 1 << 11
_QUERY_INACTIVE_FLAG = 1 << 12
_IMA_FLAG = 1 << 19

_SMALL = 1024       # Python lets other threads run only up to this size
_LARGE = 64 << 10

_numbers = itertools.count()
_control = None


class _Answer:
    """What an ioctl returned: the header's fields and the data after it."""

    def __init__(self, buffer):
        fields = _HEADER.unpack_from(buffer)
        self.targets, self.open_count, self.flags = fields[5:8]
        self.dev = fields[10]
        self.data = bytes(buffer[fields[4]:fields[3]])


def _ioctl(command, name="", *, flags=0, payload=b"", count=0, size=_SMALL):
    global _control
    if _control is None:
        scratch.modprobe("dm-mod")
        _control = os.open("/dev/mapper/control", os.O_RDWR | os.O_CLOEXEC)
    size = max(size, _HEADER.size + len(payload))
    buffer = bytearray(size)
    _HEADER.pack_into(buffer, 0, *_VERSION, size, _HEADER.size, count, 0,
                      flags, 0, 0, 0, name.encode(), b"")
    buffer[_HEADER.size:_HEADER.size + len(payload)] = payload
    request = 0xC0000000 | _HEADER.size << 16 | 0xFD << 8 | command
    fcntl.ioctl(_control, request, buffer, True)
    answer = _Answer(buffer)
    if answer.flags & _BUFFER_FULL_FLAG:
        raise OSError(errno.ENOSPC, "the ioctl's buffer is too small")
    return answer


def _text(data):
    return data.split(b"\0", 1)[0].decode()


def _pack_table(table):
    out = b""
    for start, length, target, params in table:
        text = params.encode() + b"\0"
        text += bytes(-(len(text) + _TARGET.size) % 8)
        out += _TARGET.pack(start, length, 0, _TARGET.size + len(text),
                            target.encode()) + text
    return out


def _unpack_table(answer):
    at = 0
    for _ in range(answer.targets):
        start, length, _, following, target = _TARGET.unpack_from(
            answer.data, at)
        yield (start, length, _text(target),
               _text(answer.data[at + _TARGET.size:]))
        at = following


def list_versions():
    """The registered targets: {name: (major, minor, patch)}."""
    data = _ioctl(_VERSIONS, size=_LARGE).data
    found, at = {}, 0
    while True:
        following, *version = struct.unpack_from("=4I", data, at)
        found[_text(data[at + 16:])] = tuple(version)
        if not following:
            return found
        at += following


class Mapping:
    """A mapped device with a name of its own, removed at the latest when its
    test point ends. A table is a list of (start, length, target, params), in
    sectors."""

    def __init__(self, table=None):
        self.name = f"ca-{os.getpid()}-{next(_numbers)}"
        self.dev = _ioctl(_CREATE, self.name).dev
        self.number = os.minor(self.dev)
        self.path = f"/dev/dm-{self.number}"
        self.devno = f"{os.major(self.dev)}:{self.number}"
        scratch.register(self)
        if table is not None:
            try:
                self.load(table)
                self.resume()
            except BaseException:
                self.remove()
                raise

    @classmethod
    def single(cls, length, target, params):
        """A device of one target from sector 0."""
        return cls([(0, length, target, params)])

    def load(self, table):
        """Load a table into the inactive slot."""
        _ioctl(_LOAD, self.name, payload=_pack_table(table), count=len(table))

    def clear(self):
        """Drop the inactive table."""
        _ioctl(_CLEAR, self.name)

    def resume(self):
        """Make the inactive table, if any, the active one and resume."""
        _ioctl(_SUSPEND, self.name)

    def suspend(self, *, noflush=False, lockfs=True):
        """Suspend: by default after what is in flight, and a frozen fs."""
        _ioctl(_SUSPEND, self.name, flags=_SUSPEND_FLAG
               | (_NOFLUSH_FLAG if noflush else 0)
               | (0 if lockfs else _SKIP_LOCKFS_FLAG))

    def reload(self, table, **how):
        """Load a table and switch to it."""
        self.load(table)
        self.suspend(**how)
        self.resume()

    def switch(self, table):
        """Load a table, unless one is there already (None), and make it the
        active one, in one go: much cheaper than another device."""
        if table is not None:
            self.load(table)
        _ioctl(_SUSPEND, self.name, flags=_SKIP_LOCKFS_FLAG)

    def remove(self, patience=10):
        """Remove the device, waiting for udev to let go of it."""
        end = time.monotonic() + patience
        while True:
            try:
                _ioctl(_REMOVE, self.name)
                break
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.05)
        scratch.forget(self)

    def close(self):
        """For cleaning up: remove it in whatever state it is."""
        with contextlib.suppress(OSError):
            if self.flags()[2]:
                self.resume()
        self.remove()

    def _status(self, flags, inactive):
        flags |= _QUERY_INACTIVE_FLAG if inactive else 0
        return list(_unpack_table(_ioctl(_TABLE_STATUS, self.name,
                                         flags=flags, size=_LARGE)))

    def table(self, inactive=False):
        """The table, as `dmsetup table --showkeys` prints it."""
        return self._status(_STATUS_TABLE_FLAG, inactive)

    def params(self, inactive=False):
        """The arguments of the only target of the table."""
        (_, _, _, text), = self.table(inactive)
        return text

    def info(self):
        """The status of the only target, as `dmsetup status` prints it."""
        (_, _, _, text), = self._status(_NOFLUSH_FLAG, False)
        return text

    def ima(self):
        """What the only target tells to be measured."""
        (_, _, _, text), = self._status(_IMA_FLAG, False)
        return text

    def message(self, text, sector=0):
        """Send a message to the target at a sector; its answer."""
        payload = struct.pack("=Q", sector) + text.encode() + b"\0"
        return _text(_ioctl(_MESSAGE, self.name, payload=payload,
                            size=_LARGE).data)

    def deps(self):
        """The devices below, as a list of "major:minor"."""
        data = _ioctl(_DEPS, self.name, size=_LARGE).data
        count, = struct.unpack_from("=I", data)
        return [f"{os.major(dev)}:{os.minor(dev)}"
                for dev in struct.unpack_from(f"={count}Q", data, 8)]

    def open_count(self):
        """How often the device is open."""
        return _ioctl(_STATUS, self.name).open_count

    def flags(self):
        """(active table present, inactive table present, suspended)."""
        flags = _ioctl(_STATUS, self.name).flags
        return tuple(bool(flags & bit) for bit in
                     (_ACTIVE_FLAG, _INACTIVE_FLAG, _SUSPEND_FLAG))

    def queue(self, attribute):
        """An attribute of the device's queue in sysfs."""
        with open(f"/sys/block/dm-{self.number}/queue/{attribute}",
                  encoding="ascii") as file:
            return file.read().strip()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if scratch.registered(self):
            self.close()
