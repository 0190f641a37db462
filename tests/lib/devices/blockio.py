# SPDX-License-Identifier: GPL-2.0-only
"""Block device I/O with O_DIRECT, from buffers whose alignment is known."""

import fcntl
import mmap
import os
import struct

import scratch
from calls import IO, IOR

_BLKFLSBUF = IO | 0x1261
_BLKSSZGET = IO | 0x1268
_BLKGETSIZE64 = IOR | struct.calcsize("N") << 16 | 0x1272
_BLKDISCARD = IO | 0x1277
_BLKSECDISCARD = IO | 0x127D
_BLKZEROOUT = IO | 0x127F


class Disk:
    """An open block device. Sizes and positions are in bytes."""

    def __init__(self, path, *, direct=True, sync=False, write=True):
        flags = os.O_RDWR if write else os.O_RDONLY
        flags |= os.O_DIRECT if direct else 0
        flags |= os.O_DSYNC if sync else 0
        self.fd = os.open(path, flags | os.O_CLOEXEC)
        self._buffer = mmap.mmap(-1, 1 << 20)
        scratch.register(self)

    def _room(self, length):
        if len(self._buffer) < length:
            self._buffer = mmap.mmap(-1, length)
        return memoryview(self._buffer)[:length]

    def read(self, at, length):
        """Read, up to the end of the device."""
        view = self._room(length)
        return bytes(view[:os.preadv(self.fd, [view], at)])

    def write(self, at, data):
        """Write all of data, or raise; a short write is an error here."""
        written = self.write_some(at, data)
        if written != len(data):
            raise EOFError(f"wrote {written} of {len(data)} bytes at {at}")

    def write_some(self, at, data):
        """Write with one call. Returns how much was written."""
        view = self._room(len(data))
        view[:] = data
        return os.pwritev(self.fd, [view], at)

    def readv(self, at, views):
        """Read into the caller's buffers, with one call."""
        return os.preadv(self.fd, views, at)

    def writev(self, at, views):
        """Write the caller's buffers, with one call."""
        return os.pwritev(self.fd, views, at)

    def flush(self):
        """Write back what is cached, and flush the device."""
        os.fsync(self.fd)

    def drop(self):
        """Forget what the page cache has of this device."""
        fcntl.ioctl(self.fd, _BLKFLSBUF, 0)

    def discard(self, at, length):
        """Tell that a range is not needed."""
        fcntl.ioctl(self.fd, _BLKDISCARD, struct.pack("=QQ", at, length))

    def secure_discard(self, at, length):
        """Ask to erase a range."""
        fcntl.ioctl(self.fd, _BLKSECDISCARD, struct.pack("=QQ", at, length))

    def zero(self, at, length):
        """Make a range read as zeros."""
        fcntl.ioctl(self.fd, _BLKZEROOUT, struct.pack("=QQ", at, length))

    def size(self):
        """The size of the device."""
        return struct.unpack("=Q", fcntl.ioctl(self.fd, _BLKGETSIZE64,
                                               bytes(8)))[0]

    def logical_block(self):
        """The size of its logical blocks."""
        return struct.unpack("=i", fcntl.ioctl(self.fd, _BLKSSZGET,
                                               bytes(4)))[0]

    def close(self):
        """Close it; twice does no harm."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
        scratch.forget(self)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
