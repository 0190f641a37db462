# SPDX-License-Identifier: GPL-2.0-only
"""The command line."""

import argparse
import math
import os
import sys
import traceback

from . import (cryptsetup, doctor, interrupts, live, metrics, move, report,
               selftest, takeover, top, tuning, upgrade)
from .common import FAULT, MEMORY, USAGE, Problem, code_of, need_root, say
from .mapping import Mapping

HELP = """\
usage: crypt-async COMMAND ...

  adopt NAME... | --all [-- OPTIONS]    move mappings from dm-crypt to here, while they are used
  release NAME... | --all [-- OPTIONS]  move them back
  open DEVICE NAME [OPTIONS]            what cryptsetup open does, on crypt-async
  close NAME...                         what cryptsetup close does
  suspend NAME...                       what cryptsetup luksSuspend does
  resume NAME [OPTIONS]                 what cryptsetup luksResume does
  cryptsetup WORDS...                   cryptsetup itself, on adopted mappings
  status [NAME...]                      cipher, driver, settings, and what was done
  top [NAME...]                         the same, live
  tune NAME SETTING=VALUE... | reset    settings of a mapping that is used
  bench DEVICE | --ram                  measure it beside dm-crypt here; only reads DEVICE
  selftest [DRIVER...]                  try this machine's crypto drivers, on a disk in memory
  takeover [--undo] [-- OPTIONS]        take dm-crypt's place as the target crypt, now
  upgrade [-- OPTIONS]                  put the installed module in the loaded one's place
  enable-takeover                       what takeover does, from the next boot on
  disable-takeover                      the way back
  doctor                                check this machine, and say what to do

crypt-async COMMAND --help says more, crypt-async(8) all. NAME is a mapping's, or its node's path;
OPTIONS are cryptsetup's, such as --key-file. The exit status is 0, or as cryptsetup's.
"""
EXIT = """\
Exit status: 0, or as cryptsetup's: 1 wrong usage, 2 no permission or bad
passphrase, 3 out of memory, 4 wrong device, 5 device exists or is busy.
"""

DEBUG = "CRYPT_ASYNC_DEBUG"     # in the environment: where it went wrong


class Parser(argparse.ArgumentParser):
    """Of one command: what is wrong with its words is a Problem."""

    def __init__(self, command, usage, text):
        super().__init__(
            prog=f"crypt-async {command}", usage=f"crypt-async {usage}",
            description=text, epilog=EXIT, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message):
        raise Problem(f"{message}: {self.prog} --help", USAGE)


def _positive(kind):
    def convert(word):
        number = kind(word)
        if not (number > 0 and math.isfinite(number)):
            raise ValueError
        return number
    convert.__name__ = "number"     # argparse says so of what is not one
    return convert


def _json(parser, what="print JSON, for programs"):
    parser.add_argument("--json", action="store_true", help=what)


KEYS_ARE_ASKED_FOR = """

The key of a LUKS2 volume is asked for once more, by cryptsetup: OPTIONS are
those of cryptsetup open that say where it is, such as --key-file, --header or
--token-only, for each of the mappings."""


def _split(words):
    """A command's own words, and those behind --."""
    words = list(words)
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1:]


def _mover(command, text, function):
    def run(words):
        words, options = _split(words)
        parser = Parser(command, f"{command} NAME... | --all [-- OPTIONS]",
                        text + KEYS_ARE_ASKED_FOR)
        parser.add_argument("names", nargs="*", metavar="NAME",
                            help="a mapping's name, or its node's path")
        parser.add_argument("--all", action="store_true",
                            help="every encrypted mapping")
        given = parser.parse_intermixed_args(words)
        if bool(given.names) == given.all:
            parser.error("which mappings: NAME..., or --all")
        need_root()
        return function(given.names, given.all, options)
    return run


