# SPDX-License-Identifier: GPL-2.0-only
"""From dm-crypt to crypt-async and back, while the mapping is used; and
opening volumes on crypt-async in the first place."""

import contextlib
import re

from . import boot, ioctl, keys, pinned, verify
from .common import (BUSY, CRYPT_ASYNC, DM_CRYPT, USAGE, Problem, code_of,
                     keep_private, load_module, run, say)
from .mapping import Mapping, encrypted, stands_in


def _why_not(mapping, lines, target):
    """Why a mapping cannot be moved, or None."""
    crypt = [line for line in lines if line.is_crypt]
    if not crypt:
        return "is not an encrypted mapping"
    if mapping.is_suspended:
        return "is suspended: resume it first (cryptsetup luksResume, or " \
               "dmsetup resume)"
    if any(name.startswith((f"{mapping.name}-hotzone",
                            f"{mapping.name}-overlay"))
           for name, _, _ in ioctl.devices()):
        return "is being reencrypted: wait until that is over"
    if target == CRYPT_ASYNC and stands_in():
        return "is on this module already, under the name crypt"
    if target == DM_CRYPT and stands_in():
        return "would stay on this module, which is the target crypt here: " \
               "crypt-async disable-takeover, and reboot"
    return None


def _key_again(mapping, lines, error, options):
    """The key of a table that refers to a keyring which does not have it."""
    line = next(line for line in lines if line.is_crypt)
    if keys.luks_uuid(mapping):
        return line.keyring, keys.volume_key(mapping, line.device, options)
    _, kind, description = line.keyring
    raise Problem(
        f"{mapping.shown}: its key is not in the keyring any more "
        f"({error.strerror}): add {kind} key {description!r} to a keyring "
        "that root's programs see, and try again")


@contextlib.contextmanager
def _loaded(mapping, table, again):
    """A table is loaded beside the one in use, and dropped if it does not
    come to that; again() says where its key belongs and what it is, if it is
    not there."""
    with contextlib.ExitStack() as stack:
        stack.callback(mapping.clear)
        try:
            mapping.load(table)
        except OSError as error:
            stack.enter_context(keys.in_keyring(*again(error)))
            mapping.load(table)
        verify.same_data(mapping, table)
        yield


def _refuse(mapping, lines, target):
    reason = _why_not(mapping, lines, target)
    if reason:
        raise Problem(f"{mapping.shown} {reason}",
                      BUSY if "suspended" in reason or "reencrypted" in reason
                      else USAGE)


def _switch(mapping, lines, target, table, again):
    """Swap the table for another, if all is still as it was found: to ask
    for a passphrase may have taken a while. (That somebody else changes it
    between this look and the swap cannot be ruled out.)"""
    found = [line.packed() for line in mapping.table()]
    with _loaded(mapping, table, again):
        now = mapping.table()
        _refuse(mapping, now, target)
        if [line.packed() for line in now] != found:
            raise Problem(f"{mapping.shown}: somebody else changed it "
                          "meanwhile; try again", BUSY)
        mapping.switch([line.packed() for line in lines])


def move(mapping, target, options=()):
    """Move a mapping, and say so."""
    lines = mapping.table()
    if all(line.target == target for line in lines if line.is_crypt) and \
            any(line.is_crypt for line in lines):
        say(f"{mapping.shown} is on {target} already")
        return
    _refuse(mapping, lines, target)
    paths = target == CRYPT_ASYNC and boot.grub_paths(mapping)
    if paths:
        say("; ".join(boot.grub_trouble(mapping, paths)))
    keep_private()
    lines = keys.table_with_keys(mapping)
    _switch(mapping, lines, target, [line.moved(target) for line in lines],
            lambda error: _key_again(mapping, lines, error, options))
    say(f"{mapping.shown} is on {target} now")
    flags = pinned.in_table(lines)
    if flags and target == CRYPT_ASYNC:
        say(f"{mapping.shown}: {', '.join(flags)} in its table keep work on "
            "one processor, which crypt-async honours and does not need; "
            "crypt-async doctor says where they come from")


def _try(name, function, *args):
    """Call it, and say what went wrong; the code that it would end with."""
    try:
        function(*args)
        return 0
    except Problem as problem:
        say(str(problem))
        return problem.code
    except OSError as error:
        say(f"{name}: {error.strerror}")
        return code_of(error)


def _move_named(name, target, options):
    move(Mapping(name), target, options)


def move_each(names, everything, target, options):
    """Move mappings, or every encrypted one; what cannot be moved does not
    keep the rest. Returns the first failure's code, 0 if there is none."""
    if everything:
        other = DM_CRYPT if target == CRYPT_ASYNC else CRYPT_ASYNC
        codes = [_try(mapping.shown, move, mapping, target, options)
                 for mapping, lines in encrypted()
                 if any(line.target == other for line in lines)]
    else:
        codes = [_try(name, _move_named, name, target, options)
                 for name in names]
    return next(filter(None, codes), 0)


def adopt(names, everything, options):
    """crypt-async adopt"""
    load_module()
    return move_each(names, everything, CRYPT_ASYNC, options)


def release(names, everything, options):
    """crypt-async release"""
    return move_each(names, everything, DM_CRYPT, options)


def _to_keyring(mapping, options):
    """What adopt does, for a mapping whose table has the key in digits only
    since it is fresh: the new table refers to a keyring, as cryptsetup's own
    would."""
    lines = keys.table_with_keys(mapping)
    crypt = next(line for line in lines if line.is_crypt)
    key = bytes.fromhex(crypt.key)
    reference = (len(key), "logon",
                 keys.description(mapping, crypt.device, options))
    word = ":{}:{}:{}".format(*reference)
    with keys.in_keyring(reference, key):
        _switch(mapping, lines, CRYPT_ASYNC,
                [line.moved(CRYPT_ASYNC, word) for line in lines], None)


def _adopt_opened(name, options):
    """Move what cryptsetup has opened: the mapping, and those under it that a
    cascade of ciphers has."""
    wants_keyring = "--disable-keyring" not in options
    opened = Mapping(name).name
    for mapping, lines in encrypted():
        if mapping.name != opened and not re.fullmatch(
                re.escape(opened) + r"_\d+", mapping.name):
            continue
        crypt = [line for line in lines if line.is_crypt]
        if stands_in():
            continue
        if keys.luks_uuid(mapping) and wants_keyring and \
                not crypt[0].keyring:
            _to_keyring(mapping, options)
        else:
            move(mapping, CRYPT_ASYNC)


def open_volume(device, name, options):
    """crypt-async open"""
    load_module()
    keep_private()
    words = list(options)
    if "--disable-keyring" not in words:
        words.append("--disable-keyring")
    run("cryptsetup", "open", *words, device, name)
    try:
        _adopt_opened(name, options)
    except (Problem, OSError, ValueError) as error:
        run("cryptsetup", "close", name)
        raise Problem(f"{name} is closed again: {error}") from None
    return 0
