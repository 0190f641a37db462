# SPDX-License-Identifier: GPL-2.0-only
"""Keys: from a LUKS header by its passphrase, into this process's keyring,
where the kernel looks for them when a table is loaded and nobody else does.
They never get into arguments, the environment, files or logs."""

import contextlib
import ctypes
import errno
import json
import os
import re
import subprocess

from .abi import abi
from .common import PERMISSION, Problem, read, run, say
from .interrupts import attend
from .mapping import Mapping
from .temporary import KEY, ZERO, name_for, passing, remove, temporary

_UNLINK = 9
_PROCESS = -2

# cryptsetup's options that have it use a token; that say where a key is.
TOKEN_OPTIONS = ("--token-only", "--token-id", "--token-type")
KEY_OPTIONS = ("--key-file", "-d", "--key-slot", "-S", "--volume-key-file",
               "--master-key-file")


OLDER = "the loaded module is older than this command, and cannot tell " \
        "keys: reboot; or dmsetup remove what is on crypt-async, modprobe " \
        "-r dm_crypt_async, and open it again"


def _numbers():
    found = abi()
    if not found:
        raise Problem("keys in keyrings are not supported on "
                      + os.uname().machine)
    return found


def _syscall(*args):
    """The kernel takes each number as a long."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(*(ctypes.c_long(each) if isinstance(each, int)
                            else each for each in args))
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
    numbers = _numbers()
    serial = _syscall(numbers.add_key, kind.encode(), description.encode(),
                      key, size, _PROCESS)
    try:
        yield
    finally:
        _syscall(numbers.keyctl, _UNLINK, serial, _PROCESS)


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
        _, found = attend(["cryptsetup", "luksUUID", path],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if found.strip() == luks_uuid(mapping):
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


def _without(options, words):
    """Options but for these and their values."""
    kept, rest = [], iter(options)
    for option in rest:
        if option in words:
            next(rest, None)
        elif option.partition("=")[0] not in words:
            kept.append(option)
    return kept


def _dumped_key(mapping, path, options):
    text = run("cryptsetup", "luksDump", "--dump-volume-key", "--batch-mode",
               *options, path)
    dump = text[text.rindex("dump:") + 5:] if "dump:" in text else ""
    digits = "".join(re.findall(r"\b[0-9a-f]{2}\b", dump))
    if not digits:
        raise Problem(f"{mapping.shown}: cryptsetup gave no key", PERMISSION)
    return bytes.fromhex(digits)


def volume_key(mapping, device, options):
    """The key of a LUKS2 volume. cryptsetup asks for the passphrase, or takes
    it from where its options say; a volume with tokens is opened by these, if
    options do not say otherwise, or if the file that they name, which is for
    each of several volumes, does not open it."""
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
    try:
        return _dumped_key(mapping, _node(f"/dev/block/{device}") if header
                           else path, options)
    except Problem as problem:
        if problem.code != PERMISSION or not metadata["tokens"]:
            raise
        say(f"{mapping.shown}: that does not open it; its token is tried")
    return _key_beside(mapping, device, path, metadata,
                       [*_without(options, KEY_OPTIONS), "--token-only"])


def sectors(device):
    """Of a block device, "major:minor"."""
    return int(read(f"/sys/dev/block/{device}/size"))


def _open_by_token(mapping, *words):
    try:
        run("cryptsetup", "open", *words, dies=True)
    except Problem:
        raise Problem(f"{mapping.shown}: none of its tokens gives the key: "
                      "give a passphrase, as in crypt-async adopt NAME -- "
                      "--key-file FILE", PERMISSION) from None


def _key_beside(mapping, device, path, metadata, options):
    """The key of a LUKS2 volume as `cryptsetup open` gets it, since luksDump
    takes no token: from the table of another mapping, which has the volume's
    header, and under it a device of zeros, so that nobody finds the volume's
    file system twice."""
    if any("integrity" in each for each in metadata["segments"].values()):
        raise Problem(f"{mapping.shown}: a token cannot give the key of an "
                      "authenticated volume: give a passphrase, as in "
                      "crypt-async adopt NAME -- --key-file FILE",
                      PERMISSION)
    words = list(options)
    for word in ("--disable-keyring", "--readonly"):
        if word not in words:
            words.append(word)
    if not _header_in(options):
        words += ["--header", path]
    name = name_for(KEY, os.minor(mapping.dev))
    with temporary(name + ZERO, [(0, sectors(device), "zero", "")]) as dev:
        try:
            _open_by_token(mapping, *words, f"/dev/dm-{os.minor(dev)}", name)
            found = Mapping(name)
            with passing(name, found.dev):
                line, = found.table()
                return bytes.fromhex(line.key)
        finally:
            remove(name)


def description(mapping, device, options):
    """What cryptsetup calls the key of a LUKS2 volume in a keyring: it has
    the number of the key's digest, which a reencryption changes."""
    found = _metadata(luks_device(mapping, device, _header_in(options)))
    number = next((number for number, digest in found["digests"].items()
                   if "0" in digest["segments"]), "0")
    return f"cryptsetup:{luks_uuid(mapping)}-d{number}"


def _is_hidden(line):
    """Are zeros all that an encrypted line says of its key?"""
    return line.is_crypt and not line.keyring and line.key != "-" and \
        not line.key.strip("0")


def _wiped(mapping):
    return Problem(f"{mapping.shown}: its key has been wiped: crypt-async "
                   "resume brings it back", PERMISSION)


def _told(mapping, line):
    """The key argument of a line of crypt-async, which the module tells to
    this process alone."""
    try:
        return mapping.key_at(line.start)
    except OSError as error:
        if error.errno == errno.ENOKEY:
            raise _wiped(mapping) from None
        if error.errno != errno.EINVAL:
            raise
    raise Problem(f"{mapping.shown}: {OLDER}")


def table_with_keys(mapping):
    """A mapping's lines, with keys in digits where they are not in a
    keyring: a table of crypt-async has zeros for them, one of dm-crypt only
    if they have been wiped."""
    lines = mapping.table()
    for line in filter(_is_hidden, lines):
        if not line.is_ours:
            raise _wiped(mapping)
        line.words[1] = _told(mapping, line)
    return lines
