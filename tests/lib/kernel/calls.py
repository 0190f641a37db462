# SPDX-License-Identifier: GPL-2.0-only
"""What Python does not have a name for and machines number differently: system
calls, and how an ioctl's number begins."""

import ctypes
import os

_GENERIC = {"add_key": 217, "keyctl": 219, "delete_module": 106,
            "finit_module": 273}
_NUMBERS = {
    "aarch64": _GENERIC,
    "armv7l": {"add_key": 309, "keyctl": 311, "delete_module": 129,
               "finit_module": 379},
    "ppc64le": {"add_key": 269, "keyctl": 271, "delete_module": 129,
                "finit_module": 353},
    "riscv64": _GENERIC,
    "s390x": {"add_key": 278, "keyctl": 280, "delete_module": 129,
              "finit_module": 344},
    "x86_64": {"add_key": 248, "keyctl": 250, "delete_module": 176,
               "finit_module": 313},
}

# How an ioctl's number begins: without a structure, with one that is read, or
# written, or both.
_IS_POWER = os.uname().machine.startswith("ppc")
IO, IOR, IOW = ((1 << 29, 2 << 29, 4 << 29) if _IS_POWER
                else (0, 2 << 30, 1 << 30))
IOWR = IOR | IOW


def call(name, *args):
    """Call the kernel: its result, or OSError."""
    number = _NUMBERS[os.uname().machine.replace("armv8l", "armv7l")][name]
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(number, *args)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
