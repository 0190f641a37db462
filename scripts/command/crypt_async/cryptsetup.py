# SPDX-License-Identifier: GPL-2.0-only
"""cryptsetup, as it is installed, on mappings of crypt-async: a library that
is preloaded shows them to it as those of the target crypt."""

import contextlib
import os
import re
import subprocess
import sys

from . import interrupts, leftovers
from .common import (MODULE, USAGE, Problem, code_of, is_loaded, load_module,
                     parameter, say)
from .keys import OLDER
from .mapping import Mapping

LIBRARY = "crypt-async-cryptsetup.so"
# In the environment, for tests: where it is.
WHERE = "CRYPT_ASYNC_PRELOAD"
# As the library has them (preload/ioctl.c).
BEFORE = "CRYPT_ASYNC_LD_PRELOAD"
ANNOUNCE = "CRYPT_ASYNC_ANNOUNCE"
ANNOUNCEMENT = "crypt-async-cryptsetup is loaded\n"

REENCRYPT = ("reencrypt is for dm-crypt: crypt-async release NAME, if the "
             "volume is on crypt-async, and then cryptsetup reencrypt as it "
             "is")
_OPTION = re.compile(r"^ +(?:-(\S), )? *--([a-z0-9_-]+)(=?)", re.MULTILINE)


def _library():
    """Where it is: beside the package, or built in the checkout."""
    beside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    top = os.path.dirname(os.path.dirname(beside))
    places = [os.environ.get(WHERE), f"{beside}/{LIBRARY}",
              f"{top}/build/preload/{LIBRARY}"]
    for place in filter(None, places):
        if os.path.isfile(place):
            return place
    raise Problem(f"{LIBRARY} is not there, which cryptsetup needs for "
                  "mappings on crypt-async: make preload, in the sources, "
                  "builds it")


class Cryptsetup:
    """cryptsetup with the library, which is known to take effect; nothing
    was done yet."""

    def __init__(self):
        library = _library()
        before = os.environ.get("LD_PRELOAD", "")
        self.environment = {
            **os.environ, BEFORE: before,
            "LD_PRELOAD": f"{library}:{before}" if before else library}
        self.help = self._ask(library)

    def _ask(self, library):
        """What cryptsetup --help says, if the library is in it."""
        try:
            done = subprocess.run(
                ["cryptsetup", "--help"], text=True, check=False,
                stdin=subprocess.DEVNULL, capture_output=True,
                env={**self.environment, ANNOUNCE: "1", "LC_ALL": "C"})
        except FileNotFoundError:
            raise Problem("cryptsetup is not installed", USAGE) from None
        announced, found, text = done.stdout.partition(ANNOUNCEMENT)
        if not found or announced:
            raise Problem(f"cryptsetup does not load {library}, without "
                          "which it refuses mappings on crypt-async: nothing "
                          "was done")
        return text

    def run(self, *words):
        """Run it; its exit status. Ctrl-C is for it to end by, not to be
        killed for: a mapping may be suspended."""
        sys.stdout.flush()
        code, _ = interrupts.attend(["cryptsetup", *words], waits=True,
                                    env=self.environment)
        return code if code >= 0 else 128 - code

    def become(self, words):
        """It takes this process's place, with its signals and exit
        status."""
        sys.stdout.flush()
        interrupts.let_go()
        os.execvpe("cryptsetup", ["cryptsetup", *words], self.environment)


def _options(text):
    """Of the text of its --help: does an option have a value?"""
    takes = {}
    for short, name, value in _OPTION.findall(text):
        takes[f"--{name}"] = bool(value)
        if short:
            takes[f"-{short}"] = bool(value)
    return takes


def actions(words, text):
    """The words that cryptsetup may take for its action: one, or none, if all
    options before it are in the text of its --help; behind one that is not,
    any of them."""
    takes, words = _options(text), list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            return words[:1]
        if not word.startswith("-") or word == "-":
            return [word]
        if word.startswith("--"):
            options = [word.partition("=")[0]]
            is_last = "=" not in word
        else:
            options, is_last = _letters(word, takes)
        if any(option not in takes for option in options):
            return words
        if takes[options[-1]] and is_last:
            words = words[1:]
    return []


def _letters(word, takes):
    """The options in a word of letters, up to one that has a value; and is
    that the last letter, so that its value is the next word?"""
    options = []
    for letter in word[1:]:
        options.append(f"-{letter}")
        if takes.get(options[-1]):
            break
    return options, len(options) == len(word) - 1


def _look_at_module():
    """The module tells keys to the library: one with the parameter show_keys
    is older, and does not."""
    if is_loaded(MODULE) and parameter("show_keys") is not None:
        raise Problem(OLDER)


def _prepared():
    """cryptsetup, when all that it needs is there. Without the module nothing
    is on crypt-async, and cryptsetup does by itself."""
    with contextlib.suppress(Problem):
        load_module()
    program = Cryptsetup()
    _look_at_module()
    leftovers.remove()
    return program


def cryptsetup(words):
    """crypt-async cryptsetup"""
    program = Cryptsetup()
    if "reencrypt" in actions(words, program.help):
        raise Problem(REENCRYPT, USAGE)
    load_module()
    _look_at_module()
    leftovers.remove_all()
    program.become(words)


def _known(name):
    """An encrypted mapping, by its name or node."""
    mapping = Mapping(name)
    if not any(line.is_crypt for line in mapping.table()):
        raise Problem(f"{mapping.shown} is not an encrypted mapping", USAGE)
    return mapping


def _do(program, name, action):
    mapping = _known(name)
    with mapping.alone():
        leftovers.tidy(mapping)
        code = program.run(action, "--", mapping.name)
    if code:
        say(f"{mapping.shown}: cryptsetup {action} failed")
    return code


def each(names, action):
    """crypt-async close and others: have cryptsetup do that with each mapping;
    the code of the first that failed, 0 if none did."""
    program, codes = _prepared(), []
    for name in names:
        interrupts.check()
        try:
            codes.append(_do(program, name, action))
        except Problem as problem:
            say(str(problem))
            codes.append(problem.code)
        except OSError as error:
            say(f"{name}: {error.strerror}")
            codes.append(code_of(error))
    return next(filter(None, codes), 0)


def resume(name, options):
    """crypt-async resume"""
    program, mapping = _prepared(), _known(name)
    with mapping.alone():
        leftovers.tidy(mapping)
    program.become(["luksResume", *options, "--", mapping.name])
