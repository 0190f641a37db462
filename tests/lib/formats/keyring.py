# SPDX-License-Identifier: GPL-2.0-only
"""Keys in this process's keyring, where the kernel finds them when a table is
loaded. The calls are those of keyctl(2)."""

import ctypes
import os

from calls import call

_REVOKE, _UNLINK = 3, 9
PROCESS = -2


def add(kind, description, payload):
    """Add a key, or give the one of that name another payload. Its serial."""
    return call("add_key", kind.encode(), description.encode(), payload,
                ctypes.c_size_t(len(payload)), PROCESS)


def revoke(serial):
    """Make a key unusable."""
    call("keyctl", _REVOKE, serial)


def unlink(serial):
    """Take a key out of the keyring."""
    call("keyctl", _UNLINK, serial, PROCESS)


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
