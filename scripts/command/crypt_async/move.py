# SPDX-License-Identifier: GPL-2.0-only
"""From dm-crypt to crypt-async and back, while the mapping is used; and
opening volumes on crypt-async in the first place."""

import contextlib
import dataclasses
import re

from . import (boot, cryptsetup, interrupts, ioctl, keys, leftovers, pinned,
               verify)
from .common import (BUSY, CRYPT_ASYNC, DM_CRYPT, USAGE, Problem, code_of,
                     keep_private, load_module, run, say)
from .mapping import (KeyMissing, Mapping, encrypted, looks_like_crypt,
                      stands_in)


# Of a volume's name, while it is being reencrypted: cryptsetup's helpers.
REENCRYPTING = ("-overlay", "-hotzone", "-hotzone-forward",
                "-hotzone-backward")
# What is different from now on.
ADVICE = ("cryptsetup itself refuses mappings on crypt-async: use crypt-async "
          "close NAME, or crypt-async cryptsetup ... for its other commands")


def _why_not(mapping, lines, target):
    """Why a mapping cannot be moved, or None."""
    crypt = [line for line in lines if line.is_crypt]
    if not crypt:
        return "is not an encrypted mapping"
    if mapping.is_suspended:
        return "is suspended: resume it first (crypt-async resume, or " \
               "dmsetup resume)"
    if mapping.has_loaded:
        return "has a second table, which another program has loaded: try " \
               "again; if it stays, dmsetup clear drops it"
    others = {name for name, _, _ in ioctl.devices()} - {mapping.name}
    if others & {name for end in REENCRYPTING for name in (
            mapping.name + end, mapping.name.removesuffix(end))}:
        return "is being reencrypted: wait until that is over"
    if target == DM_CRYPT and stands_in():
        return "would stay on this module, which is the target crypt here: " \
               "crypt-async takeover --undo"
    return None


@dataclasses.dataclass
class Way:
    """How mappings are moved: where to (CRYPT_ASYNC or DM_CRYPT), cryptsetup's
    options that say where keys are, and, if they are wanted more than once,
    the keys that it was asked for, by the volumes' UUIDs."""
    target: str
    options: list = ()
    kept: dict = dataclasses.field(default=None, repr=False)

    def back(self):
        """The way back, with the same keys."""
        return Way(DM_CRYPT if self.target == CRYPT_ASYNC else CRYPT_ASYNC,
                   self.options, self.kept)

    def volume_key(self, mapping, device):
        """The key of a LUKS2 volume."""
        uuid = keys.luks_uuid(mapping)
        if self.kept is None:
            return keys.volume_key(mapping, device, self.options)
        if uuid not in self.kept:
            self.kept[uuid] = keys.volume_key(mapping, device, self.options)
        return self.kept[uuid]


def _key_again(mapping, lines, error, way):
    """The key of a table that refers to a keyring which does not have it."""
    line = next(line for line in lines if line.is_crypt and line.keyring)
    if keys.luks_uuid(mapping):
        return line.keyring, way.volume_key(mapping, line.device)
    _, kind, description = line.keyring
    raise Problem(
        f"{mapping.shown}: its key is not in the keyring any more "
        f"({error.strerror}): add {kind} key {description!r} to a keyring "
        "that root's programs see, and try again")


@contextlib.contextmanager
def _compared(mapping, table, again):
    """A table reads the same data on a mapping of its own; again() says where
    its key belongs and what it is, if it is not there."""
    with contextlib.ExitStack() as stack:
        try:
            verify.same_data(mapping, table)
        except KeyMissing as error:
            stack.enter_context(keys.in_keyring(*again(error)))
            verify.same_data(mapping, table)
        yield


@contextlib.contextmanager
def _loaded(mapping, lines, target, table):
    """A table is loaded beside the one in use, and dropped if it does not
    come to that; but not where somebody else has loaded one. It was compared
    before: if this process is killed then, nothing is loaded that a dmsetup
    resume would take."""
    with contextlib.ExitStack() as stack:
        _refuse(mapping, lines, target)
        stack.callback(mapping.clear)
        mapping.load(table)
        yield


def _refuse(mapping, lines, target):
    reason = _why_not(mapping, lines, target)
    if reason:
        raise Problem(f"{mapping.shown} {reason}",
                      USAGE if "not an encrypted" in reason or
                      "would stay" in reason else BUSY)


def _switch(mapping, lines, target, table, again):
    """Swap the table for another, if all is still as it was found: to ask
    for a passphrase may have taken a while. (That somebody else changes it
    between this look and the swap cannot be ruled out; but nobody can remove
    it, so that it is no other one.) The seconds for which I/O stood still."""
    found = [line.packed() for line in mapping.table()]
    with _compared(mapping, table, again), mapping.opened(), \
            _loaded(mapping, lines, target, table):
        now = mapping.table()
        if [line.packed() for line in now] != found:
            raise Problem(f"{mapping.shown}: another program changed it "
                          "meanwhile; try again", BUSY)
        return mapping.switch(lines)


def is_at(lines, target):
    """Are the encrypted lines all there?"""
    crypt = [line for line in lines if line.is_crypt]
    return bool(crypt) and all(line.home == target for line in crypt)


