#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage (by tests/boot/sleep, before anything is mounted): sleep.py

The machine sleeps in each way that it has while files on a LUKS2 volume are
written and verified, and memory is swapped out: file system and swap are on
the module, which stands in for dm-crypt. Then it sleeps once more with the
volume suspended, its key wiped, as cryptsetup-suspend does. What memory holds
meanwhile is looked at from outside, so each step is told in the kernel's log,
and lasts AWAY seconds."""

import contextlib
import mmap
import os
import random
import sys

import ca
from scratch import forget, register, write_file
from suspend import Writer, progress, successes
from takeover import cryptsetup

VOLUME, DATA, SWAP = "/dev/vda", "/dev/vdb", "/dev/vdc"
NAME = "ca-sleep"
MOUNT = "/mnt"
POWER = "/sys/power"
ALARM = "/sys/class/rtc/rtc0/wakealarm"
AWAY = 25               # seconds
ROUNDS = 3
PAGE = 4096
IMAGE = b"S1SUSPEND\0"  # in the place of swap's signature
PAGES = 24 * ca.MIB
PAGEOUT = 21            # MADV_PAGEOUT, which Python has no name for


with open("/marker", encoding="ascii") as marker:
    MARKER = bytes.fromhex(marker.read())   # stays in memory


def read(path):
    """A line of the kernel's."""
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def tell(text):
    """In the kernel's log, which the one outside reads."""
    write_file("/dev/kmsg", f"crypt-async sleep: {text}\n")


def swapped():
    """How many pages went out, and came back."""
    with open("/proc/vmstat", encoding="ascii") as file:
        counts = dict(line.split() for line in file)
    return int(counts["pswpout"]), int(counts["pswpin"])


# --- the machine ----------------------------------------------------------

def swap_device():
    """A mapping on the module, with the same key in each boot."""
    sectors = int(read(f"/sys/class/block/{os.path.basename(SWAP)}/size"))
    key = random.Random(f"{ca.seed} swap").randbytes(64)
    return ca.Mapping.single(sectors, ca.DM_CRYPT, ca.crypt_params(
        "aes-xts-plain64", key.hex(), SWAP, options=ca.unit_options(4096)))


class Swap:
    """Swap on the module."""

    def __init__(self):
        self.mapping = swap_device()
        ca.run("mkswap", self.mapping.path)
        ca.run("swapon", self.mapping.path)
        write_file(f"{POWER}/resume", self.mapping.devno)
        register(self)

    def close(self):
        """Not used any more."""
        ca.run("swapoff", self.mapping.path, fail=False)
        self.mapping.close()
        forget(self)


class Volume:
    """A volume with a file system, mounted."""

    def __init__(self):
        cryptsetup("open", "--key-file", "/root.key", VOLUME, NAME)
        register(self)
        self.path = f"/dev/mapper/{NAME}"
        ca.run("mke2fs", "-q", "-t", "ext4", self.path, "64M")
        ca.run("mount", "-t", "ext4", self.path, MOUNT)

    def end(self):
        """It is closed, and its file system is without a fault."""
        ca.run("umount", MOUNT)
        said = ca.run("e2fsck", "-f", "-n", self.path, fail=False)
        ca.equal(said.returncode, 0, f"the file system: {said.stdout}")
        self.close()

    def close(self):
        """In whatever state it is."""
        ca.run("umount", MOUNT, fail=False)
        cryptsetup("close", NAME)
        forget(self)


