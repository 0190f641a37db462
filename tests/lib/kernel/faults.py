# SPDX-License-Identifier: GPL-2.0-only
"""Allocations that fail, on a kernel with fault injection (the debug kernel):
those that have the module's code among their callers, and no others."""

import contextlib
import os

_DEBUGFS = "/sys/kernel/debug"
_KINDS = ("failslab", "fail_page_alloc")
_NTH = "/proc/thread-self/fail-nth"
_MANY = 1 << 30
# So near is who allocates for the module; farther down a bio's way there are
# others: the device mapper of Linux 6.12 follows a NULL pointer when a small
# allocation for a bio's integrity data fails, which happens by injection only.
_NEAR = 10


def available():
    """Whether this kernel can make allocations fail."""
    return all(os.path.isdir(f"{_DEBUGFS}/{kind}") for kind in _KINDS)


def _ranges():
    """Where the code of the module is, nowhere if it is not loaded; and where
    that of kmemleak, which allocates for each allocation of others."""
    code, leak = [], [0, 0]
    with open("/proc/kallsyms", encoding="ascii") as file:
        for line in file:
            if line.endswith("[dm_crypt_async]\n"):
                address, kind, _ = line.split(maxsplit=2)
                code += [int(address, 16)] if kind in "tT" else []
            elif line.endswith((" kmemleak_alloc\n", " kmemleak_free\n")):
                leak[line.endswith("free\n")] = int(line.split()[0], 16)
    return min(code or [1]), max(code or [1]) + 4096, *leak


def _write(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def _read(path):
    with open(path, encoding="ascii") as file:
        return int(file.read())


def _set(**knobs):
    """Set knobs of each kind of allocation that has them."""
    for kind in _KINDS:
        for name, value in knobs.items():
            path = f"{_DEBUGFS}/{kind}/{name.replace('_', '-')}"
            if os.path.exists(path):
                _write(path, value)


def inject(permille):
    """From now on about so many of a thousand of the module's allocations
    fail: every one in an interval of all allocations, if it is the module's.
    A table takes hundreds, most of them pages of the reserve. Returns how many
    have failed since the last call."""
    if not available():
        return 0
    _set(probability=0)
    done = sum(max(0, _MANY - _read(f"{_DEBUGFS}/{kind}/times"))
               for kind in _KINDS)
    _set(times=_MANY)
    if permille:
        aim(_NEAR)
        _set(interval=max(1, 1000 // permille), probability=100)
    return done


def follow():
    """Mean the module where it is now."""
    start, end, reject_start, reject_end = _ranges()
    _set(require_start=hex(start), require_end=hex(end),
         reject_start=hex(reject_start), reject_end=hex(reject_end))


def aim(depth=32):
    """Mean the module where it is now, so many callers up at most."""
    follow()
    _set(ignore_gfp_wait="N", task_filter="N", verbose=0, min_order=0,
         interval=1, stacktrace_depth=depth)


class Nth:
    """The outcome of failing()."""

    failed = False      # so many allocations were asked for


@contextlib.contextmanager
def failing(number):
    """The module's allocation of this number fails, of those that this thread
    makes meanwhile; after aim()."""
    nth = Nth()
    _write(_NTH, number)
    try:
        yield nth
    finally:
        nth.failed = not _read(_NTH)
        _write(_NTH, 0)
