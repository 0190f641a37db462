# SPDX-License-Identifier: GPL-2.0-only
"""Whether another table gives the same data, before it is used: a volume key
from an old header, or another key under the same name in a keyring, would
turn a mounted file system to noise."""

import contextlib
import mmap
import os
import random
import time

from .common import CRYPT_ASYNC, DM_CRYPT, Problem
from .mapping import CHECK, temporary

_BYTES = 4096
_PLACES = 19            # that are the same, of each line, are enough
_MOST = 250             # that are tried
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


def _compare(files, page, at):
    """Is a place the same on both? None if neither can be read, which says
    nothing."""
    for _ in range(_TRIES):
        first, second = (_read(file, page, at) for file in files)
        if first == second:
            return True if first and isinstance(first, bytes) else None
        time.sleep(0.01)
    return False


def _places(start, length):
    """Where to look in a line, the likeliest to hold data first: the
    beginning, where others have their superblock, the end; then anywhere."""
    last = max(length * 512 - _BYTES, 0) // _BYTES
    yield from (start * 512 + at * _BYTES
                for at in dict.fromkeys((0, min(16, last), last)))
    for _ in range(_MOST):
        yield start * 512 + random.randrange(last + 1) * _BYTES


def _line_is_same(mapping, files, page, start, length):
    proofs = 0
    for at in _places(start, length):
        same = _compare(files, page, at)
        if same is False:
            raise Problem(f"{mapping.shown}: with this key the data would "
                          f"be something else (at byte {at}), or could not "
                          "be read: nothing was changed")
        proofs += bool(same)
        if proofs >= _PLACES:
            break
    if not proofs:
        raise Problem(f"{mapping.shown}: no place of it that was tried could "
                      "be read, so that nothing shows that the data would be "
                      "the same: nothing was changed")


def name_for(mapping):
    """A name for a table beside that of a mapping: no other mapping, and no
    other process, has the same."""
    return f"{CHECK}{os.minor(mapping.dev)}-{os.getpid()}"


def same_data(mapping, table):
    """Raise a Problem unless a table reads what the mapping does."""
    page = mmap.mmap(-1, _BYTES)
    with temporary(name_for(mapping), table) as dev, \
            _opened(mapping.dev) as live, _opened(dev) as other:
        for start, length, target, _ in table:
            if target in (CRYPT_ASYNC, DM_CRYPT):
                _line_is_same(mapping, (live, other), page, start, length)
