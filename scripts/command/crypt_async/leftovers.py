# SPDX-License-Identifier: GPL-2.0-only
"""What runs of this command that were killed have left, and its removal."""

import contextlib

from . import temporary
from .common import Problem, say
from .mapping import all_mappings, encrypted


def remove():
    """Remove their temporary mappings: how many there were."""
    left = temporary.leftovers(all_mappings())
    for each in left:
        temporary.remove(each.name)
    return len(left)


def tidy(mapping):
    """Drop a second table of a mapping; nobody else is at work on it."""
    if mapping.left_table():
        mapping.clear()
        say(f"{mapping.shown}: a second table of it, which a crypt-async that "
            "was killed had loaded, is dropped")


def remove_all():
    """Both, of whatever nobody is at work on: some of it has a key."""
    remove()
    for mapping, _ in encrypted():
        with contextlib.suppress(Problem), mapping.alone():
            tidy(mapping)