def _open(words):
    parser = Parser("open", "open DEVICE NAME [OPTIONS]", """\
Do what cryptsetup open does with the same OPTIONS, and move the mapping to
crypt-async. If that fails, the mapping is closed again.""")
    parser.add_argument("device", metavar="DEVICE")
    parser.add_argument("name", metavar="NAME",
                        help="what the mapping is to be called")
    if any(word.startswith("-") for word in words[:2]) or len(words) < 2:
        parser.parse_intermixed_args(words)
    given = parser.parse_args(words[:2])
    need_root()
    return move.open_volume(given.device, given.name, words[2:])


def _cryptsetup(words):
    parser = Parser("cryptsetup", "cryptsetup WORDS...", """\
Run cryptsetup, as it is installed, with these words: open, status, close,
resize, refresh, luksSuspend, luksResume and all others, but for reencrypt.
cryptsetup itself refuses mappings on crypt-async. Here it sees them as those
of dm-crypt, and gets their keys in the same way. They stay on crypt-async,
others on dm-crypt, and what it opens is on crypt-async.

WORDS are cryptsetup's: see cryptsetup --help and cryptsetup(8). Its exit
status is this command's, too.""")
    if words in ([], ["--help"], ["-h"]):
        parser.parse_args(words)
        parser.error("what is cryptsetup to do")
    need_root()
    return cryptsetup.cryptsetup(words)


def _through(command, action):
    def run(words):
        parser = Parser(command, f"{command} NAME...", f"""\
Do what cryptsetup {action} does, on mappings on crypt-async as on dm-crypt.""")
        parser.add_argument("names", nargs="+", metavar="NAME",
                            help="a mapping's name, or its node's path")
        given = parser.parse_args(words)
        need_root()
        return cryptsetup.each(given.names, action)
    return run


def _resume(words):
    parser = Parser("resume", "resume NAME [OPTIONS]", """\
Do what cryptsetup luksResume does with the same OPTIONS, such as --key-file,
on a mapping on crypt-async as on dm-crypt.""")
    parser.add_argument("name", metavar="NAME",
                        help="a mapping's name, or its node's path")
    given = parser.parse_args(words[:1])
    need_root()
    return cryptsetup.resume(given.name, words[1:])


def _names(parser):
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="mappings; all on crypt-async, if none is given")


def _status(words):
    parser = Parser("status", "status [NAME...] [--json | --openmetrics]",
                    """\
Show cipher, crypto driver and whether it is synchronous, settings, and what
was done and where.""")
    _names(parser)
    how = parser.add_mutually_exclusive_group()
    _json(how)
    how.add_argument("--openmetrics", action="store_true",
                     help="the same for Prometheus, with histograms")
    given = parser.parse_intermixed_args(words)
    need_root()
    if given.openmetrics:
        for line in metrics.openmetrics(list(map(Mapping, given.names))):
            print(line)
        return 0
    return report.status(given.names, given.json)


def _top(words):
    parser = Parser("top", "top [NAME...] [-n COUNT] [-d SECONDS] [--json]",
                    """\
Show live what mappings do, with latencies: half, and 99 %, of what was done
took at most so long. q ends it.""")
    _names(parser)
    parser.add_argument("-n", type=_positive(int), metavar="COUNT",
                        help="end after so many screens")
    parser.add_argument("-d", type=_positive(float), metavar="SECONDS",
                        default=2.0, help="between screens (2)")
    _json(parser, "one object of each mapping a line")
    given = parser.parse_intermixed_args(words)
    need_root()
    return top.top(given.names, given.n, given.d, given.json)


