# SPDX-License-Identifier: GPL-2.0-only
"""doctor: what is in order on this machine, what is not, and what to do."""

import glob
import json
import os
import re
import shlex
import subprocess

from . import boot, live, pinned, ramdisk, upgrade
from .common import (CRYPT_ASYNC, MODULE, Problem, colour, is_loaded,
                     parameter, read)
from .mapping import all_mappings, encrypted, stands_in
from .report import FAULTS
from .takeover import RELEASE, TAKEOVER, WANTS_DM_CRYPT, is_built_in
from .temporary import leftovers

SLOW = ("generic", "lib")
# What has a processor's AES instructions, where they are a flag of it.
AES_MODULES = {"x86_64": "aesni_intel", "aarch64": "aes_ce_blk",
               "armv7l": "aes_arm_ce", "armv8l": "aes_arm_ce"}

_findings = []


def _fine(text):
    _findings.append((True, text, None))


def _wrong(text, advice):
    _findings.append((False, text, advice))


def _headers():
    if os.path.isdir(f"/lib/modules/{RELEASE}/build"):
        _fine(f"headers of {RELEASE} are there to build the module")
    else:
        flavour = re.search("-([a-z].*)", RELEASE)
        _wrong(f"no headers of {RELEASE}",
               f"apt install linux-headers-{RELEASE}" + (
                   f", or linux-headers-{flavour[1]} for every kernel to come"
                   if flavour else ""))


def _module():
    found = subprocess.run(["modinfo", "-F", "filename", MODULE], text=True,
                           capture_output=True, check=False)
    if is_loaded(MODULE):
        _fine(f"the module is loaded, version "
              f"{read(f'/sys/module/{MODULE}/version')}")
    elif found.returncode:
        _wrong(f"{RELEASE} has no module {MODULE}", "install the package "
               "crypt-async-dkms, or say make install in the sources")
    else:
        _fine(f"the module is installed: {found.stdout.strip()}")


def _dkms():
    try:
        found = subprocess.run(["dkms", "status", "dm-crypt-async"],
                               text=True, capture_output=True, check=False)
    except FileNotFoundError:
        _wrong("DKMS is not installed: a new kernel will come without the "
               "module", "apt install dkms")
        return
    text = found.stdout.strip()
    if re.search(rf", {re.escape(RELEASE)}, .*: installed", text):
        _fine("DKMS has built it for this kernel")
    elif text:
        name = text.splitlines()[-1].split(",")[0].split(":")[0]
        _wrong(f"DKMS knows it, but has not built it for {RELEASE}: {text}",
               f"dkms install {name} -k {RELEASE}; if that fails, "
               f"/var/lib/dkms/{name}/build/make.log has the reason")
    else:
        _wrong("DKMS does not know the module: a new kernel will come "
               "without it", "install the package crypt-async-dkms, or say "
               "make dkms in the sources")


def _secure_boot():
    variables = glob.glob("/sys/firmware/efi/efivars/SecureBoot-*")
    if not variables:
        _fine("no Secure Boot")
        return
    with open(variables[0], "rb") as file:
        is_on = file.read()[-1:] == b"\1"
    if not is_on:
        _fine("Secure Boot is off")
        return
    signer = subprocess.run(["modinfo", "-F", "signer", MODULE], text=True,
                            capture_output=True, check=False).stdout.strip()
    if signer:
        _fine(f"Secure Boot is on, and the module is signed by {signer}; "
              "mokutil --list-enrolled says whether the machine trusts that")
    else:
        _wrong("Secure Boot is on, and the module is not signed: it will "
               "not be loaded", "have DKMS build it, which signs, and enrol "
               "its key: mokutil --import /var/lib/dkms/mok.pub, reboot")


def _half_done():
    if upgrade.is_half_done() and not live.is_running():
        _wrong("crypt-async upgrade was ended before all was done",
               "to go on: crypt-async upgrade")
    elif upgrade.is_due():
        _wrong("the module that is loaded is not the one that is installed",
               "crypt-async upgrade, or reboot")
    if parameter("replace_dm_crypt") == "shown" and \
            not upgrade.is_half_done() and not live.is_running():
        _wrong("takeover is not complete: what is opened is on dm-crypt",
               "to complete it: crypt-async takeover; to go back: "
               "crypt-async takeover --undo")


