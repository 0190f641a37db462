# SPDX-License-Identifier: GPL-2.0-only
"""The device mapper by ioctl, in process: a fork per dmsetup is slow in an
emulated guest."""

import contextlib
import errno
import itertools
import os
import struct
import time

import scratch
from crypt_async import ioctl as dm

_numbers = itertools.count()
_is_loaded = False
patient = False     # whoever gets no memory asks again
_PATIENCE = 20      # so often; dm-crypt says so of too long a cipher, too


def _ioctl(*args, **kwargs):
    global _is_loaded
    if not _is_loaded:
        scratch.modprobe("dm-mod")
        _is_loaded = True
    for left in reversed(range(_PATIENCE if patient else 1)):
        try:
            return dm.call(*args, **kwargs)
        except OSError as error:
            if error.errno != errno.ENOMEM or not left:
                raise
    return None


def list_versions():
    """The registered targets: {name: (major, minor, patch)}."""
    scratch.modprobe("dm-mod")
    return dm.versions()


class Mapping:
    """A mapped device with a name of its own, removed at the latest when its
    test point ends. A table is a list of (start, length, target, params), in
    sectors."""

    def __init__(self, table=None):
        self.name = f"ca-{os.getpid()}-{next(_numbers)}"
        self.dev = _ioctl(dm.CREATE, self.name).dev
        self.number = os.minor(self.dev)
        self.path = f"/dev/dm-{self.number}"
        self.devno = f"{os.major(self.dev)}:{self.number}"
        scratch.register(self)
        if table is not None:
            try:
                self.load(table)
                self.resume()
            except BaseException:
                self.remove()
                raise

    @classmethod
    def single(cls, length, target, params):
        """A device of one target from sector 0."""
        return cls([(0, length, target, params)])

    def load(self, table):
        """Load a table into the inactive slot."""
        _ioctl(dm.LOAD, self.name, payload=dm.pack_table(table),
               count=len(table))

    def clear(self):
        """Drop the inactive table."""
        _ioctl(dm.CLEAR, self.name)

    def resume(self):
        """Make the inactive table, if any, the active one and resume."""
        _ioctl(dm.SUSPEND, self.name)

    def suspend(self, *, noflush=False, lockfs=True):
        """Suspend: by default after what is in flight, and a frozen fs."""
        _ioctl(dm.SUSPEND, self.name, flags=dm.SUSPEND_FLAG
               | (dm.NOFLUSH_FLAG if noflush else 0)
               | (0 if lockfs else dm.SKIP_LOCKFS_FLAG))

    def reload(self, table, **how):
        """Load a table and switch to it."""
        self.load(table)
        self.suspend(**how)
        self.resume()

    def switch(self, table):
        """Load a table, unless one is there already (None), and make it the
        active one, in one go: much cheaper than another device."""
        if table is not None:
            self.load(table)
        _ioctl(dm.SUSPEND, self.name, flags=dm.SKIP_LOCKFS_FLAG)

    def remove(self, patience=10):
        """Remove the device, waiting for whoever else has it open."""
        end = time.monotonic() + patience
        while True:
            try:
                _ioctl(dm.REMOVE, self.name)
                break
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.05)
        scratch.forget(self)

    def close(self):
        """For cleaning up: remove it in whatever state it is."""
        with contextlib.suppress(OSError):
            if self.flags()[2]:
                self.resume()
        self.remove()

    def _status(self, flags, inactive):
        flags |= dm.QUERY_INACTIVE_FLAG if inactive else 0
        return list(dm.unpack_table(_ioctl(dm.TABLE_STATUS, self.name,
                                         flags=flags, size=dm.LARGE)))

    def table(self, inactive=False):
        """The table, as `dmsetup table --showkeys` prints it."""
        return self._status(dm.STATUS_TABLE_FLAG, inactive)

    def table_with_keys(self):
        """The active table, with the keys that its crypt-async lines tell who
        asks for them: the table itself has zeros."""
        return [(start, length, target, self._with_key(params, start)
                 if target == "crypt-async" else params)
                for start, length, target, params in self.table()]

    def _with_key(self, params, start):
        words = params.split(" ")
        words[1] = self.message("key get", start)
        return " ".join(words)

    def params(self, inactive=False):
        """The arguments of the only target of the table."""
        (_, _, _, text), = self.table(inactive)
        return text

    def info(self):
        """The status of the only target, as `dmsetup status` prints it."""
        (_, _, _, text), = self._status(dm.NOFLUSH_FLAG, False)
        return text

    def ima(self):
        """What the only target tells to be measured."""
        (_, _, _, text), = self._status(dm.IMA_FLAG, False)
        return text

    def message(self, text, sector=0):
        """Send a message to the target at a sector; its answer."""
        payload = dm.pack_message(text, sector)
        return dm.text(_ioctl(dm.MESSAGE, self.name, payload=payload,
                            size=dm.LARGE).data)

    def deps(self):
        """The lower devices, as a list of "major:minor"."""
        data = _ioctl(dm.DEPS, self.name, size=dm.LARGE).data
        count, = struct.unpack_from("=I", data)
        return [f"{os.major(dev)}:{os.minor(dev)}"
                for dev in struct.unpack_from(f"={count}Q", data, 8)]

    def open_count(self):
        """How often the device is open."""
        return _ioctl(dm.STATUS, self.name).open_count

    def flags(self):
        """(active table present, inactive table present, suspended)."""
        flags = _ioctl(dm.STATUS, self.name).flags
        return tuple(bool(flags & bit) for bit in
                     (dm.ACTIVE_FLAG, dm.INACTIVE_FLAG, dm.SUSPEND_FLAG))

    def queue(self, attribute):
        """An attribute of the device's queue in sysfs."""
        with open(f"/sys/block/dm-{self.number}/queue/{attribute}",
                  encoding="ascii") as file:
            return file.read().strip()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if scratch.registered(self):
            self.close()
