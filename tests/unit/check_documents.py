# SPDX-License-Identifier: GPL-2.0-only
"""The documents, as far as they can be looked at without running them."""

import fnmatch
import glob
import os
import re
import sys

import documents

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")

_results = []

print("1..10", flush=True)    # two of them by the program that runs this


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
               for path in documents.files() + documents.pages()
               for command in documents.commands(documents.read(path))
               if command not in documents.ALL]
    assert not missing, "\n".join(
        ["tests/lib/userspace/documents.py has no row for:", *missing])


@point
def rows():
    """Each row is of a command that is there, and what runs it has it."""
    used = {command for path in documents.files() + documents.pages()
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


def anchors(text):
    """What the headings of a document are called in links to it."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@point
def links():
    """Links within the project lead somewhere."""
    for path in documents.files():
        name = os.path.relpath(path, TOP)
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)",
                                       documents.read(path)):
            where = os.path.join(os.path.dirname(path), link) if link else path
            built = os.path.relpath(where, TOP).startswith("build/")
            assert built or os.path.exists(where), \
                f"{name}: {link} is not there"
            assert not anchor or anchor in anchors(documents.read(where)), \
                f"{name}: {link} has no heading {anchor}"


@point
def names():
    """Files that a document names are there."""
    missing = []
    for path in documents.files():
        text = re.sub(r"^```.*?^```", "", documents.read(path),
                      flags=re.MULTILINE | re.DOTALL)
        for word in re.findall(r"`((?:docs|packaging|results|scripts|src|"
                               r"tests)/[\w./*-]+)`", text):
            if not glob.glob(f"{TOP}/{word}"):
                missing.append(f"{os.path.relpath(path, TOP)}: {word}")
    assert not missing, "\n".join(["not there:", *missing])


def own_files():
    """The files of the project, without what .gitignore names."""
    ignored = documents.read(f"{TOP}/.gitignore").replace("/", "").split()
    ignored.append(".git")
    for where, directories, names in os.walk(TOP):
        for found in directories, names:
            found[:] = [name for name in found if not any(
                fnmatch.fnmatch(name, pattern) for pattern in ignored)]
        yield from (os.path.relpath(os.path.join(where, name), TOP)
                    for name in names)


@point
def maintainers():
    """Each file belongs to an entry of MAINTAINERS, and none is empty."""
    patterns = re.findall(r"^F:\t(.+)$",
                          documents.read(f"{TOP}/MAINTAINERS"), re.MULTILINE)
    files = list(own_files())
    assert len(files) > 100, files
    used = set()
    for path in files:
        found = [pattern for pattern in patterns if path == pattern or (
            pattern.endswith("/") and path.startswith(pattern))]
        assert found, f"{path} is in no entry"
        used.update(found)
    assert used == set(patterns), f"no files: {set(patterns) - used}"


@point
def versions():
    """The changelog has its form, and README.md names the version."""
    module = ".".join(re.findall(
        r"^#define CA_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)",
        documents.read(f"{TOP}/dm-crypt-async.h"), re.MULTILINE))
    text = documents.read(f"{TOP}/CHANGELOG.md")
    found = re.findall(r"^## (.*)$", text, re.MULTILINE)
    for heading in found:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - (Unreleased|"
                            r"\d{4}-\d\d-\d\d)", heading), heading
    numbers = [tuple(map(int, re.findall(r"\d+", each.split("]")[0])))
               for each in found]
    assert numbers == sorted(numbers, reverse=True), "newest first"
    assert f"[{module}]" in " ".join(found), f"{module} is not in it"
    assert all("Unreleased" not in each for each in found[1:]), found
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed",
                     "Security"}, kinds
    assert f"Version {module};" in documents.read(f"{TOP}/README.md"), \
        f"README.md does not say that the version is {module}"


sys.exit(not all(_results))