def _tune(words):
    parser = Parser("tune",
                    "tune NAME SETTING=VALUE... | reset [--persistent]", """\
Change settings of a mapping that is used:

  fragment_kib  the size limit of a fragment, into which large bios are split
  inline_kib    the largest read that is converted in an interrupt
  page_limit    pages that the mapping may hold for writes
  cpus          where its workers run, such as 0-3; any
  reset         all of them as they were""")
    parser.add_argument("name", metavar="NAME",
                        help="a mapping's name, or its node's path")
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE")
    parser.add_argument("--persistent", action="store_true",
                        help=f"keep them in {tuning.KEPT}")
    parser.add_argument("--apply", action="store_true",
                        help="give it what is kept there, as udev does")
    given = parser.parse_intermixed_args(words)
    if given.apply and not given.settings:
        need_root()
        return tuning.apply(given.name)
    tuning.check(given.settings)
    need_root()
    return tuning.tune(given.name, given.settings, given.persistent)


def _bench(words):
    parser = Parser("bench", "bench DEVICE | --ram [OPTION...]", """\
Measure the device itself, dm-crypt and crypt-async beside each other. Nobody
may use the device, and it is only read, unless told otherwise.""")
    parser.add_argument("device", nargs="?", metavar="DEVICE")
    parser.add_argument("--ram", action="store_true",
                        help="on a RAM disk of 64 MiB, which is removed")
    parser.add_argument("--seconds", type=_positive(float), metavar="N",
                        help="seconds of each run (0.5)")
    parser.add_argument("--rounds", type=_positive(int), metavar="N",
                        help="rounds in which each has a turn (5)")
    parser.add_argument("--sector-size", type=int, metavar="BYTES",
                        choices=(512, 4096), help="512 or 4096 (4096)")
    parser.add_argument("--report", metavar="FILE",
                        help="the page with figures (crypt-async-bench.html)")
    parser.add_argument("--write", action="store_true",
                        help="measure writes as well")
    parser.add_argument("--destroy-data", action="store_true",
                        help="with --write: the data on DEVICE may be lost")
    _json(parser, "a report that can be sent in")
    given = parser.parse_intermixed_args(words)
    if bool(given.device) == given.ram:
        parser.error("on what: DEVICE, or --ram")
    need_root()
    # It takes longer to import than all the rest.
    from . import bench     # pylint: disable=import-outside-toplevel
    how = bench.How(given.device, write=given.write or given.ram,
                    destroy=given.destroy_data, json=given.json)
    for name in ("seconds", "rounds", "report"):
        setattr(how, name, getattr(given, name) or getattr(how, name))
    how.unit = given.sector_size or how.unit
    return bench.bench(how)


def _selftest(words):
    parser = Parser("selftest", "selftest [DRIVER...] [--rounds N] [--json]",
                    """\
Try each crypto driver of this machine, on a disk in memory that goes away,
against the generic C implementation of the same cipher: many requests at a
time, small and large, with little memory. No volume is touched. The exit
status is 4 if a driver is wrong.""")
    parser.add_argument("drivers", nargs="*", metavar="DRIVER",
                        help="as /proc/crypto names them (all)")
    parser.add_argument("--rounds", type=_positive(int), metavar="N",
                        default=1, help="how often each is tried (1)")
    _json(parser, "a report that can be sent in")
    given = parser.parse_intermixed_args(words)
    need_root()
    return selftest.selftest(selftest.How(given.drivers, given.rounds,
                                          given.json))


def _takeover(words):
    words, options = _split(words)
    parser = Parser("takeover", "takeover [--undo] [--partial] [--persistent] "
                    "[-- OPTIONS]", f"""\
Move every encrypted mapping to this module, unload dm-crypt, and take its
place as the target crypt, so that cryptsetup and other programs work as
before. Nothing is unmounted. --undo is the way back. Everything is tried
first, and nothing is moved if something cannot be.{KEYS_ARE_ASKED_FOR}""")
    parser.add_argument("--undo", action="store_true",
                        help="move everything back to dm-crypt")
    parser.add_argument("--partial", action="store_true",
                        help="move what can be moved, and leave the rest")
    parser.add_argument("--persistent", action="store_true",
                        help="the same from the next boot on: "
                        "enable-takeover, or disable-takeover with --undo")
    given = parser.parse_args(words)
    need_root()
    function = live.undo if given.undo else live.take_over
    return function(options, given.partial, given.persistent)


