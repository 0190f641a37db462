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

# What 0.1.0 calls its counters.
OLD_NAMES = {"waited": "mem_waits", "refused": "crypto_errors",
             "forged": "auth_errors", "overdue": "driver_timeouts",
             "in_flight_most": "in_flight_max"}

# How UUIDs of LVM and multipath begin.
OTHERS = re.compile(r"LVM-|(part\d+-)?mpath-")
# How names begin of what this command makes for a moment.
CHECK, KEY = "crypt-async-check-", "crypt-async-key-"


class Line:
    """A line of a table, with the words of the targets of interest here."""

    def __init__(self, start, length, target, params):
        self.start, self.length, self.target = start, length, target
        self.words = params.split()

    @property
    def is_crypt(self):
        """Is it encrypted, on whichever module?"""
        return self.target in (CRYPT_ASYNC, DM_CRYPT)

    @property
    def key(self):
        """The key argument of an encrypted one."""
        return self.words[1]

    @property
    def keyring(self):
        """(bytes, type, description), None if the key is in digits."""
        match = re.fullmatch(r":(\d+):(\w+):(.*)", self.key)
        return match and (int(match[1]), match[2], match[3])

    @property
    def device(self):
        """The lower device of an encrypted one, "major:minor"."""
        return self.words[3]

    @property
    def options(self):
        """The options of an encrypted one."""
        return self.words[6:]

    def moved(self, target, key=None):
        """The same on another target, if it is an encrypted one."""
        if not self.is_crypt:
            return self.packed()
        words = list(self.words)
        if key:
            words[1] = key
        return (self.start, self.length, target, " ".join(words))

    def packed(self):
        """As it is, for an ioctl."""
        return (self.start, self.length, self.target, " ".join(self.words))


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
    return is_loaded(MODULE) and parameter("replace_dm_crypt") == "Y"


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
    def is_readonly(self):
        """Can it only be read?"""
        return bool(ioctl.call(ioctl.STATUS, self.name).flags
                    & ioctl.READONLY_FLAG)

    def _lines(self, flags):
        return [Line(*line) for line in ioctl.unpack_table(ioctl.call(
            ioctl.TABLE_STATUS, self.name,
            flags=flags | ioctl.SECURE_DATA_FLAG))]

    def table(self):
        """Its lines, with keys as far as the target shows them."""
        return self._lines(ioctl.STATUS_TABLE_FLAG)

    def status(self):
        """Of each crypt-async line, its status: {key: number or text}."""
        return [statistics(line.words)
                for line in self._lines(ioctl.NOFLUSH_FLAG)
                if "=" in "".join(line.words[:1])]

    def message(self, words, sector=0):
        """Send a message; the answer."""
        return ioctl.text(ioctl.call(
            ioctl.MESSAGE, self.name, size=ioctl.LARGE,
            payload=ioctl.pack_message(words, sector)).data)

    def _load(self, table):
        readonly = ioctl.READONLY_FLAG if self.is_readonly else 0
        ioctl.call(ioctl.LOAD, self.name, payload=ioctl.pack_table(table),
                   count=len(table), flags=readonly | ioctl.SECURE_DATA_FLAG)

    def _resume(self):
        # With a table loaded: suspends, swaps and resumes, all in one call.
        ioctl.call(ioctl.SUSPEND, self.name)

    def load(self, table):
        """Load a table beside the one in use. Raises OSError as is if a key
        is missing, else a Problem with the kernel's reason."""
        kernel = Kernel()
        try:
            self._load(table)
        except OSError as error:
            if error.errno in (errno.ENOKEY, errno.EKEYREVOKED,
                               errno.EKEYEXPIRED):
                raise
            raise Problem(f"{self.shown}: the kernel refuses the table: "
                          f"{kernel.said()} ({error.strerror})") from None

    def clear(self):
        """Drop a table that was loaded, if there is one."""
        with contextlib.suppress(OSError):
            ioctl.call(ioctl.CLEAR, self.name)

    def _go_back(self, targets, old):
        """Whatever went wrong, the old table, in use; nothing in between may
        need the device."""
        self.clear()
        try:
            if [line.target for line in self.table()] != targets:
                self._load(old)
        finally:
            self._resume()

    def switch(self, old):
        """Use the table that was loaded; go back to the old one (packed) if
        that fails."""
        kernel = Kernel()
        targets = [line[2] for line in old]
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            try:
                self._resume()
            except OSError as error:
                self._go_back(targets, old)
                raise Problem(f"{self.shown}: it stays as it was, since the "
                              f"switch failed: {kernel.said()} "
                              f"({error.strerror})", BUSY) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())


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
        if OTHERS.match(mapping.uuid) or \
                mapping.name.startswith((CHECK, KEY)):
            continue
        try:
            lines = mapping.table()
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            continue
        if any(line.is_crypt for line in lines):
            yield mapping, lines


@contextlib.contextmanager
def temporary(name, table, *, readonly=True):
    """A table on a mapping of its own, for a while: its device number."""
    flags = ioctl.READONLY_FLAG if readonly else 0
    ioctl.call(ioctl.CREATE, name, flags=flags)
    try:
        ioctl.call(ioctl.LOAD, name, payload=ioctl.pack_table(table),
                   count=len(table), flags=flags | ioctl.SECURE_DATA_FLAG)
        ioctl.call(ioctl.SUSPEND, name)
        yield ioctl.call(ioctl.STATUS, name).dev
    finally:
        _remove(name)


def _remove(name):
    for _ in range(100):
        try:
            ioctl.call(ioctl.REMOVE, name)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:      # udev looks at it
                raise
            time.sleep(0.05)
    raise Problem(f"{name} is left behind: dmsetup remove {name}")
