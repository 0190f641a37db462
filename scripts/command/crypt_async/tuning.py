# SPDX-License-Identifier: GPL-2.0-only
"""tune: settings of a mapping by message, and those that are kept."""

import errno
import os

from .common import USAGE, Problem
from .mapping import Kernel, Mapping
from .report import SETTINGS, is_on_module

KEPT = "/etc/crypt-async/tune.conf"
HEAD = ("# Settings that mappings get when they come up: a name, then "
        "settings.\n# Written by crypt-async tune --persistent.\n")


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
            raise Problem(f"{mapping.name}: {kernel.said()}", USAGE) from None


def _kept():
    """The settings that are kept: {name: [setting, …]}."""
    found = {}
    try:
        with open(KEPT, encoding="utf-8") as file:
            for line in file:
                words = line.split("#", 1)[0].split()
                if words:
                    found[words[0]] = words[1:]
    except FileNotFoundError:
        pass
    return found


def _keep(name, words):
    """Keep settings of a mapping; none of them after a reset."""
    found = _kept()
    merged = dict(word.split("=", 1) for word in found.pop(name, ()))
    if words != ["reset"]:
        merged.update(word.split("=", 1) for word in words)
        found[name] = [f"{key}={value}" for key, value in merged.items()]
    os.makedirs(os.path.dirname(KEPT), exist_ok=True)
    with open(KEPT + ".new", "w", encoding="utf-8") as file:
        file.write(HEAD)
        for each, settings in sorted(found.items()):
            file.write(f"{each} {' '.join(settings)}\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(KEPT + ".new", KEPT)


def tune(name, words, persistent):
    """crypt-async tune"""
    bad = [word for word in words
           if word.partition("=")[0] not in SETTINGS or "=" not in word]
    if not words or (bad and words != ["reset"]):
        raise Problem(f"{' '.join(bad) or 'nothing'}: say reset, or "
                      f"<setting>=<value> with {', '.join(SETTINGS)}", USAGE)
    mapping = Mapping(name)
    if not any(map(is_on_module, mapping.table())):
        raise Problem(f"{mapping.name} is not on crypt-async")
    _send(mapping, words)
    if persistent:
        _keep(mapping.name, words)
    return 0


def apply(name):
    """Give a mapping the settings that are kept for it, if any."""
    words = _kept().get(name)
    if words and any(map(is_on_module, (mapping := Mapping(name)).table())):
        _send(mapping, words)
    return 0
