# SPDX-License-Identifier: GPL-2.0-only
r"""Names of mappings. The kernel takes any but for a slash; libdevmapper, and
so cryptsetup and dmsetup, hand it those characters only that are safe in names
of nodes, and \xNN in place of each other byte."""

import os
import re
import stat

from .common import Problem

_SAFE = rb"[0-9A-Za-z#+.:=@_-]"
_MANGLED = rb"\\x[0-9a-fA-F]{2}"
MAPPER = "/dev/mapper/"


def mangle(name):
    """What libdevmapper has the kernel call it. What is mangled already stays
    as it is."""
    return os.fsdecode(re.sub(
        _SAFE + rb"|\\x..|(.)",
        lambda found: b"\\x%02x" % ord(found[1]) if found[1] else found[0],
        os.fsencode(name), flags=re.DOTALL))


def unmangle(name):
    """What the user calls it, from what the kernel does."""
    return os.fsdecode(re.sub(
        _MANGLED, lambda found: bytes([int(found[0][2:], 16)]),
        os.fsencode(name)))


def shown(name):
    """What the user calls it, if a terminal can show that."""
    plain = unmangle(name)
    return plain if plain.isprintable() else name


def is_name(word, name):
    """Does a user's word mean the mapping that the kernel calls so?"""
    return name in (mangle(word), word)


def device(path):
    """The number of the block device at a path, None where nothing is."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISBLK(found.st_mode):
        raise Problem(f"{path} is not a mapping")
    return found.st_rdev
