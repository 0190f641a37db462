# SPDX-License-Identifier: GPL-2.0-only
"""Keys: from a LUKS header by its passphrase, into this process's keyring,
where the kernel looks for them when a table is loaded and nobody else does.
They never get into arguments, the environment, files or logs."""

import contextlib
import ctypes
import json
import os
import re
import subprocess

from .common import PARAMETERS, PERMISSION, Problem, read, run, say
from .mapping import KEY, Mapping, temporary

# add_key and keyctl, as each machine numbers them.
_NUMBERS = {"x86_64": (248, 250), "aarch64": (217, 219),
            "riscv64": (217, 219), "ppc64le": (269, 271), "s390x": (278, 280)}
_UNLINK = 9
_PROCESS = -2

# cryptsetup's options that have it use a token; that say where a key is.
TOKEN_OPTIONS = ("--token-only", "--token-id", "--token-type")
KEY_OPTIONS = ("--key-file", "-d", "--key-slot", "-S", "--volume-key-file",
               "--master-key-file")


def _syscall(which, *args):
    machine = os.uname().machine
    if machine not in _NUMBERS:
        raise Problem(f"keys in keyrings are not supported on {machine}")
    args = (_NUMBERS[machine][which], *args)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(*args)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


@contextlib.contextmanager
def in_keyring(reference, key):
    """A key (bytes) is where a table's (bytes, type, description) says."""
    size, kind, description = reference
    if len(key) != size:
        raise Problem(f"the volume key has {len(key)} bytes, and the table "
                      f"says {size}")
    serial = _syscall(0, kind.encode(), description.encode(), key,
                      ctypes.c_size_t(size), _PROCESS)
    try:
        yield
    finally:
        _syscall(1, _UNLINK, serial, _PROCESS)


def luks_uuid(mapping):
    """The UUID of the LUKS2 volume that a mapping is of, or None."""
    match = re.match(r"CRYPT-LUKS2-([0-9a-f]{32})-", mapping.uuid)
    if not match:
        return None
    digits = match[1]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20],
                     digits[20:]))


def _lower(devno):
    """The lower devices of one, itself first."""
    yield f"/dev/block/{devno}"
    slaves = f"/sys/dev/block/{devno}/slaves"
    for slave in os.listdir(slaves) if os.path.isdir(slaves) else ():
        with open(f"{slaves}/{slave}/dev", encoding="ascii") as file:
            yield from _lower(file.read().strip())


def _node(path):
    """A node that programs can open, also where udev makes no links."""
    if os.path.exists(path):
        return os.path.realpath(path)
    name = os.path.basename(os.path.realpath(
        f"/sys/dev/block/{os.path.basename(path)}"))
    return f"/dev/{name}"


def _header_in(options):
    """The file that cryptsetup's option --header names, or None."""
    for word, following in zip(options, [*options[1:], None]):
        if word == "--header":
            return following
        if word.startswith("--header="):
            return word.partition("=")[2]
    return None


def luks_device(mapping, device, header=None):
    """The lower device; and the LUKS header is the mapping's, since another
    volume's key would turn all data to noise."""
    for path in [header] if header else map(_node, _lower(device)):
        found = subprocess.run(["cryptsetup", "luksUUID", path], text=True,
                               capture_output=True, check=False)
        if found.stdout.strip() == luks_uuid(mapping):
            return path
    raise Problem(f"{mapping.shown}: its LUKS header is not "
                  + (f"in {header}" if header else "on the lower device")
                  + ": say where, as in crypt-async adopt NAME -- "
                  "--header FILE")


def _metadata(path):
    """What a LUKS2 header says of its volume."""
    return json.loads(run("cryptsetup", "luksDump", "--dump-json-metadata",
                          path))


def _has(options, words):
    return any(option.partition("=")[0] in words for option in options)


def volume_key(mapping, device, options):
    """The key of a LUKS2 volume. cryptsetup asks for the passphrase, or takes
    it from where its options say; a volume with tokens is opened by these, if
    options do not say otherwise."""
    header = _header_in(options)
    path = luks_device(mapping, device, header)
    metadata = _metadata(path)
    by_token = _has(options, TOKEN_OPTIONS) or (
        metadata["tokens"] and not _has(options, KEY_OPTIONS))
    say(f"{mapping.shown}: the kernel needs the volume's key once more, to "
        "load another table;\nit went out of reach when the volume had been "
        "opened. "
        + ("Its token, or a" if by_token else "A")
        + " passphrase of the volume opens it.")
    if by_token:
        return _key_beside(mapping, device, path, metadata, options)
    if header:
        path = _node(f"/dev/block/{device}")
    text = run("cryptsetup", "luksDump", "--dump-volume-key", "--batch-mode",
               *options, path)
    dump = text[text.rindex("dump:") + 5:] if "dump:" in text else ""
    digits = "".join(re.findall(r"\b[0-9a-f]{2}\b", dump))
    if not digits:
        raise Problem(f"{mapping.shown}: cryptsetup gave no key", PERMISSION)
    return bytes.fromhex(digits)


def sectors(device):
    """Of a block device, "major:minor"."""
    return int(read(f"/sys/dev/block/{device}/size"))


def _key_beside(mapping, device, path, metadata, options):
    """The key of a LUKS2 volume as `cryptsetup open` gets it, since luksDump
    takes no token: from the table of another mapping, which has the volume's
    header, and under it a device of zeros, so that nobody finds the volume's
    file system twice."""
    if any("integrity" in each for each in metadata["segments"].values()):
        raise Problem(f"{mapping.shown}: the key of an authenticated volume "
                      "is not to be had by a token: give a passphrase, as "
                      "in crypt-async adopt NAME -- --key-file FILE",
                      PERMISSION)
    words = list(options)
    for word in ("--disable-keyring", "--readonly"):
        if word not in words:
            words.append(word)
    if not _header_in(options):
        words += ["--header", path]
    name = f"{KEY}{os.minor(mapping.dev)}-{os.getpid()}"
    with temporary(name + "-zero", [(0, sectors(device), "zero", "")]) as dev:
        run("cryptsetup", "open", *words, f"/dev/dm-{os.minor(dev)}", name)
        try:
            line, = Mapping(name).table()
            return bytes.fromhex(line.key)
        finally:
            run("cryptsetup", "close", name)


def description(mapping, device, options):
    """What cryptsetup calls the key of a LUKS2 volume in a keyring: it has
    the number of the key's digest, which a reencryption changes."""
    found = _metadata(luks_device(mapping, device, _header_in(options)))
    number = next((number for number, digest in found["digests"].items()
                   if "0" in digest["segments"]), "0")
    return f"cryptsetup:{luks_uuid(mapping)}-d{number}"


@contextlib.contextmanager
def shown():
    """The module shows keys in digits: to root only, and for this moment."""
    path = f"{PARAMETERS}/show_keys"
    with open(path, "r+", encoding="ascii") as file:
        before = file.read(1)
        file.seek(0)
        file.write("Y")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.write(before)
            file.flush()


def table_with_keys(mapping):
    """A mapping's lines, with keys in digits where they are not in a
    keyring."""
    if any(line.target == "crypt-async" for line in mapping.table()):
        with shown():
            lines = mapping.table()
    else:
        lines = mapping.table()
    if any(line.is_crypt and not line.keyring and line.key != "-"
           and not line.key.strip("0") for line in lines):
        raise Problem(f"{mapping.shown}: its key has been wiped: cryptsetup "
                      "luksResume brings it back", PERMISSION)
    return lines


