# SPDX-License-Identifier: GPL-2.0-only
"""The documents that promise something, and those that say why it is so."""

import glob
import os
import re
import sys

import documents

sys.dont_write_bytecode = True
TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from points import end, point  # noqa: E402

GUARANTEES = f"{TOP}/docs/guarantees.md"
DECISIONS = f"{TOP}/docs/decisions"
PARTS = ["Status", "Context", "Decision", "Figure", "From", "Consequence"]
MOST_LINES = 40
# They have dates: what is generated, and who changed what when.
DATED = ("docs/results/", "CHANGELOG.md")
DATE = re.compile(r"\b20\d\d-[01]\d-[0-3]\d\b")


# --- promises -------------------------------------------------------------

def promises(text):
    """(what is promised, [(test, [point])]) of each row."""
    for line in text.splitlines():
        words = line.strip("| ").split(" | ")
        if line.startswith("| ") and len(words) == 2 and \
                words != ["holds", "shown by"]:
            yield words[0], [
                (test, re.findall(r'"([^"]+)"', said)) for test, said in
                re.findall(r'`(\w+/[\w-]+)`((?:;? "[^"]+")+)', words[1])]


def joined(text):
    """Source with strings that go on in the next line put together, and so
    are comments."""
    text = re.sub(r'"\s*\n\s*f?"', "", text)
    return re.sub(r"\s*\n(?:#|//| \*)?\s*", " ", text)


def sources(test):
    """The test's files, and those of tests/tools that it starts."""
    own = [path for path in (f"{TOP}/tests/{test}",
                             *glob.glob(f"{TOP}/tests/{test}.*"))
           if os.path.isfile(path)]
    said = "".join(map(documents.read, own))
    tools = [path for path in glob.glob(f"{TOP}/tests/tools/**",
                                        recursive=True)
             if os.path.isfile(path) and os.path.relpath(path, f"{TOP}/tests")
             in said]
    return own + tools


def has_point(test, name):
    """Has a test a point of that name? A guest's test declares it; others
    print it somehow."""
    texts = [joined(documents.read(path)) for path in sources(test)]
    if test.startswith("functional/"):
        return any(name in re.findall(r'@ca\.test\(\s*f?"([^"]*)"', text)
                   for text in texts)
    return any(name in text for text in texts)


@point
def reader():
    """A row without a test, and a test or point that is not there, are seen"""
    row = ('| a | `functional/05-module` "the target is registered with a '
           'version"; "nothing of the kind"; `unit/nothing` "x" |\n'
           "| holds | shown by |\n| b | |\n| c | none |\n")
    found = dict(promises(row))
    assert list(found) == ["a", "c"] and not found["c"], found
    (test, names), (other, _) = found["a"]
    assert [has_point(test, name) for name in names] == [True, False], names
    assert not has_point(other, "x"), other


@point
def shown():
    """Each promise names tests, and points that these have"""
    rows = list(promises(documents.read(GUARANTEES)))
    assert len(rows) > 40, f"only {len(rows)} promises are found"
    wrong = [what for what, tests in rows if not tests]
    wrong += [f"{test}: {name}" for _, tests in rows for test, names in tests
              for name in names if not has_point(test, name)]
    assert not wrong, "\n".join(wrong)


# --- decisions ------------------------------------------------------------

def parts(text):
    """The names of a decision's parts."""
    return re.findall(r"^\*\*(\w+)\.\*\* \S", text, re.MULTILINE)


@point
def decided():
    """Each decision has its parts, in order, and is short"""
    paths = sorted(glob.glob(f"{DECISIONS}/[0-9]*.md"))
    assert paths, "there is none"
    for number, path in enumerate(paths, 1):
        name, text = os.path.basename(path), documents.read(path)
        assert re.fullmatch(rf"{number:04}-[a-z0-9-]+\.md", name), name
        assert text.startswith(f"# {number}. "), f"{name}: its title"
        assert parts(text) == PARTS, f"{name}: {parts(text)}"
        assert text.count("\n") <= MOST_LINES, f"{name} is long"


@point
def listed():
    """Each decision is in the list, by its title and status"""
    text = documents.read(f"{DECISIONS}/README.md")
    rows = set(re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.*) \| (.*) \|$", text,
                          re.MULTILINE))
    found = set()
    for path in glob.glob(f"{DECISIONS}/[0-9]*.md"):
        said = documents.read(path)
        number, title = re.match(r"# (\d+)\. (.*)", said).groups()
        status = re.search(r"^\*\*Status\.\*\* (.*)\.$", said, re.MULTILINE)[1]
        found.add((number, os.path.basename(path), title,
                   status[0].lower() + status[1:]))
    assert rows == found, f"{rows ^ found}"


# --- dates ----------------------------------------------------------------

@point
def undated():
    """No document tells what was run on which day"""
    found = [f"{name}: {date}" for path in documents.files()
             for name in [os.path.relpath(path, TOP)]
             if not name.startswith(DATED)
             for date in DATE.findall(documents.read(path))]
    assert not found, "\n".join(found)


end()
