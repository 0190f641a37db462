# SPDX-License-Identifier: GPL-2.0-only
"""A device mapper that is made up: it answers the command's ioctls as the
kernel would, byte by byte, for mappings that are in a dictionary."""

import collections
import contextlib
import dataclasses
import errno
import os
import struct
import types

from crypt_async import ioctl, mapping, metrics, report, temporary

_DATA = 312             # where the data begins in a real ioctl
_HEADER = struct.Struct("=3I2II i 3I Q 128s 129s 7x")
_MAJOR = 253


def _hidden(params):
    words = params.split(" ")
    if words[1] != "-" and not words[1].startswith(":"):
        words[1] = "0" * len(words[1])
    return " ".join(words)


class Shown(str):
    """The target of a line that is this module's and is shown as crypt."""


SHOWN = Shown("crypt")


@dataclasses.dataclass
class Made:
    """A mapping: lines are (start, length, target, params). The status is that
    of each encrypted line, or a list has one for each line."""
    name: bytes
    minor: int
    uuid: bytes = b""
    table: list = dataclasses.field(default_factory=list)
    loaded: list | None = None
    status: str | list = "a=1"
    flags: int = 0
    is_wiped: bool = False
    lower: tuple = ()
    opened: int = 0
    is_going: bool = False


class DeviceMapper:
    """All of them, and how often each command was called."""

    def __init__(self):
        self.made, self.calls, self._minor = {}, collections.Counter(), 0
        self.sent, self.seen, self.answers = [], [], {}
        self.locked = set()
        self.targets = ["crypt", "crypt-async", "linear"]
        # What a line is on, by the name that a table has; None is refused.
        self.home = {}.get
        self.changing = lambda command: None
        self.tells_keys = True

    def make(self, name, table=(), uuid="", **how):
        """One more mapping."""
        name = name if isinstance(name, bytes) else name.encode()
        self.made[name] = Made(name, self._minor, uuid.encode(), list(table),
                               **how)
        self._minor += 1
        return self.made[name]

    def install(self):
        """Have the command talk to this one from now on."""
        ioctl.fcntl = types.SimpleNamespace(
            ioctl=self.ioctl, lockf=self._lockf, LOCK_EX=2, LOCK_NB=4,
            LOCK_UN=8)
        temporary._open = self._open
        self.locked.clear()
        ioctl._control = -1

    def _lockf(self, _fd, how, _length, start):
        if how & 8:
            self.locked.discard(start)
        elif start in self.locked:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        else:
            self.locked.add(start)

    @contextlib.contextmanager
    def _open(self, dev):
        made = self._find(b"", dev)
        made.opened += 1
        try:
            yield
        finally:
            made.opened -= 1
            if made.is_going and not made.opened:
                del self.made[made.name]

    def _find(self, name, dev):
        for each in self.made.values():
            if each.name == name if name else \
                    os.makedev(_MAJOR, each.minor) == dev:
                return each
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))

    def ioctl(self, _fd, request, buffer, _mutate):
        """What fcntl.ioctl would be."""
        fields = list(_HEADER.unpack_from(buffer))
        size, start, count, flags = fields[3], fields[4], *fields[5:8:2]
        command = request & 0xFF
        self.calls[command] += 1
        if command in (ioctl.CREATE, ioctl.REMOVE, ioctl.SUSPEND, ioctl.LOAD,
                       ioctl.CLEAR):
            self.changing(command)
        name = fields[11].split(b"\0", 1)[0]
        made = None
        if command not in (ioctl.LIST_DEVICES, ioctl.VERSIONS, ioctl.CREATE):
            made = self._find(name, fields[10])
        data, count, more = self._do(command, name, made, flags, count,
                                     bytes(buffer[start:]))
        used = _DATA
        if data is not None:
            if len(data) > size - start:
                more |= ioctl.BUFFER_FULL_FLAG
            else:
                buffer[start:start + len(data)] = data
                used = start + len(data)
        fields[3], fields[5], fields[7] = used, count, flags | more
        if command == ioctl.CREATE:
            made = self.made[name]
            made.uuid = fields[12].split(b"\0", 1)[0]
        if made:
            fields[10] = os.makedev(_MAJOR, made.minor)
            fields[11], fields[12] = made.name, made.uuid
            fields[7] |= made.flags | (ioctl.INACTIVE_FLAG if made.loaded
                                       else 0)
        _HEADER.pack_into(buffer, 0, *fields)
        return 0

    def _do(self, command, name, made, flags, count, data):
        if command == ioctl.LIST_DEVICES:
            return self._list(flags & ioctl.UUID_FLAG), 0, 0
        if command == ioctl.VERSIONS:
            return self._versions(), 0, 0
        if command == ioctl.TABLE_STATUS:
            lines = made.table
            if flags & ioctl.QUERY_INACTIVE_FLAG:
                lines = made.loaded or []
            return self._lines(made, lines, flags), len(lines), 0
        if command == ioctl.DEPS:
            lower = made.lower
            if not (made.loaded if flags & ioctl.QUERY_INACTIVE_FLAG
                    else made.table):
                return None, 0, 0
            return struct.pack(f"=2I{len(lower)}Q", len(lower), 0,
                               *lower), 0, 0
        if command == ioctl.MESSAGE:
            words = data[8:].split(b"\0", 1)[0].decode()
            self.sent.append(words)
            answer = self.answers.get(words)
            if words == "key get":
                assert flags & ioctl.SECURE_DATA_FLAG, "the kernel keeps it"
                answer = self._key(made, *struct.unpack_from("=Q", data))
            return answer and answer.encode() + b"\0", 0, 0
        if command == ioctl.CREATE:
            if name in self.made:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            self.make(name)
        elif command == ioctl.REMOVE:
            if not made.opened:
                del self.made[name]
            elif not flags & ioctl.DEFERRED_REMOVE_FLAG:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            else:
                made.is_going = True
        elif command == ioctl.LOAD:
            answer = types.SimpleNamespace(targets=count, data=data)
            made.loaded = [(*line[:2], self._home(line[2]), line[3])
                           for line in self._loaded(answer)]
        elif command == ioctl.CLEAR:
            made.loaded = None
        elif command == ioctl.SUSPEND and made.loaded is not None:
            made.table, made.loaded = made.loaded, None
            self.seen.append((made.name, made.table))
        return None, 0, 0

    def _key(self, made, sector):
        for start, length, target, params in made.table:
            if start <= sector < start + length and self.tells_keys and \
                    target == "crypt-async":
                if not made.is_wiped:
                    return params.split()[1]
                raise OSError(errno.ENOKEY, os.strerror(errno.ENOKEY))
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def _home(self, target):
        home = self.home(target, target)
        if home is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return home

    @staticmethod
    def _loaded(answer):
        # Here offsets count from each line, not from the first.
        lines, at = [], 0
        for _ in range(answer.targets):
            start, length, _, following = struct.unpack_from(
                "=QQiI", answer.data, at)
            target, params = (
                answer.data[at + begin:].split(b"\0", 1)[0].decode()
                for begin in (24, 40))
            lines.append((start, length, target, params))
            at += following
        return lines

    def _list(self, has_uuids):
        out, made = b"", list(self.made.values())
        for each in made:
            entry = struct.pack("=QI", os.makedev(_MAJOR, each.minor), 0) \
                + each.name + b"\0"
            entry += bytes(-len(entry) % 8) + struct.pack(
                "=2I", 0, has_uuids and (1 if each.uuid else 2))
            if has_uuids and each.uuid:
                entry += each.uuid + b"\0"
            entry += bytes(-len(entry) % 8)
            if each is not made[-1]:
                entry = entry[:8] + struct.pack("=I", len(entry)) + entry[12:]
            out += entry
        return out

    def _versions(self):
        out = b""
        for name in self.targets:
            entry = name.encode() + b"\0"
            entry += bytes(-len(entry) % 4)
            following = 0 if name == self.targets[-1] else 16 + len(entry)
            out += struct.pack("=4I", following, 1, 0, 0) + entry
        return out

    @staticmethod
    def _lines(made, lines, flags):
        out = b""
        for at, (start, length, target, params) in enumerate(lines):
            if not flags & ioctl.STATUS_TABLE_FLAG:
                params = made.status[at] if isinstance(made.status, list) \
                    else STATUS if isinstance(target, Shown) \
                    else made.status if "crypt" in target else ""
            elif target == "crypt-async" or made.is_wiped:
                params = _hidden(params)
            entry = params.encode(errors="surrogateescape") + b"\0"
            entry += bytes(-(len(entry) + 40) % 8)
            out += struct.pack("=QQiI16s", start, length, 0,
                               len(out) + 40 + len(entry),
                               target.encode()) + entry
        return out


