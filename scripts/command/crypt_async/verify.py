# SPDX-License-Identifier: GPL-2.0-only
"""Whether another table gives the same data, before it is used: a volume key
from an old header, or another key under the same name in a keyring, would
turn a mounted file system to noise."""

import contextlib
import mmap
import os
import random
import time

from .common import Problem
from .mapping import temporary

_BYTES = 4096
_PLACES = 16
_TRIES = 20             # of a place that is being written to


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
        last = max(length * 512 - _BYTES, 0) // _BYTES
        yield start * 512
        for _ in range(_PLACES):
            yield start * 512 + random.randrange(last + 1) * _BYTES


def name_for(mapping):
    """A name for a table beside that of a mapping: no other mapping, and no
    other process, has the same."""
    return f"crypt-async-check-{os.minor(mapping.dev)}-{os.getpid()}"


def same_data(mapping, table):
    """Raise a Problem unless a table reads what the mapping does."""
    page = mmap.mmap(-1, _BYTES)
    with temporary(name_for(mapping), table) as dev, \
            _opened(mapping.dev) as live, _opened(dev) as other:
        for at in _places(table):
            if not _is_same((live, other), page, at):
                raise Problem(f"{mapping.shown}: with this key the data would "
                              f"be something else (at byte {at}): nothing "
                              "was changed")
