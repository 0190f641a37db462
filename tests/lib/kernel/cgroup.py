# SPDX-License-Identifier: GPL-2.0-only
"""Groups of processes, by the kernel's control groups of version 2
(Documentation/admin-guide/cgroup-v2.rst)."""

import os

import ca
from scratch import forget, register, registered, write_file

_ROOT = "/tmp/ca-cgroups"


class Cgroup:
    """One of the groups."""

    def __init__(self, name):
        self._path = f"{_ROOT}/{name}"
        os.mkdir(self._path)

    def set(self, name, value):
        """Write one of the group's files."""
        write_file(f"{self._path}/{name}", value)

    def get(self, name):
        """Read one."""
        with open(f"{self._path}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def enter(self):
        """This process and its threads belong to it until it is gone."""
        self.set("cgroup.procs", os.getpid())

    def remove(self):
        """Whoever is in it leaves it."""
        for process in self.get("cgroup.procs").split():
            write_file(f"{_ROOT}/cgroup.procs", process)
        os.rmdir(self._path)


class Cgroups:
    """The groups of a controller."""

    def __init__(self, controller, *names):
        os.makedirs(_ROOT, exist_ok=True)
        ca.run("mount", "-t", "cgroup2", "none", _ROOT)
        self._controller, self._groups = None, []
        register(self)
        with open(f"{_ROOT}/cgroup.controllers", encoding="ascii") as file:
            if controller not in file.read().split():
                ca.skip(f"this kernel has no control groups for {controller}")
        write_file(f"{_ROOT}/cgroup.subtree_control", f"+{controller}")
        self._controller = controller
        for name in names:
            self._groups.append(Cgroup(name))

    def close(self):
        """They all go."""
        while self._groups:
            self._groups[-1].remove()
            self._groups.pop()
        if self._controller:
            write_file(f"{_ROOT}/cgroup.subtree_control",
                       f"-{self._controller}")
            self._controller = None
        ca.run("umount", _ROOT)
        forget(self)

    def __enter__(self):
        return self._groups

    def __exit__(self, *exc):
        if registered(self):
            self.close()
