# SPDX-License-Identifier: GPL-2.0-only
"""enable-takeover and disable-takeover: from the next boot on this module is
the target crypt for all that asks for it, or dm-crypt is again."""

import contextlib
import os
import re
import shutil
import subprocess

from . import interrupts
from .common import MODULE, PARAMETERS, Problem, read, say

TAKEOVER = "/etc/modprobe.d/crypt-async.conf"
RELEASE = os.uname().release
LISTS = f"/lib/modules/{RELEASE}"
MARK = "# Written by crypt-async enable-takeover"

# While it is there, dm-crypt is the target crypt all the same: the way back on
# a running machine, until the next boot.
WANTS_DM_CRYPT = "/run/crypt-async/use-dm-crypt"

# For modprobe. Runs in an initramfs as well, where there may be no more than a
# shell and modprobe. With -b what is blacklisted is not loaded, and that is no
# failure; so only the parameter tells whether there is a target crypt. It is
# written where the module was loaded before, for which modprobe sets none.
LINE = f"""\
# Whoever asks for dm_crypt gets {MODULE}, as the target crypt. Where that
# is missing, is blacklisted, does not load or is loaded beside dm_crypt:
# dm_crypt. Either gets the options for dm_crypt.
install dm_crypt p={PARAMETERS}/replace_dm_crypt; \\
	{{ [ ! -e {WANTS_DM_CRYPT} ] && \\
	{{ /sbin/modprobe -bq {MODULE} replace_dm_crypt=only $CMDLINE_OPTS; \\
	read -r has <$p; }} && \\
	case $has in only|Y) ;; *) echo only >$p || echo Y >$p;; esac; \\
	}} 2>/dev/null || \\
	exec /sbin/modprobe --ignore-install dm_crypt $CMDLINE_OPTS
"""
TEXT = f"{MARK}, removed by disable-takeover.\n{LINE}"

BUILT_IN = (f"dm-crypt is built into {RELEASE} and cannot be replaced: "
            "nothing asks for it as a module; crypt-async adopt moves "
            "mappings one by one")

# What makes the initramfs of each kernel again: the first that is there.
UPDATES = (("update-initramfs", "-u", "-k", "all"),
           ("dracut", "--regenerate-all", "--force"))

NEXT = f"""\
takeover is enabled. From the next boot on, what opens volumes as crypt
(cryptsetup, /etc/crypttab, the initramfs) runs on {MODULE};
crypt-async doctor tells whether it does, crypt-async takeover does it now.
To boot on dm-crypt once, add to the kernel's command line:
  module_blacklist={MODULE}
To go back for good: crypt-async disable-takeover"""


def is_built_in():
    """Is dm-crypt a part of this kernel's image?"""
    text = read(f"{LISTS}/modules.builtin") or ""
    return any(os.path.basename(line) in ("dm-crypt.ko", "dm_crypt.ko")
               for line in text.splitlines())


def is_enabled():
    """For the next boot?"""
    return os.path.exists(TAKEOVER)


def has_module(name=MODULE):
    """Has this kernel a module of that name, whether loaded or not?"""
    return not subprocess.run(["modinfo", "-k", RELEASE, name], check=False,
                              capture_output=True).returncode


def _others_line():
    """What modprobe does for dm_crypt, if that is not what LINE says. Of
    several lines modprobe takes the first."""
    shown = subprocess.run(["modprobe", "--showconfig"], text=True,
                           check=False, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, errors="replace").stdout
    first = re.search(r"^install\s+dm[-_]crypt\s+(.*)$", shown, re.MULTILINE)
    return first[1] if first and WANTS_DM_CRYPT not in first[1] else None


def check_line():
    """A Problem if modprobe does something else for dm_crypt."""
    other = _others_line()
    if other:
        raise Problem("modprobe has another line for dm_crypt, which comes "
                      f"first: install dm_crypt {other}. Each mapping stays "
                      "where it is; move that line out of modprobe's "
                      "configuration (man modprobe.d says where it is)")


def _found():
    """The file as it is, None where there is none; takeover must have
    written it."""
    try:
        with open(TAKEOVER, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    if not text.startswith(MARK):
        raise Problem(f"{TAKEOVER} is not what crypt-async wrote: move it "
                      "away first")
    return text


def write_file(path, text):
    """Write a file, whole or not at all."""
    new = path + ".new"             # modprobe reads only *.conf
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)


def remove_file(path):
    """Remove one, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def check_file():
    """A Problem if there is a file of that name that is not its own."""
    _found()


def renew():
    """If it is enabled by an older version's line, write this one's, which an
    initramfs can do without."""
    text = _found()
    if text is not None and LINE not in text:
        _put(TEXT)


def _put(text):
    """Write the file, or remove it if text is None."""
    if text is None:
        remove_file(TAKEOVER)
    else:
        write_file(TAKEOVER, text)


def _update():
    """Have the initramfs of each kernel be as the file is now."""
    for words in UPDATES:
        if shutil.which(words[0]):
            say(f"{' '.join(words)}: up to a minute for each kernel")
            if interrupts.attend(words, waits=True)[0]:
                raise Problem(f"{words[0]} failed")
            return
    say("neither update-initramfs nor dracut is installed: if this machine "
        "boots with an initramfs, make that again")


def _change(text):
    """File and initramfs as they should be, or as they were."""
    before = _found()
    if text != before:
        _put(text)
    try:
        _update()
    except BaseException as error:
        say("that did not work, going back")
        if text != before:
            _put(before)
        try:
            _update()
        except Problem:
            raise Problem(f"{error or 'interrupted'}, and failed to go back: "
                          f"{TAKEOVER} is as it was, but some initramfs may "
                          "not be; make them again when the cause is gone") \
                from None
        interrupts.check()
        raise


def enable():
    """crypt-async enable-takeover"""
    if is_built_in():
        raise Problem(BUILT_IN)
    if not has_module():
        raise Problem(f"{RELEASE} has no module {MODULE}: install it first; "
                      "crypt-async doctor says how")
    _change(TEXT)
    say(NEXT)
    return 0


def disable():
    """crypt-async disable-takeover"""
    if _found() is None:
        say("takeover is not enabled")
        return 0
    _change(None)
    say("takeover is disabled: the next boot uses dm-crypt")
    return 0
