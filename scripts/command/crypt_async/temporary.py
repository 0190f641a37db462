# SPDX-License-Identifier: GPL-2.0-only
"""Mappings that the command makes for a moment. Each is opened, and is to be
removed once nobody has it open: so the kernel does that, however this process
ends. Killed before that, it leaves a mapping, which the next run removes. The
name says whose it is, and a UUID of its own that it is this command's."""

import contextlib
import errno
import os
import re
import time

from . import ioctl

# How names begin, by what they are for.
KINDS = ("check", "key", "bench", "selftest")
CHECK, KEY, BENCH, SELFTEST = (f"crypt-async-{what}-" for what in KINDS)
MARK = "CRYPT-ASYNC-TEMP-"
ZERO = "-zero"

_NAME = re.compile(rf"crypt-async-(?:{'|'.join(KINDS)})-(\d+)-(\d+)-(\d+)"
                   "(?:-zero)?")
_PATIENCE = 5           # seconds, while udev looks at a device


def started(pid):
    """When a process started, in the kernel's ticks; None if there is none,
    or it has ended and nobody knows yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_over(pid, start):
    """Has the process ended, even if another one has its number?"""
    return started(pid) != start


def name_for(kind, number):
    """A name that no other process gives."""
    return "-".join(map(str, (f"{kind}{number}", *this_run())))


def this_run():
    """(pid, start) of this one."""
    return os.getpid(), started(os.getpid())


def owner(mapping):
    """(pid, start) of the run that a mapping is of; None if it is none of
    this command's. cryptsetup, which makes one of them, gives it a UUID of
    its own."""
    name, uuid = mapping.name, mapping.uuid
    match = _NAME.fullmatch(name)
    theirs = name.startswith(KEY) and re.fullmatch(
        f"CRYPT-LUKS2-[0-9a-f]{{32}}-{re.escape(name)}", uuid)
    if match and (theirs or uuid == MARK + name):
        return int(match[2]), int(match[3])
    return None


def is_temporary(mapping):
    """Is it one of this command's, of whichever run?"""
    return owner(mapping) is not None


def _stands_on(mapping, devices):
    """Has it no other lower devices, in whichever of its tables?"""
    try:
        return all(dev in devices for flags in (0, ioctl.QUERY_INACTIVE_FLAG)
                   for dev in ioctl.lower_devices(mapping.name, flags))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False        # it went away


def _rank(mapping):
    """What may stand on others comes first: of selftest's the newer ones."""
    number = int(_NAME.fullmatch(mapping.name)[1])
    return mapping.name.endswith(ZERO), -number


def leftovers(mappings):
    """Those of runs that are over, in the order in which they can be
    removed. What cryptsetup made is one if it stands on another one."""
    ours = {each.dev for each in mappings if each.uuid.startswith(MARK)}
    found = []
    for each in mappings:
        run = owner(each)
        if not run or not is_over(*run):
            continue
        if each.dev in ours or _stands_on(each, ours):
            found.append(each)
    return sorted(found, key=_rank)


@contextlib.contextmanager
def _open(dev):
    file = os.open(f"/dev/dm-{os.minor(dev)}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        os.close(file)


def remove_later(name):
    """Remove one at once, or as soon as nobody has it open."""
    try:
        ioctl.call(ioctl.REMOVE, name, flags=ioctl.DEFERRED_REMOVE_FLAG)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise


def remove(name):
    """Remove one, now or when the last one who has it open closes it (udev
    may look at it). Where nobody else does, its node goes as well."""
    end = time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < end:
            ioctl.call(ioctl.REMOVE, name, flags=ioctl.DEFERRED_REMOVE_FLAG)
            ioctl.call(ioctl.STATUS, name)
            time.sleep(0.02)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        with contextlib.suppress(OSError):
            os.unlink(f"/dev/mapper/{name}")


@contextlib.contextmanager
def passing(name, dev):
    """A mapping that is there goes away at the end, and when this process is
    killed."""
    with _open(dev):
        ioctl.call(ioctl.REMOVE, name, flags=ioctl.DEFERRED_REMOVE_FLAG)
        yield


@contextlib.contextmanager
def temporary(name, table, *, readonly=True):
    """A table on a mapping of its own, for a while: its device number."""
    flags = ioctl.READONLY_FLAG if readonly else 0
    with contextlib.ExitStack() as stack:
        dev = ioctl.call(ioctl.CREATE, name, uuid=MARK + name,
                         flags=flags).dev
        stack.callback(remove, name)
        # With a first table the kernel makes a device that can be opened.
        ioctl.call(ioctl.LOAD, name, payload=ioctl.pack_table(table),
                   count=len(table), flags=flags | ioctl.SECURE_DATA_FLAG)
        stack.enter_context(passing(name, dev))
        ioctl.call(ioctl.SUSPEND, name)
        yield dev