def _targets():
    if stands_in():
        _fine("takeover: the target crypt is this module")
    elif is_loaded("dm_crypt"):
        _fine("dm-crypt is loaded beside it, as the target crypt")
    else:
        _fine("dm-crypt is not loaded")
    if is_built_in():
        text = (f"dm-crypt is built into {RELEASE}: takeover cannot work "
                "with it, crypt-async adopt does")
        if os.path.exists(TAKEOVER):
            _wrong(text, "crypt-async disable-takeover")
        else:
            _fine(text)
    elif not os.path.exists(TAKEOVER):
        _fine("the next boot uses dm-crypt; crypt-async adopt moves "
              "mappings after it")
    elif stands_in():
        _fine("the next boot uses this module as crypt")
    elif os.path.exists(WANTS_DM_CRYPT):
        _fine("takeover is undone until the next boot")
    elif is_loaded(MODULE) and parameter("replace_dm_crypt") == "N":
        _wrong("takeover is enabled, but the module runs beside dm-crypt",
               "crypt-async takeover, or reboot")


def _driver():
    best, priority = None, -1
    for entry in (read("/proc/crypto") or "").split("\n\n"):
        fields = dict((part.strip() for part in line.split(":", 1))
                      for line in entry.splitlines() if ":" in line)
        if fields.get("name") == "xts(aes)" and \
                int(fields["priority"]) > priority:
            best, priority = fields["driver"], int(fields["priority"])
    flags = read("/proc/cpuinfo") or ""
    module = AES_MODULES.get(os.uname().machine)
    if best is None:
        _fine("no driver for xts(aes) is loaded yet")
    elif module and any(word in best for word in SLOW) and \
            re.search(r"\baes\b", flags):
        _wrong(f"xts(aes) is done by {best}, though this processor has AES "
               "instructions", f"modprobe {module}, and have it loaded at "
               f"boot: echo {module} > /etc/modules-load.d/aes.conf")
    else:
        _fine(f"xts(aes) is done by {best}")


def _flags():
    for where, flags, is_wrong, advice in pinned.found(
            os.path.exists(TAKEOVER)):
        text = f"{where} {', '.join(flags)}, which keep work on one processor"
        if is_wrong:
            _wrong(text, advice)
        else:
            _fine(text)


def _is_moved(mapping):
    """Is another run at work on it?"""
    try:
        with mapping.alone():
            return not mapping.left_table()
    except Problem:
        return True


def _leftovers():
    for each in leftovers(all_mappings()):
        _wrong(f"{each.name} is left of a crypt-async that was killed",
               f"dmsetup remove --deferred {each.name}; or the next "
               "crypt-async adopt, release, open, bench or selftest removes "
               "it")
    for mapping, _ in encrypted():
        if mapping.left_table() and not _is_moved(mapping):
            _wrong(f"{mapping.shown} has a second table loaded, which a "
                   "crypt-async that was killed left",
                   f"dmsetup clear {shlex.quote(mapping.shown)}; or the next "
                   "crypt-async adopt or release of it drops it")
    if ramdisk.is_left():
        _wrong("the RAM disk of a crypt-async bench that was killed is left",
               "modprobe -r brd; or the next crypt-async bench --ram removes "
               "it")


def _grub():
    for mapping, lines in encrypted():
        if any(line.target == CRYPT_ASYNC for line in lines) and \
                (paths := boot.grub_paths(mapping)):
            _wrong(*boot.grub_trouble(mapping, paths))


def _mappings():
    for mapping, lines in encrypted():
        for line, status in zip([line for line in lines if line.is_ours],
                                mapping.status()):
            if status.get("broken"):
                _wrong(f"{mapping.shown} at {line.start} is broken: the "
                       "module found its own state wrong; writes are refused",
                       "copy the data, reboot, report it")
            bad = {key: status[key] for key in FAULTS if status.get(key)}
            if bad:
                _wrong(f"{mapping.shown} at {line.start}: " + ", ".join(
                    f"{value} {key}" for key, value in bad.items()),
                    "journalctl -k -g device-mapper says what happened")


def doctor(as_json):
    """crypt-async doctor"""
    for look in (_headers, _module, _dkms, _secure_boot, _targets, _half_done,
                 _driver, _flags, _grub, _leftovers, _mappings):
        look()
    if as_json:
        print(json.dumps([{"ok": is_fine, "text": text, "advice": advice}
                          for is_fine, text, advice in _findings], indent=1))
    else:
        for is_fine, text, advice in _findings:
            print(colour(32, "ok   ") if is_fine else colour(31, "wrong"),
                  text)
            if advice:
                print("      ->", advice)
    return 0 if all(is_fine for is_fine, _, _ in _findings) else 4
