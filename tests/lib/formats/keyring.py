# SPDX-License-Identifier: GPL-2.0-only
"""Keys in this process's keyring, where the kernel finds them when a table is
loaded. The calls are those of keyctl(2)."""

import ctypes
import os

_SYS_ADD_KEY = 248
_SYS_KEYCTL = 250
_REVOKE, _UNLINK = 3, 9
PROCESS = -2


def _call(number, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(number, *args)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def add(kind, description, payload):
    """Add a key, or give the one of that name another payload. Its serial."""
    return _call(_SYS_ADD_KEY, kind.encode(), description.encode(), payload,
                 ctypes.c_size_t(len(payload)), PROCESS)


def revoke(serial):
    """Make a key unusable."""
    _call(_SYS_KEYCTL, _REVOKE, serial)


def unlink(serial):
    """Take a key out of the keyring."""
    _call(_SYS_KEYCTL, _UNLINK, serial, PROCESS)


def reference(kind, description, hexkey):
    """A table line's key argument for a key that is put in the keyring."""
    payload = bytes.fromhex(hexkey)
    add(kind, description, payload)
    return f":{len(payload)}:{kind}:{description}"


def encrypted(description, length):
    """A table line's key argument for a new random key that the kernel keeps
    encrypted, and that nobody outside of it knows."""
    add("user", "ca:master", os.urandom(32))
    add("encrypted", description, b"new user:ca:master %d" % length)
    return f":{length}:encrypted:{description}"
