# SPDX-License-Identifier: GPL-2.0-only
"""Devices to test on, which go away whatever happens.

A loop device on an anonymous memory file is the usual one: the test reads and
writes its bytes with pread and pwrite on the file, without any cache in
between, and the file is as sparse as a test of large sector numbers needs.
"""

import contextlib
import fcntl
import os
import struct
import subprocess
import time

_LOOP_CLR_FD = 0x4C01
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIG = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 8Q")
_LO_READ_ONLY = 1
_NULLB = "/sys/kernel/config/nullb"
_UDEV_CONTROL = "/run/udev/control"

_open = []


def register(thing):
    """Have cleanup() close thing."""
    _open.append(thing)


def forget(thing):
    """Thing is closed."""
    if registered(thing):
        _open.remove(thing)


def registered(thing):
    """Is thing still to be closed?"""
    return any(other is thing for other in _open)


def cleanup():
    """Close everything that is still open, the newest first; and everything
    again until nothing changes, since devices stand on each other."""
    problem = None
    while _open:
        before = len(_open)
        problem = None
        for thing in reversed(list(_open)):
            try:
                thing.close()
                forget(thing)
            except Exception as error:
                problem = error
        if problem and len(_open) == before:
            _open.clear()
            raise problem


def module_loaded(name):
    """Is a module, or the built-in code of that name, there?"""
    return os.path.isdir(f"/sys/module/{name.replace('-', '_')}")


def modprobe(name, *parameters):
    """Load one of the kernel's modules, unless it is there."""
    if not module_loaded(name):
        subprocess.run(["modprobe", name, *parameters], check=True)


def write_file(path, value):
    """Write one of the kernel's files."""
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


@contextlib.contextmanager
def no_autoload(*algorithms):
    """Load what implements these algorithms, and keep the kernel from looking
    for modules meanwhile: each name that does not exist takes it long."""
    subprocess.run(["modprobe", "-qa", "dm-crypt", "dm-integrity", "loop",
                    "null_blk", "crypto_null",
                    *(f"crypto-{name}" for name in algorithms)], check=False)
    path = "/proc/sys/kernel/modprobe"
    with open(path, encoding="ascii") as file:
        before = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write("\n")
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(before)


def has_udev():
    """Is udev at work?"""
    return os.path.exists(_UDEV_CONTROL)


def end_udev():
    """End udev, until the guest ends: it takes a sixth of an emulated
    processor's time for the tests' many devices, and a probe that holds one
    open gets in the way of its removal. libdevmapper, which looks for its
    socket, then makes nodes itself, as in an initramfs. Only in a guest of
    scripts/lab/vm without systemd."""
    if (has_udev() and os.path.exists("/vm/command")
            and not os.path.isdir("/run/systemd/system")):
        subprocess.run(["udevadm", "control", "--exit"], check=True)
        os.unlink(_UDEV_CONTROL)