def _upgrade(words):
    words, options = _split(words)
    parser = Parser("upgrade", "upgrade [-- OPTIONS]", f"""\
Have the module that is installed take the place of the one that is loaded, by
way of dm-crypt, while mappings are used. They are where they were
afterwards.{KEYS_ARE_ASKED_FOR}""")
    parser.parse_args(words)
    need_root()
    return upgrade.upgrade(options)


def _alone(command, text, function):
    def run(words):
        Parser(command, command, text).parse_args(words)
        need_root()
        return function()
    return run


def _doctor(words):
    parser = Parser("doctor", "doctor [--json]", """\
Look at headers, module, DKMS, Secure Boot, dm-crypt, the driver of AES-XTS,
options and errors of mappings, and say what to do about what is wrong. The
exit status is 4 if something is.""")
    _json(parser)
    given = parser.parse_intermixed_args(words)
    need_root()
    return doctor.doctor(given.json)


COMMANDS = {
    "adopt": _mover("adopt", """\
Move mappings from dm-crypt to crypt-async, while they are used. Those that
cannot be moved are named, and stay as they are.""", move.adopt),
    "release": _mover("release", """\
Move mappings from crypt-async to dm-crypt, while they are used. Those that
cannot be moved are named, and stay as they are.""", move.release),
    "open": _open,
    "close": _through("close", "close"),
    "suspend": _through("suspend", "luksSuspend"),
    "resume": _resume,
    "cryptsetup": _cryptsetup,
    "status": _status,
    "top": _top,
    "tune": _tune,
    "bench": _bench,
    "selftest": _selftest,
    "takeover": _takeover,
    "upgrade": _upgrade,
    "enable-takeover": _alone("enable-takeover", """\
From the next boot on, programs that ask for dm-crypt get this module, as the
target crypt. The initramfs of each kernel is made again.""", takeover.enable),
    "disable-takeover": _alone("disable-takeover", """\
The way back: from the next boot on, dm-crypt is the target crypt.""",
                               takeover.disable),
    "doctor": _doctor,
}
# They are ended by a signal between two steps only.
CHANGING = ("adopt", "release", "open", "close", "suspend", "tune", "bench",
            "takeover", "upgrade", "enable-takeover", "disable-takeover")


def run(words):
    """The exit status."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if words else USAGE
    if words[0] not in COMMANDS:
        raise Problem(f"{words[0]} is not a command: crypt-async --help",
                      USAGE)
    if words[0] in CHANGING:
        interrupts.hold()
    return COMMANDS[words[0]](words[1:])


def _ended(error):
    """Say what ended it; the exit status."""
    if os.environ.get(DEBUG) == "1":
        traceback.print_exc()
    if isinstance(error, interrupts.Ended):
        say("ended before all was done; what was not done is as it was")
        return 128 + error.number
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        return 141
    if isinstance(error, Problem):
        say(str(error))
        return error.code
    if isinstance(error, OSError):
        say(f"{error.filename or 'the kernel'}: {error.strerror or error}")
        return code_of(error)
    if isinstance(error, MemoryError):
        say("out of memory")
        return MEMORY
    say(f"a fault in this command: {type(error).__name__}: {error}; "
        f"with {DEBUG}=1 it says where, please report it")
    return FAULT


def _flush():
    """Write what is in the buffer; 0, or the exit status. What cannot be
    written is dropped, as Python would try again and say so at its end."""
    try:
        sys.stdout.flush()
        return 0
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)
        error.filename = "standard output"
        return _ended(error)


def main():
    """The exit status, whatever happens."""
    # A terminal or a pipe need not know each letter of a name.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = run(sys.argv[1:])
    except SystemExit as end:       # --help
        code = end.code or 0
    except (Exception, KeyboardInterrupt) as error:
        code = _ended(error)
    return _flush() or code
