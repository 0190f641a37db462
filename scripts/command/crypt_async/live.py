# SPDX-License-Identifier: GPL-2.0-only
"""takeover and upgrade: this module in dm-crypt's place on a running machine,
the way back, and another version of it.

Whatever happens, each mapping is on one of the two and works. On the way,
replace_dm_crypt is "shown": dm-crypt is the target crypt for whatever is
opened, and mappings on this module are shown as crypt as well, so that
programs that know no other target go on. Between the end of dm-crypt and the
new registration of its name, modprobe has a line for whoever asks."""

import contextlib
import errno
import os
import subprocess

from . import ioctl, leftovers, move, takeover
from .common import (BUSY, CRYPT_ASYNC, DM_CRYPT, MODULE, PARAMETERS, USAGE,
                     Problem, is_loaded, load_module, parameter, read, say)
from .mapping import Kernel, stands_in
from .mover import Mover
from .takeover import WANTS_DM_CRYPT, is_built_in, remove_file, write_file

REPLACE = f"{PARAMETERS}/replace_dm_crypt"
# As the file of takeover at boot is called, whose line is the same.
LINE_NOW = "/run/modprobe.d/" + os.path.basename(takeover.TAKEOVER)
LOADED_DM_CRYPT = "dm_crypt"
# Of an upgrade: what is to be there again.
GOAL = "/run/crypt-async/upgrade.json"

_LOCK = 1 << 20         # of ioctl.lock(), behind all minor numbers


@contextlib.contextmanager
def alone():
    """No other run of this command does it."""
    try:
        ioctl.lock(_LOCK)
    except BlockingIOError:
        raise Problem("another crypt-async takeover or upgrade is at work",
                      BUSY) from None
    try:
        yield
    finally:
        ioctl.unlock(_LOCK)


def is_running():
    """Is another run of this command at it?"""
    try:
        with alone():
            return False
    except Problem:
        return True


def set_names(value):
    """Write replace_dm_crypt: None, or why the kernel refuses it now."""
    kernel = Kernel()
    try:
        # Unbuffered: what is refused would be written once more by close().
        with open(REPLACE, "wb", buffering=0) as file:
            file.write(value.encode())
    except OSError as error:
        if error.errno == errno.EBUSY:
            return kernel.said()
        if error.errno in (errno.EINVAL, errno.EACCES):
            raise Problem("the loaded module is older than this command and "
                          "cannot do that: crypt-async doctor says what to "
                          "do") from None
        raise
    return None


def program(*words):
    """Run one that has nothing to say if all is well: None, or what is
    wrong."""
    try:
        done = subprocess.run(words, text=True, check=False,
                              capture_output=True)
    except FileNotFoundError:
        raise Problem(f"{words[0]} is not installed", USAGE) from None
    if not done.returncode:
        return None
    return done.stderr.strip() or f"{words[0]} failed"


# --- to this module -------------------------------------------------------

def _is_older():
    """Has the loaded module names that cannot be changed?"""
    return not os.stat(REPLACE).st_mode & 0o200


def check_machine():
    """A Problem where it is plain that it would end half way."""
    if read("/proc/sys/kernel/modules_disabled") == "1":
        raise Problem("this machine loads and unloads no modules any more "
                      "(kernel.modules_disabled): reboot")
    if is_loaded(MODULE) and _is_older():
        raise Problem("the loaded module is older than this command, and "
                      "cannot change its names: reboot; or, if no mapping is "
                      "on it, modprobe -r " + MODULE)
    takeover.check_file()


def _check(partial, persistent):
    check_machine()
    if not is_loaded(MODULE) and not takeover.has_module():
        raise Problem(f"{takeover.RELEASE} has no module {MODULE}: install it "
                      "first; crypt-async doctor says how")
    if is_built_in() and persistent:
        raise Problem(takeover.BUILT_IN, USAGE)
    if is_built_in() and not partial:
        raise Problem(f"dm-crypt is built into {takeover.RELEASE} and cannot "
                      "be replaced: nothing was moved; --partial moves the "
                      "mappings, and what is opened later is on dm-crypt",
                      USAGE)


def put_line():
    """Have modprobe load this module for dm-crypt from now on."""
    takeover.renew()
    remove_file(WANTS_DM_CRYPT)
    if not takeover.is_enabled():
        write_file(LINE_NOW, "# Written by crypt-async takeover, until the "
                             "next boot or takeover --undo.\n" + takeover.LINE)


def _put_line_first():
    """Call put_line(); undo it if modprobe finds another line first."""
    had_line, was_wanted = map(os.path.exists, (LINE_NOW, WANTS_DM_CRYPT))
    put_line()
    try:
        takeover.check_line()
    except Problem:
        if not had_line:
            remove_file(LINE_NOW)
        if was_wanted:
            write_file(WANTS_DM_CRYPT, "")
        raise


