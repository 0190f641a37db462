# SPDX-License-Identifier: GPL-2.0-only
"""Groups of processes, by the kernel's control groups of version 2
(Documentation/admin-guide/cgroup-v2.rst)."""

import os

import ca
from scratch import register, forget, write_file

_ROOT = "/tmp/ca-cgroups"


class Cgroup:
    """An empty group, for one of the kernel's controllers."""

    def __init__(self, name, controller):
        os.makedirs(_ROOT, exist_ok=True)
        if not os.path.ismount(_ROOT):
            ca.run("mount", "-t", "cgroup2", "none", _ROOT)
        with open(f"{_ROOT}/cgroup.controllers", encoding="ascii") as file:
            if controller not in file.read().split():
                ca.skip(f"this kernel has no control groups for {controller}")
        write_file(f"{_ROOT}/cgroup.subtree_control", f"+{controller}")
        self._path = f"{_ROOT}/{name}"
        os.mkdir(self._path)
        register(self)

    def set(self, name, value):
        """Write one of the group's files."""
        write_file(f"{self._path}/{name}", value)

    def get(self, name):
        """Read one."""
        with open(f"{self._path}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def enter(self):
        """This process and its threads belong to the group until it is gone."""
        self.set("cgroup.procs", os.getpid())

    def close(self):
        """Whoever is in it leaves it."""
        for process in self.get("cgroup.procs").split():
            write_file(f"{_ROOT}/cgroup.procs", process)
        os.rmdir(self._path)
        forget(self)
