# SPDX-License-Identifier: GPL-2.0-only
"""Which of the two modules the line for modprobe loads, and what it writes to
replace_dm_crypt. A limit of a file's size stands for a kernel that refuses
what is written."""

import os
import re
import resource
import signal
import subprocess
import tempfile

from crypt_async import takeover
from points import end, equal, point

SHELLS = {"dash": ["dash", "-c"], "busybox": ["busybox", "sh", "-c"],
          "klibc": ["/usr/lib/klibc/bin/sh", "-c"]}
OPTIONS = "max_read_size=65536 max_write_size=65536"
# It prints what it is asked for; the module comes with the parameter's file.
MODPROBE = """\
#!/bin/sh
echo "$*"
[ "$1" = -bq ] || exit {code}
[ -e {new} ] || exit {missing}
[ -e {parameter} ] || cp {new} {parameter}
"""
ANY = None              # no limit
NOTHING, ONE_WORD = 0, len("Y\n")


def command(directory):
    """What modprobe has the shell run, on files that are made up."""
    text = re.sub(r"^#.*\n", "", takeover.LINE, flags=re.MULTILINE)
    text = text.replace("\\\n", "").strip()
    assert "\n" not in text, text
    start, _, text = text.partition("dm_crypt ")
    equal(start, "install ", "modprobe's word")
    for there, here in ((f"{takeover.PARAMETERS}/replace_dm_crypt",
                         f"{directory}/parameter"),
                        (takeover.WANTS_DM_CRYPT, f"{directory}/flag"),
                        ("/sbin/modprobe", f"{directory}/modprobe")):
        assert there in text, there
        text = text.replace(there, here)
    return text.replace("$CMDLINE_OPTS", OPTIONS)   # as modprobe does


def run(shell, before, new, *, flag=False, limit=ANY, code=0, missing=1):
    """Run it: its exit status, what modprobe was asked for, and what the
    parameter is. Before, it is something or the module is not loaded; new is
    what it is with the module, or that does not load; code and missing are
    modprobe's for dm-crypt and for the module that does not load."""
    def child():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if limit is not ANY:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (("parameter", before), ("new", new),
                           ("flag", "" if flag else None)):
            if text is not None:
                with open(f"{directory}/{name}", "w", encoding="ascii") as out:
                    out.write(text and text + "\n")
        with open(f"{directory}/modprobe", "w", encoding="ascii") as out:
            out.write(MODPROBE.format(code=code, missing=missing,
                                      new=f"{directory}/new",
                                      parameter=f"{directory}/parameter"))
        os.chmod(f"{directory}/modprobe", 0o755)
        done = subprocess.run(
            [*SHELLS[shell], command(directory)], text=True, check=False,
            capture_output=True, preexec_fn=child, restore_signals=False)
        equal(done.stderr, "", f"what {shell} says")
        value = None
        if os.path.exists(f"{directory}/parameter"):
            with open(f"{directory}/parameter", encoding="ascii") as file:
                value = file.read().strip()
        return done.returncode, done.stdout.splitlines(), value


ASKED = f"-bq dm_crypt_async replace_dm_crypt=only {OPTIONS}"
OTHER = f"--ignore-install dm_crypt {OPTIONS}"


def check(what, wanted, *given, **how):
    """The same in each shell."""
    for shell in SHELLS:
        equal(run(shell, *given, **how), wanted, f"{what}, in {shell}")


@point
def ours():
    """The module is loaded, and no other one, with dm-crypt's options."""
    check("not loaded before", (0, [ASKED], "only"), None, "only")
    for value in "only", "Y":
        check(f"loaded before, {value}", (0, [ASKED], value), value, "only")


@point
def written():
    """Where the module was loaded before, the parameter is written: only, or Y
    if a table has the other name."""
    for value in "N", "shown":
        check(value, (0, [ASKED], "only"), value, "only")
        check(f"{value}, only is refused", (0, [ASKED], "Y"), value, "only",
              limit=ONE_WORD)


@point
def theirs():
    """dm-crypt is loaded, with its options, where the module is missing or
    blacklisted, or cannot have the name."""
    check("missing", (0, [ASKED, OTHER], None), None, None)
    for value in "N", "shown":
        # What is left of it here is not the kernel's.
        for shell in SHELLS:
            code, asked, _ = run(shell, value, "only", limit=NOTHING)
            equal((code, asked), (0, [ASKED, OTHER]),
                  f"both are refused, {value}, in {shell}")


@point
def blacklisted():
    """A blacklisted module, no failure for modprobe -b: dm-crypt is loaded."""
    check("blacklisted", (0, [ASKED, OTHER], None), None, None, missing=0)


@point
def wanted():
    """dm-crypt is loaded where takeover --undo wants it, whatever there is."""
    for before in None, "N", "Y", "only", "shown":
        check(f"wanted, {before}", (0, [OTHER], before), before, "only",
              flag=True)


@point
def fails():
    """Where dm-crypt does not load either, modprobe hears of it."""
    check("neither", (3, [ASKED, OTHER], None), None, None, code=3)
    check("not asked for", (0, [ASKED], "only"), None, "only", code=3)


end()
