# SPDX-License-Identifier: GPL-2.0-only
"""What all parts share: problems with their exit codes (those of
cryptsetup(8)), and how the user is spoken to."""

import contextlib
import ctypes
import errno
import os
import resource
import subprocess
import sys

from .abi import lock_all
from .interrupts import attend

MODULE = "dm_crypt_async"
CRYPT_ASYNC, DM_CRYPT = "crypt-async", "crypt"
PARAMETERS = f"/sys/module/{MODULE}/parameters"

_PR_SET_DUMPABLE = 4

USAGE, PERMISSION, MEMORY, DEVICE, BUSY = 1, 2, 3, 4, 5
FAULT = 70              # of the command itself, as <sysexits.h> has it
_CODES = {errno.EPERM: PERMISSION, errno.EACCES: PERMISSION,
          errno.ENOMEM: MEMORY, errno.EBUSY: BUSY, errno.EEXIST: BUSY}


class Problem(Exception):
    """Something is wrong, and this is what, and what to do."""

    def __init__(self, text, code=DEVICE):
        super().__init__(text)
        self.code = code


def code_of(error):
    """The exit code of an OSError."""
    return _CODES.get(error.errno, DEVICE)


def colour(number, text):
    """Coloured on a terminal."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return f"\033[{number}m{text}\033[0m"
    return text


def say(text):
    """To the user, beside what the command prints; if nobody listens, what is
    being done goes on."""
    with contextlib.suppress(OSError):
        print(f"crypt-async: {text}", file=sys.stderr, flush=True)


def keep_private():
    """From here on there may be keys in memory, and a file system may be
    suspended: nothing of this process is written or read back by paging, or
    dumped. (What Python made of a key cannot be wiped.)"""
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc.prctl(_PR_SET_DUMPABLE, 0)
    if libc.mlockall(lock_all()):
        raise Problem("memory cannot be locked, so the table of a file "
                      "system that this command runs from cannot be "
                      "swapped", MEMORY)


def need_root():
    """Almost everything does."""
    if os.geteuid():
        raise Problem("only root can do this: run sudo crypt-async ...",
                      PERMISSION)


def run(*words, **how):
    """Run a program; its output. A Problem if it fails or is not there."""
    try:
        code, out = attend(words, stdout=subprocess.PIPE,
                           env={**os.environ, "LC_ALL": "C"}, **how)
    except FileNotFoundError:
        raise Problem(f"{words[0]} is not installed", USAGE) from None
    if code:
        raise Problem(f"{words[0]} failed", code
                      if words[0] == "cryptsetup" and code > 0 else DEVICE)
    return out


def read(path):
    """A small file's text, None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def is_loaded(module):
    """Is it in the kernel?"""
    return os.path.isdir(f"/sys/module/{module}")


def parameter(name):
    """A parameter of the module, None if that is not loaded."""
    return read(f"{PARAMETERS}/{name}")


def load_module():
    """Have the target crypt-async be there."""
    if is_loaded(MODULE):
        return
    done = subprocess.run(["modprobe", MODULE], text=True, check=False,
                          stderr=subprocess.PIPE)
    if done.returncode:
        raise Problem(f"the module cannot be loaded: {done.stderr.strip()}\n"
                      "crypt-async doctor says more", DEVICE)
