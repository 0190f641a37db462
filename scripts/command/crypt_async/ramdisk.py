# SPDX-License-Identifier: GPL-2.0-only
"""The RAM disk of bench: the kernel's module brd, loaded for as long as it is
measured. A run that is killed leaves it, and a file that says whose it is."""

import contextlib
import os
import subprocess
import time

from . import interrupts
from .common import BUSY, Problem, is_loaded, read, run
from .temporary import is_over, started

MIB = 1 << 20
SIZE = 64 * MIB
OWNER = "/run/crypt-async/ram-disk"
PATIENCE = 10               # seconds, while udev looks at a device

_PARAMETERS = {"rd_nr": "1", "rd_size": str(SIZE >> 10)}


def unload(module):
    """Unload a module that was loaded for this, once udev lets go of it."""
    end = time.monotonic() + PATIENCE
    while is_loaded(module):
        done = subprocess.run(["modprobe", "-r", module], text=True,
                              stderr=subprocess.PIPE, check=False)
        if time.monotonic() > end:
            raise Problem(f"{module} stays loaded: {done.stderr.strip()}")
        time.sleep(0.05)


def _has_ended():
    """Is there a note, of a run that is over? A damaged one is nobody's."""
    try:
        pid, start = map(int, (read(OWNER) or "").split())
    except ValueError:
        return False
    return is_over(pid, start)


def is_left():
    """Is there the RAM disk of a run that was killed? Where somebody else has
    unloaded it, its note goes, or the user's next one would be taken for
    it."""
    if not _has_ended():
        return False
    if not is_loaded("brd"):
        with contextlib.suppress(OSError):
            os.unlink(OWNER)
        return False
    return all(read(f"/sys/module/brd/parameters/{name}") == value
               for name, value in _PARAMETERS.items())


@contextlib.contextmanager
def ram_disk():
    """A RAM disk that holds data all over."""
    if is_left():
        unload("brd")
    if is_loaded("brd"):
        raise Problem("there are RAM disks already (module brd): modprobe -r "
                      "brd if they are not needed", BUSY)
    os.makedirs(os.path.dirname(OWNER), mode=0o700, exist_ok=True)
    with open(OWNER, "w", encoding="ascii") as file:
        print(os.getpid(), started(os.getpid()), file=file)
    try:
        run("modprobe", "brd", *map("=".join, _PARAMETERS.items()))
        with open("/dev/ram0", "wb") as disk:
            for _ in range(SIZE // MIB):
                interrupts.check()
                disk.write(os.urandom(MIB))
        yield "/dev/ram0"
    finally:
        unload("brd")
        os.unlink(OWNER)
