# SPDX-License-Identifier: GPL-2.0-only
"""The documents, as far as they can be looked at without running them."""

import glob
import os
import re
import sys

import documents

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")

# What the target's status says, in this order: stable, for who reads it.
STATUS = """
driver fragments reads writes read_bytes written_bytes inline queued deferred
parked resumed trimmed mem_waits crypto_errors auth_errors driver_timeouts
state_errors errors broken in_flight in_flight_max pages cached fragment_kib
inline_kib page_limit cpus"""

_results = []

print("1..9", flush=True)       # two of them by the program that runs this


def point(function):
    """A test point, with the first line of its docstring as its name."""
    try:
        function()
        _results.append(True)
    except AssertionError as error:
        _results.append(False)
        for line in str(error).splitlines():
            print(f"# {line}")
    print("ok" if _results[-1] else "not ok", len(_results), "-",
          function.__doc__.splitlines()[0].rstrip("."))


def source(*patterns):
    """The text of some files."""
    return "\n".join(documents.read(path) for pattern in patterns
                     for path in sorted(glob.glob(f"{TOP}/{pattern}")))


@point
def found():
    """Commands are found, and nothing else."""
    text = ("text\n\n    make x      # why\n    a \\\n      b\n\n1. list\n"
            "    no\n```sh\none # two\n```\n```\nno\n```\n\n    two\n")
    assert documents.commands(text) == ["make x", "a b", "one", "two"], \
        documents.commands(text)


@point
def each_is_run():
    """Each command in the documents is run by a test that is named."""
    missing = [f"{os.path.relpath(path, TOP)}: {command}"
               for path in documents.files()
               for command in documents.commands(documents.read(path))
               if command not in documents.ALL]
    assert not missing, "\n".join(
        ["tests/lib/userspace/documents.py has no row for:", *missing])


@point
def rows():
    """Each row is of a command that is there, and what runs it has it."""
    used = {command for path in documents.files()
            for command in documents.commands(documents.read(path))}
    unused = documents.ALL - used
    assert not unused, f"in no document: {unused}"
    for command, (path, text) in documents.ELSEWHERE.items():
        assert text in documents.read(f"{TOP}/{path}"), \
            f"{path} does not have {text!r}, for {command}"


@point
def targets():
    """make has each target that a document names."""
    have = set(re.findall(r"^([a-z-]+):", documents.read(f"{TOP}/Makefile"),
                          re.MULTILINE))
    named = set(re.findall(r"^\s*make ([a-z][a-z-]*)",
                           "\n".join(map(documents.read, documents.files())),
                           re.MULTILINE))
    assert named and named <= have, f"not in the Makefile: {named - have}"


@point
def links():
    """Links within the project lead somewhere."""
    for path in documents.files():
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)",
                               documents.read(path)):
            where = os.path.join(os.path.dirname(path), link)
            built = os.path.relpath(where, TOP).startswith("build/")
            assert built or os.path.exists(where), \
                f"{os.path.relpath(path, TOP)}: {link} is not there"


@point
def manual():
    """The target's manual page has its options, counters and parameters."""
    page = documents.read(f"{TOP}/docs/dm-crypt-async.7").replace("\\-", "-")
    code = source("src/*.c", "dm-crypt-async.c")
    words = re.findall(r"module_param\((\w+)", code)
    words += re.findall(r'\[CA_(?:OPT|STAT)_\w+\]\s*= (?:\{ )?"(\w+)', code)
    words += re.findall(r'^\t\[[A-Z_]+\]\s*= \{ "(\w+)", \d', code,
                        re.MULTILINE)
    words += STATUS.split()
    words += re.findall(r"TRACE_EVENT\((\w+)", source("src/trace.h"))
    assert len(words) > 40, f"only {words} are found"
    missing = [word for word in words if not re.search(rf"\b{word}\b", page)]
    assert not missing, f"not in docs/dm-crypt-async.7: {missing}"


@point
def status():
    """The keys of the target's status are those that are promised."""
    code = source("src/*.c", "dm-crypt-async.c")
    found = set(re.findall(r'\[CA_STAT_\w+\]\s*= "(\w+)', code))
    for text in re.findall(r'DMEMIT\("([^"]*)"', code):
        if "," not in text:         # of IMA's measurement
            found |= set(re.findall(r"(?<![%\w])(\w+)=(?:%|$)", text))
    found |= set(re.findall(r'^\t\[[A-Z_]+\]\s*= \{ "(\w+)", \d', code,
                            re.MULTILINE))
    wanted = set(STATUS.split())
    assert found == wanted, (f"new: {sorted(found - wanted)}, "
                             f"gone: {sorted(wanted - found)}")


sys.exit(not all(_results))
