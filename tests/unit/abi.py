# SPDX-License-Identifier: GPL-2.0-only
"""The numbers and structures of the kernel's interface that the command has,
beside the kernel's headers for each machine that Debian has: clang compiles
for it, and what it makes tells the command which machine that is. Nothing is
run there."""

import os
import struct
import subprocess
import tempfile

from crypt_async import abi, ioctl, top, vanishing
from points import end, equal, point

UAPI = "/usr/lib/linux/uapi"

# What clang calls a machine, and where its headers are.
TARGETS = (("x86_64-linux-gnu", "x86"), ("x86_64-linux-gnux32", "x86"),
           ("i686-linux-gnu", "x86"), ("aarch64-linux-gnu", "arm64"),
           ("arm-linux-gnueabihf", "arm"), ("arm-linux-gnueabi", "arm"),
           ("riscv64-linux-gnu", "riscv"), ("loongarch64-linux-gnu",
                                            "loongarch"),
           ("powerpc64le-linux-gnu", "powerpc"),
           ("powerpc64-linux-gnu", "powerpc"),
           ("powerpc-linux-gnu", "powerpc"), ("s390x-linux-gnu", "s390"),
           ("mips64el-linux-gnuabi64", "mips"),
           ("mips64el-linux-gnuabin32", "mips"), ("mipsel-linux-gnu", "mips"),
           ("sparc64-linux-gnu", "sparc"), ("m68k-linux-gnu", "m68k"))

# Those that clang has nothing of: the ELF header's machine, bits and order.
OTHERS = (("parisc", 15, 32, ">"), ("sh", 42, 32, "<"),
          ("alpha", 0x9026, 64, "<"))

# The members of dm_ioctl, dm_target_spec and loop_config (with its
# loop_info64), in the order of the formats that the command has.
HEADER = (("3I", "version"), ("I", "data_size"), ("I", "data_start"),
          ("I", "target_count"), ("i", "open_count"), ("I", "flags"),
          ("I", "event_nr"), ("I", "padding"), ("Q", "dev"), ("128s", "name"),
          ("129s", "uuid"), ("7x", "data"))
TARGET = (("Q", "sector_start"), ("Q", "length"), ("i", "status"),
          ("I", "next"), ("16s", "target_type"))
LOOP = (("I", "fd"), ("I", "block_size"), ("Q", "info.lo_device"),
        ("Q", "info.lo_inode"), ("Q", "info.lo_rdevice"),
        ("Q", "info.lo_offset"), ("Q", "info.lo_sizelimit"),
        ("I", "info.lo_number"), ("I", "info.lo_encrypt_type"),
        ("I", "info.lo_encrypt_key_size"), ("I", "info.lo_flags"),
        ("64s", "info.lo_file_name"), ("64s", "info.lo_crypt_name"),
        ("32s", "info.lo_encrypt_key"), ("2Q", "info.lo_init"),
        ("8Q", "__reserved"))

# Structures that the command reads by offsets.
OFFSETS = (("dm_name_list", "next", 8), ("dm_name_list", "name", 12),
           ("dm_target_deps", "dev", 8), ("dm_target_versions", "version", 4),
           ("dm_target_versions", "name", 16), ("dm_target_msg", "message", 8))

# top.FLOCK, as C would have it. On 64 bits the kernel takes flock.
OURS = """
struct ours { short type; short whence; long long start, len; int pid; };
#if __SIZEOF_LONG__ == 8
#define theirs flock
#else
#define theirs flock64
#endif
"""


def same(what, number):
    """A line that does not compile unless they are."""
    return f'_Static_assert(({what}) == {number}, "{what} is not {number}");'


def layout(name, found, members):
    """A structure, whose format has these members."""
    known = "=" + "".join(each for each, _ in members)
    values = [b"7" if each.endswith("s") else 7 for each, _ in members
              for _ in range(1 if each.endswith("s") else
                             len(struct.unpack("=" + each, bytes(
                                 struct.calcsize("=" + each)))))]
    equal(found.pack(*values), struct.pack(known, *values), f"{name}: format")
    yield same(f"sizeof(struct {name})", found.size)
    at = 0
    for each, member in members:
        yield same(f"__builtin_offsetof(struct {name}, {member})", at)
        at += struct.calcsize("=" + each)


def numbers(known):
    """What a machine's headers are to have."""
    yield "#include <asm/unistd.h>"
    yield "#include <asm/mman.h>"
    yield same("__NR_add_key", known.add_key)
    yield same("__NR_keyctl", known.keyctl)
    yield same("MCL_CURRENT | MCL_FUTURE", known.lock_all)


