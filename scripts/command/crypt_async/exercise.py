# SPDX-License-Identifier: GPL-2.0-only
"""Reads and writes of every size, many at a time, whose result is known byte
for byte. They run in a process of their own, which can be left behind if a
driver never answers."""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import queue
import random
import select
import signal
import threading
import time

from .vanishing import abandon

KIB, MIB = 1 << 10, 1 << 20
SMALLEST, LARGEST = 4 * KIB, MIB
WORKERS = 32            # that many are in flight
SILENCE = 60            # seconds without one that ends
KILLING = 5             # seconds that a process may need to end
_STEP = 4096            # in which a difference is looked for
_PAGE = 4096
_PR_SET_PDEATHSIG = 1


def pieces(size, unit, rng):
    """Parts of [0, size) that cover it once, in any order, of 4 KiB to 1 MiB;
    they begin and end at any unit, so not where a page or fragment does."""
    found, at = [], 0
    ratio = LARGEST // SMALLEST
    while at < size:
        length = int(SMALLEST * ratio ** rng.random()) // unit * unit
        if not at:
            length += unit * rng.randrange(1, 8)
        length = min(max(length, unit), LARGEST, size - at)
        found.append((at, length))
        at += length
    rng.shuffle(found)
    return found


def first_difference(got, wanted):
    """Where two pieces of data differ first, None if nowhere."""
    if got == wanted:
        return None
    for at in range(0, min(len(got), len(wanted)), _STEP):
        one, other = got[at:at + _STEP], wanted[at:at + _STEP]
        if one != other:
            return at + next((i for i, (a, b) in enumerate(zip(one, other))
                              if a != b), min(len(one), len(other)))
    return min(len(got), len(wanted))


def unfinished(why):
    """The trouble that a trial has in itself, whatever the driver does; `why`
    is a sentence's end, or an exception."""
    if isinstance(why, BaseException):
        why = ": ".join(filter(None, (type(why).__name__, str(why))))
    return {"kind": "failed", "at": 0, "what": "trial", "error": why}