def retry(function, patience=10):
    """Call it until it succeeds, while somebody else has a device open."""
    end = time.monotonic() + patience
    while True:
        try:
            return function()
        except (OSError, subprocess.CalledProcessError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Device:
    """What all scratch devices have."""

    path = None

    def _identify(self):
        self.dev = os.stat(self.path).st_rdev
        self.devno = f"{os.major(self.dev)}:{os.minor(self.dev)}"
        self.block = os.path.basename(self.path)

    def stat(self):
        """The counters of /sys/block/*/stat, as a list."""
        with open(f"/sys/block/{self.block}/stat", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]

    def flushes(self):
        """How many flushes reached the device."""
        return self.stat()[15]

    def queue(self, attribute):
        """An attribute of the device's queue in sysfs."""
        with open(f"/sys/block/{self.block}/queue/{attribute}",
                  encoding="ascii") as file:
            return file.read().strip()

    def close(self):
        """Take the device down."""
        raise NotImplementedError

    def __str__(self):
        return self.devno

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if registered(self):
            self.close()


class Loop(Device):
    """A loop device on a sparse file in memory."""

    def __init__(self, size, *, block=512, read_only=False):
        modprobe("loop")
        self.size = size
        self.sectors = size // 512
        self.file = os.memfd_create("ca-scratch")
        os.ftruncate(self.file, size)
        self._fd = self._attach(block, _LO_READ_ONLY if read_only else 0)
        register(self)
        self._identify()

    def _attach(self, block, flags):
        config = _LOOP_CONFIG.pack(self.file, block, *[0] * 5, 0, 0, 0, flags,
                                   b"ca-scratch", b"", b"", *[0] * 10)
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            while True:
                number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
                self.path = f"/dev/loop{number}"
                fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(fd, _LOOP_CONFIGURE, config)
                    return fd
                except OSError:
                    os.close(fd)    # somebody else took it
        finally:
            os.close(control)

    def read(self, at=0, length=None):
        """The bytes of the device, as they are stored."""
        length = self.size - at if length is None else length
        return os.pread(self.file, length, at)

    def write(self, at, data):
        """Store bytes in the file, past all devices."""
        os.pwrite(self.file, data, at)

    def wipe(self):
        """Make all of it zero and give back its memory."""
        os.ftruncate(self.file, 0)
        os.ftruncate(self.file, self.size)

    def close(self):
        """Detach the device and drop its file."""
        if self._fd >= 0:
            retry(lambda: fcntl.ioctl(self._fd, _LOOP_CLR_FD))
            os.close(self._fd)
            os.close(self.file)
            self._fd = -1
        forget(self)


class NullBlk(Device):
    """A null_blk device that keeps its data, with any attributes that the
    driver offers in configfs (size in MiB)."""

    def __init__(self, **attributes):
        modprobe("null_blk", "nr_devices=0")
        if not os.path.isdir(_NULLB):
            subprocess.run(["mount", "-t", "configfs", "none",
                            "/sys/kernel/config"], check=True)
        self._dir = f"{_NULLB}/ca{os.getpid()}n{len(_open)}"
        os.mkdir(self._dir)
        register(self)
        for name, value in {"memory_backed": 1, "submit_queues": 2,
                            **attributes, "power": 1}.items():
            self._set(name, value)
        with open(f"{self._dir}/index", encoding="ascii") as file:
            self.path = f"/dev/nullb{file.read().strip()}"
        named = f"/dev/{os.path.basename(self._dir)}"
        self.path = named if os.path.exists(named) else self.path
        self._identify()

    def _set(self, name, value):
        write_file(f"{self._dir}/{name}", value)

    def vanish(self):
        """Switch the device off, whoever has it open."""
        self._set("power", 0)

    def close(self):
        """Switch the device off and remove it."""
        self._set("power", 0)
        os.rmdir(self._dir)
        forget(self)


class ScsiDebug(Device):
    """The disk of scsi_debug, with any of the module's parameters."""

    def __init__(self, **parameters):
        modprobe("sd_mod")
        subprocess.run(["modprobe", "scsi_debug", "dev_size_mb=16",
                        *(f"{k}={v}" for k, v in parameters.items())],
                       check=True)
        register(self)
        self.path = retry(self._find)
        self._identify()

    @staticmethod
    def _find():
        base = "/sys/bus/pseudo/drivers/scsi_debug/adapter0"
        for directory, names, _ in os.walk(base):
            if os.path.basename(directory) == "block" and names:
                path = f"/dev/{names[0]}"
                os.stat(path)
                return path
        raise FileNotFoundError(base)

    def close(self):
        """Remove the disk."""
        retry(lambda: subprocess.run(["modprobe", "-r", "scsi_debug"],
                                      check=True, stderr=subprocess.DEVNULL)
               if module_loaded("scsi_debug") else None)
        forget(self)


class Nvme(Device):
    """The disk that each guest has, with 64 bytes of metadata for each sector.
    What it stores is a file that the guest sees as well: first all sectors,
    then their metadata."""

    _FILE = "/vm/nvme"
    _METADATA = 64

    def __init__(self):
        os.stat(self._FILE)
        subprocess.run(["modprobe", "nvme"], check=True)
        self.path = "/dev/nvme0n1"
        retry(lambda: os.stat(self.path))
        with open(f"/sys/block/{os.path.basename(self.path)}/size",
                  encoding="ascii") as file:
            self.sectors = int(file.read())
        self._identify()

    def spoil(self, sector, metadata=False):
        """Change a bit of a sector, or of its metadata."""
        at = sector * 512
        if metadata:
            at = self.sectors * 512 + sector * self._METADATA
        with open(self._FILE, "r+b", buffering=0) as file:
            byte = os.pread(file.fileno(), 1, at)[0]
            os.pwrite(file.fileno(), bytes([byte ^ 4]), at)

    def close(self):
        """It stays."""