class Pages:
    """Memory that is swapped out."""

    def __init__(self):
        self.wanted = os.urandom(PAGES)
        self.area = mmap.mmap(-1, PAGES)
        self.area.madvise(mmap.MADV_NOHUGEPAGE)
        self.area[:] = self.wanted
        before = swapped()[0]
        self.area.madvise(PAGEOUT)
        out = swapped()[0] - before
        ca.check(out > PAGES // PAGE // 2, f"{out} pages went out")

    def verify(self, from_disk):
        """They come back as they were; from the disk at least some, unless
        memory may have them still."""
        before = swapped()[1]
        ca.same(self.area[:], self.wanted, "what was swapped out")
        came = swapped()[1] - before
        ca.check(came or not from_disk, "pages came in")
        ca.diag(f"{came} pages of all programs came from the disk")
        self.area.close()


@contextlib.contextmanager
def machine(from_disk=False):
    """In use: files are written, memory is swapped out. Gives what has to be
    called for a look whether the writers go on. Is what was swapped out sure
    to be on the disk only?"""
    Swap()
    volume = Volume()
    ca.equal(ca.module_loaded("dm_crypt"), False, "dm-crypt is loaded")
    pages = Pages()
    writers = [Writer(f"{MOUNT}/{number}") for number in range(2)]
    try:
        yield lambda: ca.check(progress(writers), "the writers go on")
    finally:
        for writer in writers:
            writer.over = True
        for writer in writers:
            writer.join()
        ca.equal([writer.trouble for writer in writers if writer.trouble], [],
                 "what the writers found")
    pages.verify(from_disk)
    volume.end()


def sleep(state):
    """Sleep, and wake up."""
    write_file(f"{POWER}/state", state)


def to_memory(seconds):
    """The clock wakes it."""
    write_file(ALARM, "0")
    write_file(ALARM, f"+{seconds}")
    before = successes()
    sleep("mem")
    ca.equal(successes() - before, 1, "it was suspended")


# --- test points ----------------------------------------------------------

@ca.test("to memory, as far as", ["freezer", "devices", "platform",
                                  "processors", "core"])
def tried(level):
    write_file("/sys/module/suspend/parameters/pm_test_delay", 1)
    with machine() as goes_on:
        write_file(f"{POWER}/pm_test", level)
        try:
            for _ in range(2):
                goes_on()
                sleep("mem")
        finally:
            write_file(f"{POWER}/pm_test", "none")
        goes_on()


@ca.test("suspended to memory, and woken by the clock")
def memory():
    ca.check("[deep]" in read(f"{POWER}/mem_sleep"), "this machine can")
    with machine() as goes_on:
        goes_on()
        to_memory(5)
        goes_on()
        tell("asleep with the volume in use")
        to_memory(AWAY)
        goes_on()


# Before it hibernates: what was restored has copies of memory left, with keys,
# in pages that nobody uses; the kernel clears these only with init_on_free=1.
@ca.test("suspended to memory with the volume's key wiped; then it goes on")
def without_key():
    text = os.urandom(ca.MIB)
    Swap()
    volume = Volume()
    with open(f"{MOUNT}/kept", "wb") as file:
        file.write(text)
    before = read(f"{POWER}/sync_on_suspend")
    write_file(f"{POWER}/sync_on_suspend", 0)
    cryptsetup("luksSuspend", NAME)
    try:
        tell("asleep with the volume suspended")
        to_memory(AWAY)
    finally:
        cryptsetup("luksResume", "--key-file", "/root.key", NAME)
        write_file(f"{POWER}/sync_on_suspend", before)
    write_file("/proc/sys/vm/drop_caches", 3)
    with open(f"{MOUNT}/kept", "rb") as file:
        ca.same(file.read(), text, "what was written before")
    volume.end()


@ca.test("hibernated to swap on the module, and resumed, three times")
def hibernated():
    write_file(f"{POWER}/image_size", 0)        # takes what it can from memory
    write_file(f"{POWER}/disk", "test_resume")
    with machine(from_disk=True) as goes_on:
        for _ in range(ROUNDS):
            goes_on()
            sleep("disk")
        goes_on()


@ca.test("hibernated and powered off; the next boot resumes it")
def next_boot():
    write_file(f"{POWER}/image_size", 0)
    write_file(f"{POWER}/disk", "shutdown")
    with machine(from_disk=True) as goes_on:
        goes_on()
        sleep("disk")
        goes_on()


def resume():
    """If a boot before this one hibernated, go on with it: does not come
    back then."""
    with swap_device() as mapping:
        with ca.Disk(mapping.path) as disk:
            found = disk.read(0, PAGE)
        if found.endswith(IMAGE):
            write_file(f"{POWER}/resume", mapping.devno)
            sys.exit("the image was not resumed")


if __name__ == "__main__":
    write_file("/proc/sys/kernel/printk", 8)
    ca.run("modprobe", "-a", "virtio_blk", "ext4")
    ca.wait_until(lambda: os.path.exists(SWAP), "the disks")
    ca.load_module("replace_dm_crypt=1")
    resume()
    ca.main(load=False)