def _end_dm_crypt():
    """Unload dm-crypt and be the target crypt alone: None, or why not."""
    reason = None
    if is_loaded(LOADED_DM_CRYPT):
        reason = program("rmmod", LOADED_DM_CRYPT)
    reason = reason or set_names("only")
    if reason and stands_in():
        # Somebody has a table by the name that would go.
        set_names("shown")
    return reason


def forward(mover):
    """Everything onto this module, which becomes crypt, if nothing stays."""
    reason = None if stands_in() else set_names("shown")
    if reason:
        raise Problem(f"nothing was moved: {reason}")

    def attempt():
        reason = mover.step()
        if reason or mover.stay() or is_built_in():
            return reason
        return _end_dm_crypt()

    mover.until(attempt, "Each mapping works. To go on: crypt-async "
           "takeover; to go back: crypt-async takeover --undo")


def _partly(mover):
    mover.say_why()
    say("takeover is not complete: dm-crypt stays the target crypt for what "
        "is opened. What was moved is shown as crypt and works, but "
        "cryptsetup resize, refresh and reencrypt move it to dm-crypt. To "
        "complete it: crypt-async takeover; to go back: crypt-async takeover "
        "--undo")


def _said_forward(mover, persistent):
    mover.report()
    if mover.reasons or is_built_in():
        _partly(mover)
    else:
        say("the target crypt is this module now"
            + ("" if persistent or takeover.is_enabled() else
               ", until the next boot; crypt-async enable-takeover makes it "
               "so for good"))


def take_over(options, partial, persistent):
    """crypt-async takeover"""
    with alone():
        _check(partial, persistent)
        load_module()
        leftovers.remove_all()
        mover = Mover(move.Way(CRYPT_ASYNC, options, {}))
        mover.rehearse()
        mover.refuse(partial)
        _put_line_first()
        forward(mover)
        remove_file(GOAL)
        _said_forward(mover, persistent)
    if persistent:
        takeover.enable()
    return mover.code()


# --- to dm-crypt ----------------------------------------------------------

def _load_dm_crypt():
    """Have dm-crypt be the target crypt: None, or why not."""
    if is_built_in():
        return None
    return program("modprobe", "--ignore-install", LOADED_DM_CRYPT)


def has_dm_crypt():
    """Is it there, to go back to?"""
    return is_built_in() or takeover.has_module("dm-crypt")


def _make_room():
    """dm-crypt beside this module. If that is the target crypt, its mappings
    are shown as crypt from now on; if not, its names stay, as there is no way
    back from that while there are mappings. A second time, since somebody may
    have asked for the target in between."""
    write_file(WANTS_DM_CRYPT, "")
    for _ in range(3):
        reason = (set_names("shown") if stands_in() else None) or \
            _load_dm_crypt()
        if not reason:
            return
    raise Problem(f"dm-crypt does not load: {reason}. Each mapping stays "
                  "where it is")


def _as_before(value, wanted, mover):
    """Nothing was moved, and nothing is to be different."""
    if not wanted:
        remove_file(WANTS_DM_CRYPT)
    try:
        # Where dm-crypt was not loaded, or nobody uses it yet.
        if value in ("Y", "only") and _end_dm_crypt():
            forward(Mover(mover.way.back()))
        if value != "only":
            set_names(value)
    except Problem as problem:
        say(str(problem))


def backward(mover, partial=None):
    """Everything onto dm-crypt, the target crypt again; or a Problem, and all
    is as it was. If partial is None there is no such option."""
    before = parameter("replace_dm_crypt"), os.path.exists(WANTS_DM_CRYPT)
    try:
        _make_room()
        mover.rehearse()
        mover.refuse(partial)
    except BaseException:
        _as_before(*before, mover)
        raise

    def attempt():
        reason = mover.step()
        return reason if reason or mover.stay() else set_names("N")

    mover.until(attempt, "Each mapping works. To go on: crypt-async "
           "takeover --undo; to take over: crypt-async takeover")


def undo(options, partial, persistent):
    """crypt-async takeover --undo"""
    with alone():
        mover = Mover(move.Way(DM_CRYPT, options, {}))
        check_machine()
        if not has_dm_crypt():
            raise Problem(f"{takeover.RELEASE} has no dm-crypt to go back "
                          "to: nothing was moved")
        if is_loaded(MODULE):
            leftovers.remove_all()
            backward(mover, partial)
        else:
            write_file(WANTS_DM_CRYPT, "")      # modprobe's line may be there
        remove_file(GOAL)
        mover.report()
        if mover.reasons:
            mover.say_why()
            say("the others are on dm-crypt, which is the target crypt for "
                "what is opened; those named stay on this module")
        else:
            remove_file(LINE_NOW)
            say("the target crypt is dm-crypt again")
    if persistent:
        takeover.disable()
    elif takeover.is_enabled():
        say("the next boot uses this module; crypt-async disable-takeover "
            "ends that, too")
    return mover.code()
