# SPDX-License-Identifier: GPL-2.0-only
"""What GRUB makes of a mapping on crypt-async. grub-probe, which update-grub
runs with each new kernel, reads the table of a LUKS2 mapping that a file
system is on, and ends with an error if its target is not crypt."""

import os
import shlex
import shutil

from .common import Problem, read
from .names import device

SYSFS = "/sys"
MOUNTINFO = "/proc/self/mountinfo"
# Where grub-mkconfig has grub-probe look.
PATHS = ("/", "/usr", "/boot", "/boot/grub")


def _number(source):
    """Of the block device that a mount's source is, or None."""
    try:
        return device(source) if source.startswith("/") else None
    except Problem:         # /dev/fuse
        return None


def _mounts():
    """(mount point, device number) of each file system."""
    for line in (read(MOUNTINFO) or "").splitlines():
        first, _, second = line.partition(" - ")
        number, where = first.split()[2], first.split()[4]
        source = second.split()[1]
        if number.startswith("0:"):     # of btrfs, which has its own
            found = _number(source)
            if found is None:
                continue
            number = f"{os.major(found)}:{os.minor(found)}"
        yield where, number


def _devices(number):
    """A device and those under it, by their numbers."""
    yield number
    slaves = f"{SYSFS}/dev/block/{number}/slaves"
    for slave in os.listdir(slaves) if os.path.isdir(slaves) else ():
        yield from _devices(read(f"{slaves}/{slave}/dev"))


def grub_paths(mapping):
    """The paths on a LUKS2 mapping that update-grub looks at, if there is
    GRUB."""
    if not mapping.uuid.startswith("CRYPT-LUKS2-") or \
            not shutil.which("grub-probe"):
        return []
    number = f"{os.major(mapping.dev)}:{os.minor(mapping.dev)}"
    return [where for where, mounted in _mounts()
            if where in PATHS and number in _devices(mounted)]


def grub_trouble(mapping, paths):
    """(what goes wrong, what ends it), as words."""
    return (f"{', '.join(paths)} is on {mapping.shown}: update-grub fails "
            "while it is on crypt-async, and so does each new kernel",
            f"crypt-async release {shlex.quote(mapping.shown)} before that; "
            "or crypt-async takeover in place of adopt")
