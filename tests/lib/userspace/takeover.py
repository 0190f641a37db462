# SPDX-License-Identifier: GPL-2.0-only
"""One of the two modules as the target "crypt", and cryptsetup on it."""

import contextlib
import os

import ca

NAME = "ca-takeover"
PATH = f"/dev/mapper/{NAME}"
PASSPHRASE = "/tmp/ca-passphrase"
QUICK = ["--batch-mode", "--key-file", PASSPHRASE]
KEY_FILE = ["--", "--key-file", PASSPHRASE]
SIZE = 32 * ca.MIB
PBKDF = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]


def use(target):
    """Have one of the two modules be the target "crypt"."""
    if ca.module_loaded("dm_crypt_async"):
        ca.delete_module("dm_crypt_async")
    if ca.module_loaded("dm_crypt"):
        ca.delete_module("dm_crypt")
    if target == ca.DM_CRYPT:
        ca.modprobe("dm-crypt")
    else:
        ca.load_file(ca.MODULE_FILE, "replace_dm_crypt=1")
    version = ca.list_versions()[ca.DM_CRYPT]
    ca.equal(ca.module_loaded("dm_crypt"), target == ca.DM_CRYPT,
             "which it is")
    return version


def cryptsetup(*words):
    """Run it, without waiting for udev's rules."""
    return ca.run("cryptsetup", *words,
                  env={**os.environ, "DM_DISABLE_UDEV": "1"}).stdout


def close():
    """Close the volume."""
    cryptsetup("close", NAME)


def passphrase():
    """A key file; 64 bytes, so that it is a key as well."""
    with open(PASSPHRASE, "wb") as file:
        file.write(ca.rng.randbytes(64))


def write(text):
    """Write to the open volume."""
    with ca.Disk(PATH) as disk:
        disk.write(0, text)
        disk.flush()


def compare(text, what):
    """Read from the open volume."""
    with ca.Disk(PATH) as disk:
        ca.same(disk.read(0, len(text)), text, what)


def table(name=NAME):
    """As dmsetup has it."""
    return ca.run("dmsetup", "table", "--showkeys", name).stdout.split()


def remove(name=NAME):
    """Whatever target it has; without waiting for udev's rules."""
    ca.run("dmsetup", "remove", "--retry", name,
           env={**os.environ, "DM_DISABLE_UDEV": "1"})


@contextlib.contextmanager
def luks(*options, kind="luks2", opened=()):
    """An open LUKS volume, on dm-crypt."""
    passphrase()
    lower = ca.Loop(SIZE)
    ca.modprobe("dm-crypt")
    pbkdf = PBKDF if kind == "luks2" else ["--iter-time", "1"]
    cryptsetup("luksFormat", *QUICK, "--type", kind, *pbkdf, *options,
               lower.path)
    cryptsetup("open", *QUICK, *opened, lower.path, NAME)
    try:
        yield lower
    finally:
        remove()
