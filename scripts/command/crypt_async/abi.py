# SPDX-License-Identifier: GPL-2.0-only
"""Numbers of the kernel's interface that differ from machine to machine, for
what Python and the C library have no functions for. (libkeyutils has some,
but no package that the command needs brings it along.)

They belong to the program, not to the kernel: a 32-bit one on a 64-bit kernel
has others than uname says. So the ELF header of this program, that is, of
Python, tells which machine it is for."""

import struct
from typing import NamedTuple

_MIPS, _MIPS_N32 = 8, 0x20


# Flags of mlockall(): all memory, now and in future.
_LOCK_ALL, _LOCK_ALL_HIGH = 1 | 2, 0x2000 | 0x4000


class Abi(NamedTuple):
    """System calls, and flags."""

    add_key: int
    keyctl: int
    lock_all: int = _LOCK_ALL


_GENERIC = Abi(217, 219)
_POWER = Abi(269, 271, _LOCK_ALL_HIGH)
_SPARC = Abi(281, 283, _LOCK_ALL_HIGH)
_S390 = Abi(278, 280)

# By the machine and the bits that an ELF header tells.
_ABIS = {
    (62, 64): Abi(248, 250),            # amd64
    (62, 32): Abi(0x40000000 + 248, 0x40000000 + 250),  # x32
    (3, 32): Abi(286, 288),             # i386
    (183, 64): _GENERIC,                # arm64
    (40, 32): Abi(309, 311),            # armhf, armel
    (243, 64): _GENERIC,                # riscv64
    (258, 64): _GENERIC,                # loong64
    (21, 64): _POWER,                   # ppc64el, ppc64
    (20, 32): _POWER,                   # powerpc
    (22, 64): _S390,                    # s390x
    (22, 32): _S390,
    (_MIPS, 64): Abi(5239, 5241),       # mips64el
    (_MIPS, "n32"): Abi(6243, 6245),
    (_MIPS, 32): Abi(4280, 4282),       # mipsel
    (43, 64): _SPARC,                   # sparc64
    (15, 32): Abi(264, 266),            # hppa
    (4, 32): Abi(279, 281),             # m68k
    (42, 32): Abi(285, 287),            # sh4
    (0x9026, 64): Abi(439, 441, _LOCK_ALL_HIGH),    # alpha
}


def abi(program="/proc/self/exe"):
    """The Abi of a program, by its ELF header; None if it is not known."""
    with open(program, "rb") as file:
        header = file.read(52)
    bits = {1: 32, 2: 64}[header[4]]
    order = {1: "<", 2: ">"}[header[5]]
    machine, = struct.unpack_from(order + "H", header, 18)
    if machine == _MIPS and bits == 32:
        flags, = struct.unpack_from(order + "I", header, 36)
        bits = "n32" if flags & _MIPS_N32 else 32
    return _ABIS.get((machine, bits))


def lock_all():
    """The flags of mlockall() for this program."""
    found = abi()
    return found.lock_all if found else _LOCK_ALL