class Round:
    """Requests that workers take from a list, until one fails."""

    def __init__(self, file, plain, unit, tell):
        self.file, self.plain, self.unit, self.tell = file, plain, unit, tell
        self.ios = self.bytes = self.overtaken = 0
        self.trouble = None
        self._lock = threading.Lock()
        self._begun = self._newest = 0
        self._left = None

    def run(self, requests):
        """Do all of [(start, length, is_write), ...]."""
        self._left, wanted = queue.SimpleQueue(), self.ios + len(requests)
        for request in requests:
            self._left.put(request)
        workers = [threading.Thread(target=self._try_work, args=(number,))
                   for number in range(min(WORKERS, len(requests)))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if not self.trouble and self.ios != wanted:
            self.trouble = unfinished("a worker ended early")

    def _try_work(self, number):
        try:
            self._work(number)
        except Exception as error:  # such as: out of memory
            with self._lock:
                self.trouble = self.trouble or unfinished(error)

    def _work(self, number):
        # At every place in a page at which direct I/O can be.
        offset = number * self.unit % _PAGE
        memory = mmap.mmap(-1, LARGEST + _PAGE)
        while not self.trouble:
            try:
                start, length, is_write = self._left.get_nowait()
            except queue.Empty:
                return
            view = memoryview(memory)[offset:offset + length]
            with self._lock:
                self._begun += 1
                begun = self._begun
            trouble = self._one(view, start, is_write)
            view.release()
            self._ended(begun, length, trouble)

    def _one(self, view, start, is_write):
        wanted = self.plain[start:start + len(view)]
        what = "write" if is_write else "read"
        try:
            if is_write:
                view[:] = wanted
                done = os.pwritev(self.file, [view], start)
            else:
                view[:] = bytes(len(view))
                done = os.preadv(self.file, [view], start)
        except OSError as error:
            return {"kind": "failed", "at": start, "bytes": len(view),
                    "what": what,
                    "error": errno.errorcode.get(error.errno, error.errno)}
        at = None if is_write else first_difference(bytes(view), wanted)
        if done != len(view):
            at = min(done, len(view) if at is None else at)
        if at is None:
            return None
        return {"kind": "wrong", "at": start + at, "what": what}

    def _ended(self, begun, length, trouble):
        with self._lock:
            self.ios += 1
            self.bytes += length
            self.overtaken += begun < self._newest
            self._newest = max(self._newest, begun)
            self.trouble = self.trouble or trouble
        self.tell(b".")


def _phases(disk, round_, plain, cipher, rng):
    """Write all, read what the other implementation wrote, do both at once."""
    def covering():
        return pieces(len(plain), round_.unit, rng)

    def look():
        try:
            at = first_difference(disk.bytes(), cipher)
        except OSError as error:    # what was written is not authentic
            round_.trouble = round_.trouble or {
                "kind": "wrong", "at": getattr(error, "at", 0),
                "what": "write"}
            return
        if at is not None and not round_.trouble:
            round_.trouble = {"kind": "wrong", "at": at, "what": "write"}

    disk.fill(bytes(len(plain)))
    round_.run([(*piece, True) for piece in covering()])
    look()
    if round_.trouble:
        return
    disk.fill(cipher)
    round_.run([(*piece, False) for piece in covering()])
    if round_.trouble:
        return
    round_.run([(*piece, rng.random() < 0.5) for piece in covering()])
    look()


def _die_with(parent):
    """Be killed when the parent is."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _child(pipe, mapped, disk, plain, cipher, unit, seed):
    def tell(data):
        with contextlib.suppress(BrokenPipeError):
            os.write(pipe, data)

    round_ = Round(mapped.file, plain, unit, tell)
    try:
        _phases(disk, round_, plain, cipher, random.Random(seed))
    except Exception as error:
        round_.trouble = round_.trouble or unfinished(error)
    tell(json.dumps({"ios": round_.ios, "bytes": round_.bytes,
                     "overtaken": round_.overtaken,
                     "trouble": round_.trouble}).encode())


def _listen(pipe, progress):
    """What the child found; None if it is silent."""
    heard, last = b"", time.monotonic()
    while time.monotonic() - last < SILENCE:
        progress()
        if not select.select([pipe], [], [], 0.2)[0]:
            continue
        data = os.read(pipe, 1 << 16)
        if not data:
            break
        heard, last = (heard + data).lstrip(b"."), time.monotonic()
    else:
        return None
    with contextlib.suppress(ValueError):   # killed by then
        return json.loads(heard)
    return {"ios": 0, "bytes": 0, "overtaken": 0, "trouble": unfinished(
        "its process was killed, as it is when memory is short")}


def exercise(mapped, disk, plain, cipher, unit, *, seed, shut, progress):
    """Try a mapping, on which the data `plain` is `cipher` on the disk; what
    was done, and what was wrong. `shut` are files that are not the child's."""
    parent = os.getpid()
    theirs, ours = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _die_with(parent)
            for file in (theirs, *shut):
                os.close(file)
            _child(ours, mapped, disk, plain, cipher, unit, seed)
        finally:
            os._exit(0)
    found = None
    try:
        os.close(ours)
        found = _listen(theirs, progress)
    finally:
        os.close(theirs)
        if found is None:       # silent, or this was interrupted
            os.kill(pid, signal.SIGKILL)
        ended = _reap_or_abandon(pid)
    if found is None:
        found = {"ios": 0, "bytes": 0, "overtaken": 0, "trouble": {
            "kind": "silent", "at": 0, "what": "test", "seconds": SILENCE}}
    found["ended"] = ended
    return found


def _reap(pid):
    """Wait for the end of a child, which does not come while a driver has not
    answered. Did it?"""
    end = time.monotonic() + KILLING
    with contextlib.suppress(ChildProcessError):    # waited for already
        while not os.waitpid(pid, os.WNOHANG)[0]:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
    return True


def _reap_or_abandon(pid):
    """The same. What a child that stays has open cannot go away: nothing
    waits for that from here on, however this ends."""
    ended = False
    try:
        ended = _reap(pid)
    except BaseException:       # interrupted, which happens once
        ended = _reap(pid)
        raise
    finally:
        if not ended:
            abandon()
    return ended
