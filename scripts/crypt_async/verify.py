# SPDX-License-Identifier: GPL-2.0-only
"""Whether another table gives the same data, before it is used: a volume key
from an old header, or another key under the same name in a keyring, would
turn a mounted file system to noise."""

import contextlib
import errno
import mmap
import os
import random
import time

from . import ioctl
from .common import Problem

_BYTES = 4096
_PLACES = 16
_TRIES = 20             # of a place that is being written to


@contextlib.contextmanager
def _beside(name, table):
    """A table on a mapping of its own, which can only be read."""
    ioctl.call(ioctl.CREATE, name, flags=ioctl.READONLY_FLAG)
    try:
        ioctl.call(ioctl.LOAD, name, payload=ioctl.pack_table(table),
                   count=len(table),
                   flags=ioctl.READONLY_FLAG | ioctl.SECURE_DATA_FLAG)
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


@contextlib.contextmanager
def _opened(dev):
    file = os.open(f"/dev/dm-{os.minor(dev)}",
                   os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _read(file, page, at):
    """A place's bytes, or the errno."""
    try:
        length = os.preadv(file, [page], at)
    except OSError as error:
        return error.errno
    return page[:length]


def _is_same(files, page, at):
    for _ in range(_TRIES):
        first, second = (_read(file, page, at) for file in files)
        if first == second:
            return True
        time.sleep(0.01)
    return False


def _places(table):
    """Where to look: the beginning, and some more of each line."""
    for start, length, _, _ in table:
        most = max(length * 512 - _BYTES, 0) // _BYTES
        yield start * 512
        for _ in range(_PLACES):
            yield start * 512 + random.randrange(most + 1) * _BYTES


def same_data(mapping, table):
    """Raise a Problem unless a table reads what the mapping does."""
    page = mmap.mmap(-1, _BYTES)
    with _beside(f"{mapping.name[:100]}-crypt-async-check", table) as dev, \
            _opened(mapping.dev) as live, _opened(dev) as other:
        for at in _places(table):
            if not _is_same((live, other), page, at):
                raise Problem(f"{mapping.name}: with this key the data would "
                              f"be something else (at byte {at}): nothing "
                              "was changed")