def structures():
    """Likewise."""
    yield "#include <linux/ioctl.h>"
    yield "#include <linux/dm-ioctl.h>"
    yield "#include <linux/loop.h>"
    yield "#include <asm/fcntl.h>"
    yield OURS
    yield from layout("dm_ioctl", ioctl.HEADER, HEADER)
    yield from layout("dm_target_spec", ioctl.TARGET, TARGET)
    yield from layout("loop_config", vanishing.LOOP_CONFIG, LOOP)
    for name, member, at in OFFSETS:
        yield same(f"__builtin_offsetof(struct {name}, {member})", at)
    for name in ("type", "whence", "start", "len", "pid"):
        yield same(f"__builtin_offsetof(struct theirs, l_{name})",
                   f"__builtin_offsetof(struct ours, {name})")
    yield "_Static_assert(sizeof(struct theirs) <= " \
          f'{top.FLOCK.size}, "flock is larger");'
    for name in ("LIST_DEVICES", "TABLE_STATUS", "TARGET_MSG"):
        number = {"LIST_DEVICES": ioctl.LIST_DEVICES,
                  "TABLE_STATUS": ioctl.TABLE_STATUS,
                  "TARGET_MSG": ioctl.MESSAGE}[name]
        yield same(f"DM_{name}", f"{ioctl.request(number)}U")
    yield same("LOOP_CONFIGURE", vanishing.LOOP_CONFIGURE)


def compiled(target, headers, lines, out):
    """What clang finds wrong with these lines, on that machine."""
    said = subprocess.run(
        ["clang", f"--target={target}", "-nostdinc", "-isystem",
         f"{UAPI}/{headers}", "-isystem", "/usr/include", "-w", "-c", "-x",
         "c", "-", "-o", out], input="\n".join(lines), text=True,
        stderr=subprocess.PIPE, check=False).stderr
    return "".join(f"{target}: {line}\n" for line in said.splitlines()
                   if "error: " in line)


def preprocessed(headers, name):
    """The number that a macro of a machine's <asm/unistd.h> or <asm/mman.h>
    stands for."""
    text = subprocess.run(
        ["cpp", "-P", "-undef", "-nostdinc", "-isystem", f"{UAPI}/{headers}",
         "-isystem", "/usr/include"], text=True, check=True,
        input=f"#include <asm/unistd.h>\n#include <asm/mman.h>\n{name}",
        stdout=subprocess.PIPE).stdout.strip().splitlines()[-1]
    return eval(text, {"__builtins__": {}})     # pylint: disable=eval-used


def elf(machine, bits, order):
    """The beginning of a program for a machine."""
    head = struct.pack("4sBB10x", b"\x7fELF", bits // 32,
                       1 if order == "<" else 2)
    return head + struct.pack(order + "HH", 2, machine) + bytes(44)


def wrong_on(target, headers, lines):
    """What is wrong with the command on a machine."""
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        compiled(target, headers, [], file.name)
        known = abi.abi(file.name)
        if not known:
            return f"{target}: not known\n"
        return compiled(target, headers, [*numbers(known), *lines], file.name)


@point
def machines():
    """System calls, flags and structures are the kernel's on each machine"""
    wrong = "".join(wrong_on(*target, structures()) for target in TARGETS)
    assert not wrong, wrong


@point
def machines_without_compiler():
    """System calls and flags are, where there is no compiler for it"""
    for headers, *header in OTHERS:
        with tempfile.NamedTemporaryFile() as file:
            file.write(elf(*header))
            file.flush()
            known = abi.abi(file.name)
        for name, number in (("__NR_add_key", known.add_key),
                             ("__NR_keyctl", known.keyctl),
                             ("MCL_CURRENT | MCL_FUTURE", known.lock_all)):
            equal(number, preprocessed(headers, name), f"{headers}: {name}")


@point
def all_machines():
    """There are no headers of a machine that is not looked at"""
    equal({*os.listdir(UAPI)}, {headers for _, headers in TARGETS}
          | {headers for headers, *_ in OTHERS}, "machines")


@point
def faults():
    """A wrong number and a wrong structure are found"""
    for line, word in ((same("__NR_add_key", 1), "__NR_add_key"),
                       (same("sizeof(struct dm_ioctl)", 1), "dm_ioctl")):
        found = wrong_on(*TARGETS[0], [*structures(), line])
        assert word in found, found or "it compiles"


@point
def this_program():
    """This program's numbers are those of its own machine"""
    equal(abi.abi(), abi.abi("/usr/bin/python3"), "numbers")
    with tempfile.NamedTemporaryFile() as file:
        file.write(elf(1, 32, "<"))
        file.flush()
        equal(abi.abi(file.name), None, "an unknown machine")


end()
