# SPDX-License-Identifier: GPL-2.0-only
"""Whether another table gives the same data, before it is used: a volume key
from an old header, or another key under the same name in a keyring, would
turn a mounted file system to noise."""

import contextlib
import mmap
import os
import random
import time

from . import interrupts
from .common import CRYPT_ASYNC, DM_CRYPT, Problem, read, say
from .temporary import CHECK, name_for, temporary

_BYTES = 4096
_PLACES = 19            # that are the same, of each line, are enough
_MOST = 250             # that are tried
_TRIES = 20             # of a place that is being written to
_SILENT = 3             # seconds without a word


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


def _step(dev):
    """What is read at once: a block of the device at least. It may be as
    large as a page of memory, which is up to 64 KiB on some machines."""
    block = read(f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}"
                 "/queue/logical_block_size")
    return max(_BYTES, int(block or 0))


def _places(start, length, step):
    """Where to look in a line, the likeliest to hold data first: the
    beginning, where others have their superblock, the end; then anywhere."""
    last = max(length * 512 - step, 0) // step
    yield from (start * 512 + at * step
                for at in dict.fromkeys((0, min(16, last), last)))
    for _ in range(_MOST):
        yield start * 512 + random.randrange(last + 1) * step


class Progress:
    """Of a device that is slow, or written to all the time."""

    def __init__(self, mapping):
        self._mapping, self._said, self._places = mapping, time.monotonic(), 0

    def step(self):
        """A place is looked at; the command may end before."""
        interrupts.check()
        self._places += 1
        if time.monotonic() - self._said > _SILENT:
            self._said = time.monotonic()
            say(f"{self._mapping.shown}: its data is compared as both tables "
                f"read it; {self._places} places, of {_MOST} at most")


def _line_is_same(mapping, files, page, start, length):
    proofs, progress = 0, Progress(mapping)
    for at in _places(start, length, len(page)):
        progress.step()
        same = _compare(files, page, at)
        if same is False:
            raise Problem(f"{mapping.shown}: with this key the data would "
                          f"differ (at byte {at}), or could not be read: "
                          "nothing was changed")
        proofs += bool(same)
        if proofs >= _PLACES:
            break
    if not proofs:
        raise Problem(f"{mapping.shown}: none of the places that were tried "
                      "could be read, so the data could not be compared: "
                      "nothing was changed")


def same_data(mapping, table):
    """Raise a Problem unless a table reads what the mapping does; a
    KeyMissing if its key is in no keyring."""
    page = mmap.mmap(-1, _step(mapping.dev))
    name = name_for(CHECK, os.minor(mapping.dev))
    with contextlib.ExitStack() as stack:
        # Open, so that a program that closes it waits until the other one,
        # which uses the same lower device, is gone: otherwise that program
        # could not open it again.
        live = stack.enter_context(_opened(mapping.dev))
        with mapping.explained():
            dev = stack.enter_context(temporary(name, table))
        other = stack.enter_context(_opened(dev))
        for start, length, target, _ in table:
            if target in (CRYPT_ASYNC, DM_CRYPT):
                _line_is_same(mapping, (live, other), page, start, length)
