# SPDX-License-Identifier: GPL-2.0-only
"""A small directory of modules in place of the kernel's, of which depmod is
quick; with this module, installed as a package would, and without."""

import contextlib
import filecmp
import os
import shutil

import ca

VERSION = os.uname().release
MODULES = f"/lib/modules/{VERSION}"
MODULE = f"{MODULES}/updates/{os.path.basename(ca.MODULE_FILE)}"


def _copy(directory, names):
    """A few of the kernel's modules, and what they need."""
    shown = ca.run("modprobe", "-qa", "--show-depends", *names, fail=False)
    for line in shown.stdout.splitlines():
        how, path, *_ = line.split()
        if how == "insmod":
            copy = path.replace(MODULES, directory, 1)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copy(path, copy)
    for name in ("order", "builtin", "builtin.modinfo"):
        shutil.copy(f"{MODULES}/modules.{name}", directory)
    os.makedirs(f"{directory}/updates")


def put_module(path=ca.MODULE_FILE):
    """Install the module, or another build of it, as a package would."""
    if not os.path.exists(MODULE) or not filecmp.cmp(path, MODULE, False):
        shutil.copy(path, MODULE)
        ca.run("depmod", VERSION)


def lose_module():
    """As a machine does whose new kernel it could not be built for."""
    os.unlink(MODULE)
    ca.run("depmod", VERSION)


@contextlib.contextmanager
def a_few(*names):
    """Only these modules are there, with what they need."""
    directory = "/tmp/ca-modules"
    ca.modprobe("loop")
    os.mkdir(directory)
    _copy(directory, names)
    ca.run("mount", "--bind", directory, MODULES)
    try:
        yield
    finally:
        os.chdir("/")
        # A modprobe that the kernel started may still have it open: then
        # detach it, or every later test would miss its modules.
        ca.run("umount", "--lazy", MODULES)
        shutil.rmtree(directory)
