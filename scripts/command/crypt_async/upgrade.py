# SPDX-License-Identifier: GPL-2.0-only
"""upgrade: the module that is installed takes the place of the one that is
loaded. Both have one name, so that the way is by dm-crypt. What is to be
there again is in a file meanwhile, so that a second run can go on."""

import json
import os
import subprocess

from . import leftovers, live, move, takeover
from .common import DM_CRYPT, MODULE, Problem, is_loaded, parameter, read, say
from .live import GOAL
from .mapping import encrypted
from .mover import Mover

LOADED = f"/sys/module/{MODULE}/srcversion"
NAMES = "replace_dm_crypt"
ENFORCED = "/sys/module/module/parameters/sig_enforce"
LOCKDOWN = "/sys/kernel/security/lockdown"


def _field(name):
    """What the module that modprobe would load says of itself, or None."""
    done = subprocess.run(["modinfo", "-k", takeover.RELEASE, "-F", name,
                           MODULE], text=True, check=False,
                          capture_output=True)
    return done.stdout.strip() or None


def installed():
    """The source version of the module that modprobe would load, None where
    there is none."""
    return _field("srcversion")


def is_due():
    """Is another one loaded than is installed?"""
    found = installed()
    return bool(found) and is_loaded(MODULE) and read(LOADED) != found


def is_half_done():
    """Was an upgrade killed?"""
    return os.path.exists(GOAL)


def forget():
    """No upgrade is to be ended any more."""
    takeover.remove_file(GOAL)


def _as_it_is():
    """The state that the upgrade restores at its end: names, mappings."""
    return {
        "names": parameter(NAMES),
        "wants_dm_crypt": os.path.exists(takeover.WANTS_DM_CRYPT),
        "mappings": [mapping.uuid or mapping.name
                     for mapping, lines in encrypted()
                     if any(line.is_ours for line in lines)],
    }


def _goal():
    """The state to restore: that of a killed run, or else the present one,
    which is saved."""
    text = read(GOAL)
    if text is None:
        goal = _as_it_is()
        takeover.write_file(GOAL, json.dumps(goal))
        return goal
    say("going on with an upgrade that was killed")
    return json.loads(text)


def _must_be_signed():
    """Does the kernel load no module without a signature?"""
    return read(ENFORCED) == "Y" or \
        any(f"[{level}]" in (read(LOCKDOWN) or "")
            for level in ("integrity", "confidentiality"))


def _check_module():
    """A Problem where it is plain that the installed module will not load."""
    built_for = (_field("vermagic") or "").split()[:1]
    if built_for and built_for != [takeover.RELEASE]:
        raise Problem(f"the installed module was built for {built_for[0]}, "
                      f"and this is {takeover.RELEASE}: nothing was moved; "
                      "have it built for this kernel, crypt-async doctor says "
                      "how")
    if _must_be_signed() and not _field("signer"):
        raise Problem("this machine loads signed modules only, and the "
                      "installed one is not signed: nothing was moved; "
                      "crypt-async doctor says how it is signed")


def _check():
    live.check_machine()
    if is_due():
        _check_module()
    if not live.has_dm_crypt():
        raise Problem(f"{takeover.RELEASE} has no dm-crypt, on which mappings "
                      "would wait for the new module: nothing was moved; "
                      "reboot")
    if parameter(NAMES) in ("Y", "only"):
        takeover.check_line()


def _go_back(goal, mover, is_first):
    """To dm-crypt; if that is not to be, the first run has begun nothing."""
    try:
        live.backward(mover)
        if mover.reasons:
            mover.say_why()
            raise Problem("not everything is on dm-crypt; each mapping works. "
                          "To go on: crypt-async upgrade", mover.code())
    except BaseException:
        if is_first and not mover.moved and \
                parameter(NAMES) == goal["names"]:
            forget()
        raise


def _load():
    """The installed one, as a module that nobody uses."""
    reason = live.program("modprobe", MODULE, f"{NAMES}=N")
    if reason:
        raise Problem(f"the installed module does not load: {reason}. All "
                      "mappings are on dm-crypt, and work. When the cause "
                      "is gone: crypt-async upgrade")


def _restore(goal, way):
    """Back from dm-crypt, to where it was: who moved it."""
    if goal["names"] in ("Y", "only"):
        mover = Mover(way)
        live.put_line()
        live.forward(mover)
        if goal["names"] == "Y":
            live.set_names("Y")
        return mover
    mover = Mover(way, lambda mapping: (mapping.uuid or mapping.name)
                  in goal["mappings"])
    if not goal["wants_dm_crypt"]:
        takeover.remove_file(takeover.WANTS_DM_CRYPT)
    live.set_names(goal["names"])
    mover.until(mover.step,
                "Each mapping works. To go on: crypt-async upgrade")
    return mover


def upgrade(options):
    """crypt-async upgrade"""
    if not installed():
        raise Problem(f"{takeover.RELEASE} has no module {MODULE}: install it "
                      "first; crypt-async doctor says how")
    with live.alone():
        if not is_half_done() and not is_due():
            say("the module that is installed is loaded"
                if is_loaded(MODULE) else "the module is not loaded")
            return 0
        _check()
        leftovers.remove_all()
        is_first = not is_half_done()
        goal = _goal()
        back = Mover(move.Way(DM_CRYPT, options, {}))
        if is_due():
            _go_back(goal, back, is_first)
            back.until(lambda: live.program("rmmod", MODULE), "All mappings "
                       "are on dm-crypt. To go on: crypt-async upgrade")
        if not is_loaded(MODULE):
            _load()
        mover = _restore(goal, back.way.back())
        mover.report()
        if mover.reasons:
            mover.say_why()
            raise Problem("the others are where they were. To go on: "
                          "crypt-async upgrade", mover.code())
        forget()
        say(f"version {read(f'/sys/module/{MODULE}/version')} of the module "
            "is loaded")
        return 0
