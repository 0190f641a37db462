# SPDX-License-Identifier: GPL-2.0-only
"""A mapped device as it is found: its table, status and messages, and how one
table takes another one's place while it is used."""

import contextlib
import errno
import os
import re
import signal
import time

from . import ioctl, names
from .common import (BUSY, CRYPT_ASYNC, DM_CRYPT, MODULE, Problem, is_loaded,
                     parameter)
from .temporary import is_temporary

# What 0.1.0 calls its counters.
OLD_NAMES = {"waited": "mem_waits", "refused": "crypto_errors",
             "forged": "auth_errors", "overdue": "driver_timeouts",
             "in_flight_most": "in_flight_max"}

# How UUIDs of LVM and multipath begin.
OTHERS = re.compile(r"LVM-|(part\d+-)?mpath-")


class Line:
    """A line of a table, with the words of the targets of interest here."""

    def __init__(self, start, length, target, params):
        self.start, self.length, self.target = start, length, target
        self.words = params.split()
        # Is it encrypted, and this module's? One that is shown as crypt may
        # be, which its status tells: Mapping.table().
        self.is_ours = target == CRYPT_ASYNC

    @property
    def is_crypt(self):
        """Is it encrypted, on whichever module?"""
        return self.target in (CRYPT_ASYNC, DM_CRYPT)

    @property
    def home(self):
        """Where it is: CRYPT_ASYNC, DM_CRYPT, or another target."""
        return CRYPT_ASYNC if self.is_ours else self.target

    @property
    def key(self):
        """The key argument of an encrypted line."""
        return self.words[1]

    @property
    def keyring(self):
        """(bytes, type, description), None if the key is in digits."""
        match = re.fullmatch(r":(\d+):(\w+):(.*)", self.key)
        return match and (int(match[1]), match[2], match[3])

    @property
    def device(self):
        """The lower device of an encrypted line, "major:minor"."""
        return self.words[3]

    @property
    def options(self):
        """The options of an encrypted line."""
        return self.words[6:]

    def moved(self, target, key=None):
        """The same line on another target, if it is an encrypted line."""
        if not self.is_crypt:
            return self.packed()
        words = list(self.words)
        if key:
            words[1] = key
        return (self.start, self.length, target, " ".join(words))

    def without_target(self):
        """What two lines for the same data have in common; keys may be shown
        in one of them only."""
        words = [word for at, word in enumerate(self.words)
                 if at != 1 or not self.is_crypt]
        return (self.start, self.length, self.is_crypt or self.target, words)

    def packed(self):
        """As it is shown."""
        return (self.start, self.length, self.target, " ".join(self.words))

    def again(self):
        """As it is, for an ioctl that has it stay where it is."""
        if self.is_ours and not stands_in():
            return self.moved(CRYPT_ASYNC)
        return self.packed()


class KeyMissing(OSError):
    """A table refers to a key that is in no keyring."""


class Kernel:
    """The kernel's log, from now on: it says why a table is refused."""

    def __init__(self):
        self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK
                             | os.O_CLOEXEC)
        os.lseek(self._file, 0, os.SEEK_END)

    def said(self):
        """What the device mapper logged, in one line."""
        lines = []
        while True:
            try:
                record = os.read(self._file, 8192).decode(errors="replace")
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EPIPE:
                    break
                continue
            line = record.partition(";")[2].split("\n", 1)[0]
            if line.startswith("device-mapper"):
                lines.append(re.sub(r"^device-mapper: (table: )?", "", line))
        return "; ".join(lines) or "no reason in its log"

    def __del__(self):
        os.close(self._file)


def stands_in():
    """Is the target crypt this module's?"""
    return parameter("replace_dm_crypt") in ("Y", "only")


def own_target():
    """The name by which a new table is on this module."""
    return DM_CRYPT if parameter("replace_dm_crypt") == "only" else CRYPT_ASYNC


def looks_like_crypt():
    """Are all tables on this module shown as those of the target crypt?"""
    return parameter("replace_dm_crypt") in ("shown", "only")


