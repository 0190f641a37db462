# SPDX-License-Identifier: GPL-2.0-only
"""The command line."""

import sys

from . import doctor, move, report, takeover, tuning
from .common import DEVICE, USAGE, Problem, need_root, say

HELP = """\
usage: crypt-async COMMAND ...

  adopt NAME... | --all [-- OPTIONS]    move mappings from dm-crypt to here, while they are used
  release NAME... | --all [-- OPTIONS]  move them back
  open DEVICE NAME [OPTIONS]            what cryptsetup open does, on crypt-async
  status [NAME...] [--json]             cipher, driver, settings, and what was done
  top [NAME...] [-n COUNT] [-d SECONDS] the same, live
  tune NAME SETTING=VALUE... [--persistent]
  tune NAME reset [--persistent]        settings of a mapping that is used
  bench DEVICE | --ram [--seconds N] [--rounds N] [--report FILE]
                                        measure it beside dm-crypt here; only reads DEVICE
  enable-takeover                       from the next boot on, be the target crypt itself
  disable-takeover                      the way back
  doctor                                what is in order here, and what is not

OPTIONS are cryptsetup's, such as --key-file or --header. A mapping keeps its
name, its UUID and what is mounted on it. Settings are fragment_kib,
inline_kib, page_limit and cpus; see crypt-async(8).

Exit status: 0, or as cryptsetup's: 1 wrong usage, 2 no permission or bad
passphrase, 3 out of memory, 4 wrong device, 5 device exists or is busy.
"""


def _options(words, flags=(), values=()):
    """Split words into operands, flags, values by name, and what is behind
    --."""
    operands, given, rest = [], {}, []
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            rest = words
            break
        if word in flags:
            given[word] = True
        elif word in values:
            if not words:
                raise Problem(f"{word} needs a value", USAGE)
            given[word] = words.pop(0)
        elif word.startswith("-"):
            raise Problem(f"{word} is not known: crypt-async --help", USAGE)
        else:
            operands.append(word)
    return operands, given, rest


def _move(function):
    def command(words):
        names, given, rest = _options(words, flags=("--all",))
        if bool(names) == ("--all" in given):
            raise Problem("which mappings: NAME..., or --all", USAGE)
        return function(names, "--all" in given, rest)
    return command


def _open(words):
    # Options may stand anywhere, as cryptsetup takes them; those with a
    # value of their own are written --option=value, or behind the name.
    operands = []
    words = list(words)
    while words and len(operands) < 2 and not words[0].startswith("-"):
        operands.append(words.pop(0))
    if len(operands) != 2:
        raise Problem("crypt-async open DEVICE NAME [OPTIONS]", USAGE)
    return move.open_volume(*operands, words)


def _status(words):
    names, given, _ = _options(words, flags=("--json",))
    return report.status(names, "--json" in given)


def _number(given, name, kind, default):
    try:
        return kind(given.get(name, default)) if name in given else default
    except ValueError:
        raise Problem(f"{name}: not a number", USAGE) from None


def _top(words):
    names, given, _ = _options(words, values=("-n", "-d"))
    return report.top(names, _number(given, "-n", int, None),
                      _number(given, "-d", float, 2.0))


def _tune(words):
    operands, given, _ = _options(words, flags=("--persistent", "--apply"))
    if not operands:
        raise Problem("tune which mapping?", USAGE)
    if "--apply" in given:
        return tuning.apply(operands[0])
    return tuning.tune(operands[0], operands[1:], "--persistent" in given)


def _alone(function):
    def command(words):
        if any(_options(words)):
            raise Problem(f"{' '.join(words)}: nothing is wanted there", USAGE)
        return function()
    return command


def _bench(words):
    # It takes longer to import than all the rest.
    from . import bench     # pylint: disable=import-outside-toplevel
    operands, given, _ = _options(
        words, flags=("--ram", "--write", "--destroy-data"),
        values=("--seconds", "--rounds", "--sector-size", "--report"))
    if len(operands) + ("--ram" in given) != 1:
        raise Problem("on what: DEVICE, or --ram", USAGE)
    how = bench.How(operands[0] if operands else None)
    how.write = "--write" in given or "--ram" in given
    how.destroy = "--destroy-data" in given
    how.seconds = _number(given, "--seconds", float, how.seconds)
    how.rounds = _number(given, "--rounds", int, how.rounds)
    how.unit = _number(given, "--sector-size", int, how.unit)
    how.report = given.get("--report", how.report)
    return bench.bench(how)


COMMANDS = {
    "adopt": _move(move.adopt),
    "release": _move(move.release),
    "open": _open,
    "status": _status,
    "top": _top,
    "tune": _tune,
    "bench": _bench,
    "enable-takeover": _alone(takeover.enable),
    "disable-takeover": _alone(takeover.disable),
    "doctor": _alone(doctor.doctor),
}


def main():
    """The exit status."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if words else USAGE
    try:
        if words[0] not in COMMANDS:
            raise Problem(f"{words[0]} is not a command: crypt-async --help",
                          USAGE)
        if words[1:] in (["-h"], ["--help"]):
            print(HELP, end="")
            return 0
        need_root()
        return COMMANDS[words[0]](words[1:])
    except Problem as problem:
        say(str(problem))
        return problem.code
    except OSError as error:
        say(f"{error.filename or 'the kernel'}: {error.strerror}")
        return DEVICE
    except KeyboardInterrupt:
        return 130
