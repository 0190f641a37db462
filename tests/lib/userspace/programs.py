# SPDX-License-Identifier: GPL-2.0-only
"""What programs say of a machine with encrypted volumes, without what differs
from one boot, or one moment, to another: it must not depend on the module that
is the target crypt."""

import difflib
import os
import re
import subprocess
import time

from rounds import Trouble

SYSFS = "/sys/dev/block"
LONG = 5                    # seconds that are worth a line
PATIENCE = 1800             # seconds: mkinitramfs needs some on a busy machine
GRUB = ("device", "fs", "fs_uuid", "abstraction", "cryptodisk_uuid",
        "compatibility_hint", "drive", "partmap")
PROPERTIES = "ActiveState,SubState,Result,UnitFileState"
UDISKS = r"^ *(Id(Usage|Type|UUID)|ReadOnly|Size|MetadataSize|" \
    r"CleartextDevice|CryptoBackingDevice|Configuration):"


def run(*words, code=0, seconds=PATIENCE):
    """Run a program that has to end with that; what it says."""
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          check=False, timeout=seconds)
    if done.returncode != code:
        raise Trouble(f"{' '.join(words)}: {done.returncode}: {done.stdout}")
    return done.stdout


def _name(match):
    """Of a device, in place of its number."""
    path = f"{SYSFS}/{match[0]}"
    if not os.path.exists(path):
        return match[0]
    try:
        with open(f"{path}/dm/name", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return os.path.basename(os.path.realpath(path))


def _node(match):
    """The same of a node in /dev, or of what udisks calls it."""
    with open(f"/sys/block/dm-{match[2]}/dm/name", encoding="ascii") as file:
        return match[1] + file.read().strip()


def plainly(text):
    """Text without the numbers of devices and of LUKS2's digests, and without
    addresses of memory that libdevmapper misses, in an order of its own."""
    text = re.sub(r"\[0x[0-9a-f]+\]", "[address]", text)
    text = re.sub(r"\b\d{2,3}:\d+\b", _name, text)
    text = re.sub(r"\(\d{2,3}, \d+\)", "(number)", text)
    text = re.sub(r"(:cryptsetup:\S+-d)\d+", r"\1", text)
    text = re.sub(r"(/dev/|block_devices/)dm(?:-|_2d)(\d+)", _node, text)
    return "\n".join(sorted(line.rstrip() for line in text.splitlines()))


def tell(*words):
    """The program, how it ended and what it said."""
    start = time.monotonic()
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          check=False, timeout=PATIENCE)
    seconds = time.monotonic() - start
    if seconds > LONG:
        print(f"# {' '.join(words)}: {seconds:.0f} s", flush=True)
    return f"=== {' '.join(words)}: {done.returncode}\n" \
        f"{plainly(done.stdout)}\n"


def _questions(names, mounts):
    for name in names:
        yield "cryptsetup", "status", name
        yield "systemctl", "show", "-p", PROPERTIES, \
            f"systemd-cryptsetup@{name}.service"
        yield "dmsetup", "deps", "-o", "devname", name
    yield "dmsetup", "table"
    yield "dmsetup", "ls", "--target", "crypt"
    yield "dmsetup", "info", "-c", "--noheadings", "-o", \
        "name,uuid,attr,segments,read_ahead,names_using_dev"
    yield "lsblk", "-rno", "NAME,TYPE,SIZE,RO,FSTYPE,MOUNTPOINTS"
    yield "lsblk", "-rno", "NAME,LOG-SEC,PHY-SEC,MIN-IO,OPT-IO,DISC-GRAN"
    yield "findmnt", "-rno", "SOURCE,TARGET,FSTYPE,OPTIONS", "--real"
    yield "swapon", "--noheadings", "--show=TYPE,SIZE,PRIO"
    yield "pvs", "--noheadings", "-o", "pv_name,vg_name,pv_size,pv_uuid"
    yield "lvs", "--noheadings", "-o", "lv_name,vg_name,lv_attr,devices"
    for mount in mounts:
        for target in GRUB:
            yield "grub-probe", f"--target={target}", mount


def _udisks(device):
    text = tell("udisksctl", "info", "-b", device)
    return "".join(f"{line}\n" for line in text.splitlines()
                   if line[:3] == "===" or re.match(UDISKS, line))


def programs_say(names, mounts, devices):
    """What they say now of mappings, mount points and lower devices."""
    text = "".join(tell(*words) for words in _questions(names, mounts))
    text += "".join(map(_udisks, devices))
    return text + "=== grub-mkconfig\n" + "\n".join(
        line for line in tell("grub-mkconfig").splitlines()
        if not line.startswith(("#", "Found ", "Generating ", "done")))


def same(before, after, what):
    """Two texts are one."""
    if before != after:
        raise Trouble(f"{what}\n" + "\n".join(difflib.unified_diff(
            before.splitlines(), after.splitlines(), "on dm-crypt", "now",
            lineterm="", n=3)))