def _status(**which):
    try:
        return ioctl.call(ioctl.STATUS, **which)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _find(word):
    """The kernel's answer about a mapping."""
    path = word if "/" in word else None
    number = names.device(path) if path else None
    if number is not None:
        found = _status(dev=number)
        if not found:
            raise Problem(f"{path} is not a mapping")
        return found
    if path:
        # Without udev there may be no node.
        word = path.removeprefix(names.MAPPER)
    for name in dict.fromkeys((names.mangle(word), word)):
        if name and "/" not in name:
            found = _status(name=name)
            if found:
                return found
    raise Problem(f"{path or word}: there is no such mapping")


class Mapping:
    """A mapped device, by its name as the user has it or as the kernel does,
    or by the path of its node. `name` is the kernel's."""

    def __init__(self, word):
        answer = _find(word)
        self.name, self.uuid, self.dev = answer.name, answer.uuid, answer.dev

    @property
    def shown(self):
        """Its name, for the user."""
        return names.shown(self.name)

    @classmethod
    def listed(cls, name, dev, uuid):
        """One whose device number and UUID are known."""
        found = cls.__new__(cls)
        found.name, found.dev, found.uuid = name, dev, uuid
        return found

    @property
    def is_suspended(self):
        """Is it suspended?"""
        return bool(ioctl.call(ioctl.STATUS, self.name).flags
                    & ioctl.SUSPEND_FLAG)

    @property
    def has_loaded(self):
        """Is there a table beside the one in use?"""
        return bool(ioctl.call(ioctl.STATUS, self.name).flags
                    & ioctl.INACTIVE_FLAG)

    @property
    def is_readonly(self):
        """Can it only be read?"""
        return bool(ioctl.call(ioctl.STATUS, self.name).flags
                    & ioctl.READONLY_FLAG)

    def _lines(self, flags):
        return [Line(*line) for line in ioctl.unpack_table(ioctl.call(
            ioctl.TABLE_STATUS, self.name,
            flags=flags | ioctl.SECURE_DATA_FLAG))]

    def _table(self, which=0):
        lines = self._lines(ioctl.STATUS_TABLE_FLAG | which)
        if is_loaded(MODULE) and any(line.target == DM_CRYPT
                                     for line in lines):
            states = self._lines(ioctl.NOFLUSH_FLAG | which)
            for line, state in zip(lines, states):
                line.is_ours = _is_ours(state)
        return lines

    def table(self):
        """Its lines, with keys as far as the target shows them."""
        return self._table()

    def status(self):
        """Of each line on this module, its status: {key: number or text}."""
        return [statistics(line.words)
                for line in self._lines(ioctl.NOFLUSH_FLAG)
                if _is_ours(line)]

    def message(self, words, sector=0, flags=0):
        """Send a message; the answer."""
        return ioctl.text(ioctl.call(
            ioctl.MESSAGE, self.name, size=ioctl.LARGE, flags=flags,
            payload=ioctl.pack_message(words, sector)).data)

    def key_at(self, sector):
        """The key argument of the crypt-async line at a sector. Raises
        OSError as the kernel says: EINVAL from a module that does not know
        the message, ENOKEY if there is none."""
        return self.message("key get", sector, ioctl.SECURE_DATA_FLAG)

    def _load(self, table):
        readonly = ioctl.READONLY_FLAG if self.is_readonly else 0
        ioctl.call(ioctl.LOAD, self.name, payload=ioctl.pack_table(table),
                   count=len(table), flags=readonly | ioctl.SECURE_DATA_FLAG)

    def _resume(self):
        # With a table loaded: suspends, swaps and resumes, all in one call.
        # A file system on it is not frozen: that would write all that is
        # dirty while I/O stands still, and the data is the same afterwards.
        ioctl.call(ioctl.SUSPEND, self.name, flags=ioctl.SKIP_LOCKFS_FLAG)

    @contextlib.contextmanager
    def explained(self):
        """A table of its that is loaded meanwhile may be refused: a
        KeyMissing, or a Problem with the kernel's reason."""
        kernel = Kernel()
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOKEY, errno.EKEYREVOKED,
                               errno.EKEYEXPIRED):
                raise KeyMissing(error.errno, error.strerror) from None
            raise Problem(f"{self.shown}: the kernel refuses the table: "
                          f"{kernel.said()} ({error.strerror})") from None

    @contextlib.contextmanager
    def opened(self):
        """Nobody can remove it meanwhile. A program that tries to, by
        libdevmapper, tries again for some seconds."""
        try:
            file = os.open(f"/dev/dm-{os.minor(self.dev)}",
                           os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise OSError(errno.ENXIO, error.strerror) from None
        try:
            if not self.is_there():
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
            yield
        finally:
            os.close(file)

    def is_there(self):
        """Is it still there? Somebody may have removed it, or have made
        another one that has its number."""
        found = _status(dev=self.dev)
        return bool(found) and (found.name, found.uuid) == \
            (self.name, self.uuid)

    def load(self, table):
        """Load a table beside the one in use."""
        with self.explained():
            self._load(table)

    def left_table(self):
        """Has it a table beside the one in use, which differs from that in
        nothing but the target (and, as they are shown, in keys)? A run of
        this command that was killed left it, where no run is at work."""
        found = _status(name=self.name)
        if not found or not found.flags & ioctl.INACTIVE_FLAG:
            return False
        try:
            loaded = self._table(ioctl.QUERY_INACTIVE_FLAG)
            return [line.without_target() for line in loaded] == \
                [line.without_target() for line in self.table()]
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False        # it went away

    @contextlib.contextmanager
    def alone(self):
        """No other run of this command moves it meanwhile."""
        try:
            ioctl.lock(os.minor(self.dev))
        except BlockingIOError:
            raise Problem(f"{self.shown} is being moved by another "
                          "crypt-async: wait until that is over",
                          BUSY) from None
        try:
            yield
        finally:
            ioctl.unlock(os.minor(self.dev))

    def clear(self):
        """Drop a table that was loaded, if there is one."""
        with contextlib.suppress(OSError):
            ioctl.call(ioctl.CLEAR, self.name)

    def _go_back(self, lines, old):
        """Whatever went wrong, the old table, in use; nothing in between may
        need the device."""
        self.clear()
        try:
            if [line.home for line in self.table()] != \
                    [line.home for line in lines]:
                self._load(old)
        finally:
            self._resume()

    def switch(self, lines):
        """Use the table that was loaded: the seconds for which I/O may have
        stood still. Go back to the old one, as its lines are, if that
        fails."""
        kernel = Kernel()
        old = [line.again() for line in lines]
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK,
                                         signal.valid_signals())
        try:
            try:
                began = time.monotonic()
                self._resume()
                return time.monotonic() - began
            except OSError as error:
                self._go_back(lines, old)
                raise Problem(f"{self.shown}: it stays as it was, since the "
                              f"switch failed: {kernel.said()} "
                              f"({error.strerror})", BUSY) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _is_ours(state):
    """Is a status line of this module? dm-crypt's has no words."""
    return state.is_crypt and any(word.startswith("driver=")
                                  for word in state.words)


def statistics(words):
    """The words of a status line as {key: number or text}, by the names of
    0.2.0: a module that was loaded before an upgrade has those of 0.1.0."""
    return {"broken": 0, "state_errors": 0, **dict(_pairs(words))}


def _pairs(words):
    for word in words:
        key, _, value = word.partition("=")
        yield OLD_NAMES.get(key, key), int(value) if value.isdigit() else value


def all_mappings():
    """All of them, by name."""
    try:
        return [Mapping.listed(*device) for device in sorted(ioctl.devices())]
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
        return []       # no device mapper


def encrypted():
    """(mapping, lines) of each that is encrypted, on whichever module. A
    mapping of a subsystem that makes others is not asked for its table; one
    that went away meanwhile, or is of another run of this command, is left
    out."""
    for mapping in all_mappings():
        if OTHERS.match(mapping.uuid) or is_temporary(mapping):
            continue
        try:
            lines = mapping.table()
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            continue
        if any(line.is_crypt for line in lines):
            yield mapping, lines
