# SPDX-License-Identifier: GPL-2.0-only
"""The disk of tests/kmod/pieces.c, and bios whose memory is in pieces of any
length at any place."""

import os

import ca
import scratch

_DIR = "/sys/kernel/debug/pieces"
_MODULE = "pieces"


class Pieces(scratch.Device):
    """A RAM disk of 8 MiB that takes such bios; the parameters are the
    module's."""

    path = "/dev/pieces"

    def __init__(self, **parameters):
        ca.load_file(os.path.join(os.path.dirname(ca.MODULE_FILE),
                                  f"{_MODULE}.ko"),
                     " ".join(f"{name}={value}"
                              for name, value in parameters.items()))
        scratch.register(self)
        self._identify()

    def close(self):
        """Unload the module."""
        ca.delete_module(_MODULE)
        scratch.forget(self)


def _run(direction, path, at, length, pattern):
    """One bio; pattern: pairs of gap and length of pieces."""
    words = " ".join(f"{gap}+{size}" for gap, size in pattern)
    with open(f"{_DIR}/run", "w", encoding="ascii") as file:
        file.write(f"{direction} {path} {at // ca.SECTOR} {length} {words}")


def write(path, at, text, pattern):
    """Write by a bio of such pieces."""
    with open(f"{_DIR}/data", "wb") as file:
        file.write(text)
    _run("write", path, at, len(text), pattern)


def read(path, at, length, pattern):
    """Read by a bio of such pieces."""
    _run("read", path, at, length, pattern)
    with open(f"{_DIR}/data", "rb") as file:
        return file.read(length)