def move(mapping, way):
    """Move a mapping, and say so: the seconds for which I/O stood still, None
    if it was there already."""
    with mapping.alone():
        leftovers.tidy(mapping)
        return _move(mapping, way)


def rehearse(mapping, way):
    """Do all that move() does but for the move: a Problem if that would
    fail."""
    with mapping.alone():
        lines = _prepared(mapping, way)
        if lines:
            table = [line.moved(way.target) for line in lines]
            with _compared(mapping, table, lambda error: _key_again(
                    mapping, lines, error, way)):
                pass


def _prepared(mapping, way):
    """Its lines with keys, if it can be moved; None if it is there."""
    lines = mapping.table()
    if is_at(lines, way.target):
        return None
    _refuse(mapping, lines, way.target)
    keep_private()
    return keys.table_with_keys(mapping)


def _move(mapping, way):
    target = way.target
    lines = _prepared(mapping, way)
    if not lines:
        say(f"{mapping.shown} is on {target} already")
        return None
    paths = target == CRYPT_ASYNC and not looks_like_crypt() and \
        boot.grub_paths(mapping)
    if paths:
        say("; ".join(boot.grub_trouble(mapping, paths)))
    stood = _switch(mapping, lines, target,
                    [line.moved(target) for line in lines],
                    lambda error: _key_again(mapping, lines, error, way))
    say(f"{mapping.shown} is on {target} now; I/O stood still for at most "
        f"{1000 * stood:.0f} ms")
    flags = pinned.in_table(lines)
    if flags and target == CRYPT_ASYNC:
        say(f"{mapping.shown}: {', '.join(flags)} in its table: work stays on "
            "one processor; crypt-async obeys that but does not need it; "
            "crypt-async doctor says where they come from")
    return stood


def _try(name, function, *args):
    """Call it, and say what went wrong; the code that it would end with, and
    what it returned."""
    try:
        return 0, function(*args)
    except Problem as problem:
        say(str(problem))
        return problem.code, None
    except OSError as error:
        say(f"{name}: {error.strerror}")
        return code_of(error), None


def _move_named(name, way):
    return move(Mapping(name), way)


def move_each(names, everything, way):
    """Move mappings, or every encrypted one; what cannot be moved does not
    keep the rest. Returns the first failure's code, 0 if there is none."""
    if everything:
        jobs = [(mapping.shown, move, mapping)
                for mapping, lines in encrypted()
                if not is_at(lines, way.target) or mapping.left_table()]
    else:
        jobs = [(name, _move_named, name) for name in names]
    done = []
    for number, (name, function, which) in enumerate(jobs, 1):
        interrupts.check()
        if len(jobs) > 1:
            say(f"{number} of {len(jobs)}: {name}")
        done.append(_try(name, function, which, way))
    if way.target == CRYPT_ASYNC and not looks_like_crypt() and \
            any(stood is not None for _, stood in done):
        say(ADVICE)
    return next((code for code, _ in done if code), 0)


def adopt(names, everything, options):
    """crypt-async adopt"""
    load_module()
    leftovers.remove()
    return move_each(names, everything, Way(CRYPT_ASYNC, options))


def release(names, everything, options):
    """crypt-async release"""
    leftovers.remove()
    return move_each(names, everything, Way(DM_CRYPT, options))


def _to_keyring(mapping, options):
    """What adopt does, for a mapping whose table has the key in digits only
    since it is fresh: the new table refers to a keyring, as cryptsetup's own
    would."""
    with mapping.alone():
        lines = keys.table_with_keys(mapping)
        _swap_to_keyring(mapping, lines, options)


def _swap_to_keyring(mapping, lines, options):
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
        if all(line.is_ours for line in crypt):
            continue
        if keys.luks_uuid(mapping) and wants_keyring and \
                not crypt[0].keyring:
            _to_keyring(mapping, options)
        else:
            move(mapping, Way(CRYPT_ASYNC))


def _is_there(name):
    try:
        return bool(Mapping(name))
    except Problem:
        return False


def _close(name):
    """Close it, also if it has been moved already, or a part of it."""
    try:
        code = cryptsetup.Cryptsetup().run("close", "--", name)
    except Problem:     # without the library only what was not moved
        code, _ = interrupts.attend(["cryptsetup", "close", "--", name],
                                    waits=True)
    if code:
        say(f"{name} stays open: cryptsetup close failed")


@contextlib.contextmanager
def _closed_if_ended(name):
    """A mapping that cryptsetup opens meanwhile is closed if the command is
    to end."""
    before = _is_there(name)
    try:
        yield
    except interrupts.Ended:
        if not before and _is_there(name):
            _close(name)
        raise


def open_volume(device, name, options):
    """crypt-async open"""
    load_module()
    leftovers.remove()
    keep_private()
    words = list(options)
    if "--disable-keyring" not in words:
        words.append("--disable-keyring")
    with _closed_if_ended(name):
        run("cryptsetup", "open", *words, device, name)
    try:
        _adopt_opened(name, options)
    except (Problem, OSError, ValueError) as error:
        _close(name)
        raise Problem(f"{name} is closed again: {error}") from None
    except BaseException:
        _close(name)
        raise
    return 0