KEY = "0123456789abcdef" * 8
PARAMS = f"aes-xts-plain64 {KEY} 0 254:0 0 1 allow_discards"
STATUS = ("driver=xts-aes-aesni fragments=8 reads=1 writes=2 read_bytes=3 "
          "written_bytes=4 inline=5 queued=3 deferred=0 parked=0 resumed=0 "
          "trimmed=0 mem_waits=11 crypto_errors=12 auth_errors=13 "
          "driver_timeouts=14 state_errors=0 errors=25 broken=0 in_flight=2 "
          "in_flight_max=15 pages=7 cached=3 fragment_kib=128 inline_kib=0 "
          "page_limit=0 cpus=any")
LATENCY = "\n".join(f"{direction} {phase} " + " ".join(
    str(at * (direction == "read")) for at in range(24))
    for direction in ("read", "write") for phase in report.PHASES)


def with_mappings():
    """A device mapper with some mappings, which the command talks to."""
    made = DeviceMapper()
    made.install()
    made.make("home", [(0, 8, "crypt-async", PARAMS)], status=STATUS,
              uuid="CRYPT-LUKS2-0-home")
    made.make(r"my\x20disk", [(0, 8, "linear", "254:0 0"),
                              (8, 8, "crypt-async", PARAMS)], status=STATUS)
    made.make("bare", [(0, 8, "crypt", PARAMS)])
    made.answers["latency"] = LATENCY
    for module in (report, mapping, metrics):
        module.is_loaded = lambda name: True
    mapping.parameter = lambda name: "N"
    return made
