# SPDX-License-Identifier: GPL-2.0-only
"""A disk that writes down what it does, in the order in which it does it.

It is a network block device with a volatile cache, served by this process: by
one thread, which does one request after the other, and has it in the log
before it answers. So if the answer to one request had come before another was
made, the log has them in this order. (The kernel's dm-log-writes does not keep
to that: of two flushes at once, one logs the writes that both have to cover,
perhaps after the other.)

The log is a file or a device. An entry is a header, and the data of a write or
the text of a mark; the last entry says that the log is complete."""

import fcntl
import glob
import os
import socket
import struct
import threading

import ca
import scratch
from calls import IO

WRITE, FUA, FLUSH, MARK, END = range(5)     # FUA: a write, durable at once
_MAGIC = 0x77726f74
_ENTRY = struct.Struct("<IIQQ")             # magic, kind, position, bytes

# include/uapi/linux/nbd.h
_SET_SOCK, _SET_BLKSIZE, _DO_IT, _CLEAR_SOCK = 0xab00, 0xab01, 0xab03, 0xab04
_SET_SIZE_BLOCKS, _DISCONNECT, _SET_FLAGS = 0xab07, 0xab08, 0xab0a
_HAS_FLAGS, _SEND_FLUSH, _SEND_FUA = 1, 4, 8
_REQUEST, _REQUEST_MAGIC = struct.Struct(">IHH8sQI"), 0x25609513
_REPLY, _REPLY_MAGIC = struct.Struct(">II8s"), 0x67446698
_CMD_READ, _CMD_WRITE, _CMD_DISC, _CMD_FLUSH = range(4)
_CMD_FLAG_FUA = 1


def entries(log):
    """What was logged: (kind, position, data), of a mark its text."""
    with open(log, "rb") as file:
        while True:
            head = file.read(_ENTRY.size)
            if len(head) != _ENTRY.size:
                raise EOFError(f"{log} ends before its last entry")
            magic, kind, at, length = _ENTRY.unpack(head)
            if magic != _MAGIC:
                raise ValueError(f"{log} has {head!r} for an entry")
            if kind == END:
                return
            data = file.read(length)
            if len(data) != length:
                raise EOFError(f"{log} ends within an entry")
            yield kind, at, data


class Recorder(scratch.Device):
    """The disk, all zeros. It is complete, and so is its log, when close() has
    returned."""

    def __init__(self, size, log, block=512):
        ca.modprobe("nbd")
        self._image = bytearray(size)
        self._log = open(log, "wb")  # noqa: SIM115
        self._writing = threading.Lock()
        self._is_complete = False
        self.path = self._find()
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self._server, client = socket.socketpair()
        for request, argument in (
                (_SET_BLKSIZE, block), (_SET_SIZE_BLOCKS, size // block),
                (_SET_FLAGS, _HAS_FLAGS | _SEND_FLUSH | _SEND_FUA),
                (_SET_SOCK, client.fileno())):
            fcntl.ioctl(self._fd, IO | request, argument)
        self._threads = [threading.Thread(target=function, args=arguments)
                         for function, *arguments in (
                             (self._serve,), (self._connect, client))]
        scratch.register(self)
        for thread in self._threads:
            thread.start()
        self._identify()
        ca.wait_until(lambda: self._is_ready(size),
                      f"{self.path} is connected, and has a cache")

    @staticmethod
    def _find():
        """One that nobody uses."""
        for path in sorted(glob.glob("/sys/block/nbd*")):
            if not os.path.exists(f"{path}/pid"):
                return f"/dev/{os.path.basename(path)}"
        raise FileNotFoundError("an unused network block device")

    def _is_ready(self, size):
        """Is it connected, and known to have a cache? The kernel says the
        latter a little later, and who looks before sends it no flushes."""
        def has(name, value):
            with open(f"/sys/block/{self.block}/{name}",
                      encoding="ascii") as file:
                return file.read().strip() == value
        return os.path.exists(f"/sys/block/{self.block}/pid") and \
            has("size", str(size // ca.SECTOR)) and \
            has("queue/write_cache", "write back") and has("queue/fua", "1")

    def _connect(self, client):
        """The kernel is at work until it is told to disconnect."""
        with client:
            fcntl.ioctl(self._fd, IO | _DO_IT)

    def _append(self, kind, at, data):
        with self._writing:
            self._log.write(_ENTRY.pack(_MAGIC, kind, at, len(data)))
            self._log.write(data)

    def _receive(self, length):
        data = bytearray(length)
        view = memoryview(data)
        while view:
            received = self._server.recv_into(view)
            if not received:
                raise EOFError("the kernel has gone")
            view = view[received:]
        return data

    def _serve(self):
        """Until the end. Whatever goes wrong ends the connection, and so is an
        error for whoever uses the disk."""
        with self._server:
            while self._do_one():
                pass
        self._is_complete = True

    def _do_one(self):
        """Do what the next request says, and tell whether more will come."""
        magic, flags, command, handle, at, length = _REQUEST.unpack(
            self._receive(_REQUEST.size))
        if magic != _REQUEST_MAGIC:
            raise ValueError(f"a request begins with {magic:#x}")
        data = b""
        if command == _CMD_READ:
            data = self._image[at:at + length]
        elif command == _CMD_WRITE:
            text = self._receive(length)
            self._image[at:at + length] = text
            self._append(FUA if flags & _CMD_FLAG_FUA else WRITE, at, text)
        elif command == _CMD_FLUSH:
            self._append(FLUSH, 0, b"")
        elif command == _CMD_DISC:
            return False
        else:
            raise ValueError(f"a request for {command}")
        self._server.sendall(_REPLY.pack(_REPLY_MAGIC, 0, handle) + data)
        return True

    def mark(self, text):
        """Have a text in the log, behind all that was done so far."""
        self._append(MARK, 0, text.encode())

    def close(self):
        """Disconnect, and say in the log that it is complete, if it is."""
        if self._fd < 0:
            return
        fcntl.ioctl(self._fd, IO | _DISCONNECT)
        for thread in self._threads:
            thread.join()
        fcntl.ioctl(self._fd, IO | _CLEAR_SOCK)
        os.close(self._fd)
        self._fd = -1
        if self._is_complete:
            self._append(END, 0, b"")
        self._log.close()
        scratch.forget(self)
