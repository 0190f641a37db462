# SPDX-License-Identifier: GPL-2.0-only
"""Two copies of the data: a RAID1 of the kernel's."""

import os
import subprocess

import ca
import documents
import scratch


class Mirror(scratch.Device):
    """A RAID1 with a bitmap, in sync when it is there."""

    path = "/dev/md/secret"
    _create, _again, _check, _end = documents.section("RAID1")

    def __init__(self, *legs):
        try:
            ca.modprobe("raid1")
        except subprocess.CalledProcessError:
            ca.skip("this kernel has no module raid1")
        self._names = {"/dev/vdb": legs[0].path, "/dev/vdc": legs[1].path}
        self._run(self._create)
        scratch.register(self)
        dev = os.stat(self.path).st_rdev
        self.devno = f"{os.major(dev)}:{os.minor(dev)}"
        self._dir = os.path.realpath(f"/sys/dev/block/{self.devno}") + "/md"
        self._names["md127"] = self._dir.split("/")[-2]
        # Or it is slow while there is other I/O.
        scratch.write_file(f"{self._dir}/sync_speed_min", 100000)
        self._wait()

    def _run(self, commands):
        """What docs/howto/storage.md says, with the names of here."""
        text = documents.script(commands, self._names)
        return ca.run("bash", "-c", f"export MDADM_NO_UDEV=1\n{text}",
                      stdin=subprocess.DEVNULL).stdout

    def _read(self, name):
        with open(f"{self._dir}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def _wait(self):
        ca.wait_until(lambda: self._read("sync_action") == "idle"
                      and not self.degraded(), "it is in sync")

    def degraded(self):
        """How many legs are missing."""
        return int(self._read("degraded"))

    def fail(self):
        """The second leg is given up."""
        ca.run("mdadm", self.path, "--fail", self._names["/dev/vdc"])
        ca.equal(self.degraded(), 1, "missing legs")

    def _idle_leg(self):
        """What it still had to do has ended, so that it can be removed."""
        leg = os.path.basename(os.path.realpath(self._names["/dev/vdc"]))
        ca.wait_until(lambda: "faulty" in self._read(f"dev-{leg}/state")
                      and self._read("array_state") != "write-pending",
                      "the leg is given up")

    def add_again(self):
        """The second leg, which failed, and what it missed."""
        self._idle_leg()
        self._run(self._again)
        self._wait()

    def mismatches(self):
        """How many sectors are not the same in all legs."""
        self._run(self._check[:1])
        self._wait()
        return int(self._run(self._check[1:]))

    def offset(self, leg):
        """Where the data of a leg begins, in bytes."""
        return ca.SECTOR * int(self._read(f"dev-{leg.block}/offset"))

    def close(self):
        """Stop it."""
        self._run(self._end)
        scratch.forget(self)
