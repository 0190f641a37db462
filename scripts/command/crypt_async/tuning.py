# SPDX-License-Identifier: GPL-2.0-only
"""tune: settings of a mapping by message, and those that are kept."""

import errno
import os
import shlex

from . import names
from .common import USAGE, Problem
from .mapping import Kernel, Mapping
from .report import SETTINGS

KEPT = "/etc/crypt-async/tune.conf"
HEAD = ("# Settings that mappings get when they come up: a name, then "
        "settings.\n# A name with spaces or quotes is quoted as in a shell. "
        "Written by\n# crypt-async tune --persistent, which leaves lines of "
        "others as they are.\n")


def _send(mapping, words):
    kernel = Kernel()
    for line in mapping.table():
        if not line.is_crypt:
            continue
        try:
            mapping.message("tune " + " ".join(words), line.start)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise Problem(f"{mapping.shown}: {kernel.said()}", USAGE) from None


def _words(line):
    """The words of a line; a name may be quoted, as in a shell. Behind white
    space or at the beginning, # starts a comment."""
    if line.lstrip().startswith("#"):
        return []
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        words = list(lexer)
    except ValueError:          # a quote that does not end
        return []
    end = next((at for at, word in enumerate(words)
                if at and word.startswith("#")), None)
    return words[:end]


def _lines():
    """The file as lines, without their ends."""
    try:
        with open(KEPT, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _kept(name):
    """The settings that are kept for what the kernel calls so, if any."""
    found = []
    for words in map(_words, _lines()):
        if words and names.is_name(words[0], name):
            found = words[1:]
    return found


def _keep(name, words):
    """Keep settings of a mapping, by its name in the kernel; none of them
    after a reset. Other lines stay as they are."""
    merged = dict(word.split("=", 1) for word in _kept(name) if "=" in word)
    merged.update(word.split("=", 1) for word in words if "=" in word)
    lines = [line for line in _lines() or HEAD.splitlines()
             if not names.is_name((_words(line) or [""])[0], name)]
    if words != ["reset"]:
        lines.append(" ".join((shlex.quote(names.shown(name)), *(
            f"{key}={value}" for key, value in merged.items()))))
    os.makedirs(os.path.dirname(KEPT), exist_ok=True)
    with open(KEPT + ".new", "w", encoding="utf-8",
              errors="surrogateescape") as file:
        file.writelines(line + "\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    os.rename(KEPT + ".new", KEPT)


def check(words):
    """Raise a Problem unless these are settings."""
    bad = [word for word in words
           if word.partition("=")[0] not in SETTINGS or "=" not in word]
    if not words or (bad and words != ["reset"]):
        raise Problem(f"{' '.join(bad) or 'nothing'}: use reset, or "
                      f"<setting>=<value> with {', '.join(SETTINGS)}", USAGE)


def tune(name, words, persistent):
    """crypt-async tune"""
    mapping = Mapping(name)
    if not any(line.is_ours for line in mapping.table()):
        raise Problem(f"{mapping.shown} is not on crypt-async")
    _send(mapping, words)
    if persistent:
        _keep(mapping.name, words)
    return 0


def apply(name):
    """Give a mapping the settings that are kept for it, if any."""
    try:
        mapping = Mapping(name)
    except Problem:
        return 0        # it went away
    words = _kept(mapping.name)
    if words and any(line.is_ours for line in mapping.table()):
        _send(mapping, words)
    return 0
