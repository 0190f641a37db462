# SPDX-License-Identifier: GPL-2.0-only
"""enable-takeover and disable-takeover: from the next boot on this module is
the target crypt for all that asks for it, or dm-crypt is again."""

import os
import shutil
import subprocess

from .common import MODULE, Problem, read, say

TAKEOVER = "/etc/modprobe.d/crypt-async.conf"
RELEASE = os.uname().release
LISTS = f"/lib/modules/{RELEASE}"
MARK = "# Written by crypt-async enable-takeover"

# Runs in an initramfs as well, where there may be no more than a shell and
# modprobe. With -b what is blacklisted is not loaded, and that is no failure;
# so only the parameter tells whether there is a target crypt.
TEXT = MARK + f""", removed by disable-takeover.
# Whoever asks for dm_crypt gets {MODULE}, as the target crypt. Where that
# is missing, is blacklisted, does not load or is loaded beside dm_crypt:
# dm_crypt. Either gets the options for dm_crypt.
install dm_crypt /sbin/modprobe -bq {MODULE} replace_dm_crypt=1 \\
	$CMDLINE_OPTS 2>/dev/null; \\
	{{ read -r has </sys/module/{MODULE}/parameters/replace_dm_crypt && \\
	[ "$has" = Y ]; }} 2>/dev/null || \\
	exec /sbin/modprobe --ignore-install dm_crypt $CMDLINE_OPTS
"""

# What makes the initramfs of each kernel again: the first that is there.
UPDATES = (("update-initramfs", "-u", "-k", "all"),
           ("dracut", "--regenerate-all", "--force"))

NEXT = f"""\
takeover is enabled. After a reboot, what opens volumes as crypt (cryptsetup,
/etc/crypttab, the initramfs) runs on {MODULE}; crypt-async doctor
tells whether it does.
To boot on dm-crypt once, add to the kernel's command line:
  module_blacklist={MODULE}
To go back for good: crypt-async disable-takeover"""


def is_built_in():
    """Is dm-crypt a part of this kernel's image?"""
    text = read(f"{LISTS}/modules.builtin") or ""
    return any(os.path.basename(line) in ("dm-crypt.ko", "dm_crypt.ko")
               for line in text.splitlines())


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


def _put(text):
    """Write the file, or remove it if text is None."""
    if text is None:
        os.unlink(TAKEOVER)
        return
    new = TAKEOVER + ".new"         # modprobe reads only *.conf
    os.makedirs(os.path.dirname(TAKEOVER), exist_ok=True)
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, TAKEOVER)


def _update():
    """Have the initramfs of each kernel be as the file is now."""
    for words in UPDATES:
        if shutil.which(words[0]):
            say(f"{' '.join(words)}: up to a minute for each kernel")
            if subprocess.run(words, check=False).returncode:
                raise Problem(f"{words[0]} failed")
            return
    say("there is neither update-initramfs nor dracut here: if this machine "
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
        raise


def enable():
    """crypt-async enable-takeover"""
    if is_built_in():
        raise Problem(f"dm-crypt is built into {RELEASE}: nothing asks for "
                      "it as a module, and it cannot make room for another "
                      "target crypt; crypt-async adopt moves mappings one "
                      "by one")
    if subprocess.run(["modinfo", "-k", RELEASE, MODULE], check=False,
                      capture_output=True).returncode:
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
