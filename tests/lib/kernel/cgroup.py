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

    def run(self, *command):
        """Run a program in it."""
        ca.run("sh", "-c", 'echo $$ >"$0" && exec "$@"',
               f"{self._path}/cgroup.procs", *command)

    def enter(self):
        """This process and its threads belong to it until it is gone."""
        self.set("cgroup.procs", os.getpid())

    def remove(self):
        """Whoever is in it leaves it."""
        for process in self.get("cgroup.procs").split():
            write_file(f"{_ROOT}/cgroup.procs", process)
        os.rmdir(self._path)


class Cgroups:
    """The groups of a controller, or of several ("io memory")."""

    def __init__(self, controllers, *names):
        os.makedirs(_ROOT, exist_ok=True)
        ca.run("mount", "-t", "cgroup2", "none", _ROOT)
        self._controllers, self._groups = [], []
        register(self)
        with open(f"{_ROOT}/cgroup.controllers", encoding="ascii") as file:
            offered = file.read().split()
        for controller in controllers.split():
            if controller not in offered:
                ca.skip(f"this kernel has no control groups for {controller}")
            write_file(f"{_ROOT}/cgroup.subtree_control", f"+{controller}")
            self._controllers.append(controller)
        for name in names:
            self._groups.append(Cgroup(name))

    def close(self):
        """They all go."""
        while self._groups:
            self._groups[-1].remove()
            self._groups.pop()
        while self._controllers:
            write_file(f"{_ROOT}/cgroup.subtree_control",
                       f"-{self._controllers.pop()}")
        ca.run("umount", _ROOT)
        forget(self)

    def __enter__(self):
        return self._groups

    def __exit__(self, *exc):
        if registered(self):
            self.close()
