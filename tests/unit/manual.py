# SPDX-License-Identifier: GPL-2.0-only
"""The lists in the manual pages are those of the sources: what is in a table
of the module, or of the command, is in the page, and nothing else is."""

import glob
import os
import re

import documents
from crypt_async import common, main
from points import end, equal, point

TOP = documents.TOP

# What the target's status says, in this order: stable, for who reads it.
STATUS = """
driver fragments reads writes read_bytes written_bytes inline queued deferred
parked resumed trimmed mem_waits crypto_errors auth_errors driver_timeouts
state_errors errors broken in_flight in_flight_max pages cached fragment_kib
inline_kib page_limit cpus no_workqueue"""
# Its messages, in the order of the page.
MESSAGES = ["key set", "key wipe", "key get", "tune", "tune reset",
            "latency on", "latency off", "latency"]


def source(*patterns):
    """The text of some files."""
    return "\n".join(documents.read(path) for pattern in patterns
                     for path in sorted(glob.glob(f"{TOP}/{pattern}")))


CODE = source("src/*.c", "dm-crypt-async.c")


def section(page, title):
    """A section of a page, as text without requests."""
    text = documents.read(f"{TOP}/docs/{page}").replace("\\-", "-")
    found = re.search(rf"^\.S[SH] {title}$\n(.*?)(?=^\.S[SH]|\Z)", text,
                      re.MULTILINE | re.DOTALL)
    assert found, f"docs/{page} has no section {title}"
    return found[1]


def items(text):
    """The terms of a list, as lines without requests, and what is said of
    each."""
    found = re.findall(r"^\.T[PQ].*\n(.+)\n((?:(?!\.T[PQ]).*\n?)*)", text,
                       re.MULTILINE)
    return [(re.sub(r"^\.[A-Z]+ |\"|\\f.", "", term), said)
            for term, said in found]


def terms(text):
    """The terms; one line may have several, with commas."""
    return [term.strip() for line, _ in items(text)
            for term in line.split(",") if term.strip()]


def same(found, wanted, where):
    """Two lists with the same words, in any order."""
    assert len(wanted) > 2, f"{where}: the sources have only {wanted}"
    missing, more = set(wanted) - set(found), set(found) - set(wanted)
    assert not missing and not more, \
        f"{where}: missing {sorted(missing)}, too much {sorted(more)}"


@point
def options():
    """The options of the table line are those of the table in src/table.c."""
    wanted = re.findall(r'\[CA_OPT_\w+\]\s*= \{ "(\w+)', CODE)
    found = [re.match(r"\w+", term)[0] for term in
             terms(section("dm-crypt-async.7", "Options"))]
    same(found, wanted, "Options")


@point
def generators():
    """The IV generators are those of src/iv*.c."""
    wanted = re.findall(r'\.name\s*= "(\w+)"|STATELESS\("(\w+)"',
                        source("src/iv*.c"))
    text = section("dm-crypt-async.7", "Table line")
    text = re.search(r"The IV generators are\n(.*?)\.TP", text, re.DOTALL)[1]
    same(re.findall(r"^\.BR? (\w+)", text, re.MULTILINE),
         ["".join(words) for words in wanted], "IV generators")


@point
def messages():
    """The messages are the module's, and the settings have their limits."""
    text = section("dm-crypt-async.7", "Messages")
    named = []
    for term in terms(text):
        if re.match(r"key|tune|latency", term):
            named.append(re.match(r"\w+( (on|off|set|get|wipe|reset)\b)?",
                                  term)[0])
    equal(named, MESSAGES, "messages")
    for word in {message.split()[0] for message in MESSAGES}:
        assert f'"{word}"' in CODE, word
    settings = re.findall(r'^\t\[[A-Z_]+\]\s*= \{ "(\w+)", (\d+), (.+) \}',
                          CODE, re.MULTILINE)
    limits = dict(re.findall(r"^\.TP\n\.B (\w+)\n((?:[^.].*\n)+)",
                             text[text.index(".RS"):text.index(".RE")],
                             re.MULTILINE))
    same(limits, [*(name for name, _, _ in settings), "cpus"], "settings")
    for name, low, high in settings:
        high = str(0x7fffffff // 2) if high == "INT_MAX / 2" else high
        assert f"from {low} to {high}" in " ".join(limits[name].split()), \
            f"{name}: from {low} to {high}"


@point
def status():
    """The status line has the keys that are promised, and no others."""
    found = set(re.findall(r'\[CA_STAT_\w+\]\s*= "(\w+)', CODE))
    for text in re.findall(r'DMEMIT\("([^"]*)"', CODE):
        if "," not in text:         # of IMA's measurement
            found |= set(re.findall(r"(?<![%\w])(\w+)=(?:%|$)", text))
    found |= set(re.findall(r'^\t\[[A-Z_]+\]\s*= \{ "(\w+)", \d', CODE,
                            re.MULTILINE))
    same(found, STATUS.split(), "the module")
    same(terms(section("dm-crypt-async.7", "Status line")), STATUS.split(),
         "the page")


@point
def parameters():
    """The parameters are those of the module, with their defaults."""
    text = section("dm-crypt-async.7", "Parameters of the module")
    wanted = re.findall(r"^module_param(?:_cb)?\((\w+)", CODE, re.MULTILINE)
    same(terms(text), wanted, "parameters")
    for name in wanted:
        number = re.search(rf"^static unsigned int {name} = (\d+);", CODE,
                           re.MULTILINE)
        assert not number or re.search(rf"\b{number[1]}\b", text), \
            f"{name} is {number[1]} in the module"


@point
def tracepoints():
    """Tracepoints have their fields, and states their numbers."""
    text = section("dm-crypt-async.7", "Tracepoints")
    events = [(name, re.findall(r"__(?:field|array)\([^,]+, (\w+)", body))
              for name, body in re.findall(
                  r"TRACE_EVENT\((\w+),(.*?)TP_fast_assign", source(
                      "src/trace.h"), re.DOTALL)]
    assert len(events) > 2, events
    equal([line.split() for line, _ in items(text)],
          [[name, *fields] for name, fields in events], "events")
    for kind, event in (("base", "ca_base_move"), ("fragment", "ca_move")):
        body = re.search(rf"^enum ca_{kind}_state {{(.*?)}}", source(
            f"src/{kind}.h"), re.MULTILINE | re.DOTALL)[1]
        states = [state for state in re.findall(
            rf"^\tCA_{kind.upper()}_(\w+)", body, re.MULTILINE)
                  if state != "STATES"]
        said = next(said for line, said in items(text)
                    if line.startswith(f"{event} "))
        equal(re.findall(r"^\.BR ([A-Z]+) \" \((\d+)\)", said, re.MULTILINE),
              [(state, str(number)) for number, state in enumerate(states)],
              f"states of {event}")


@point
def commands():
    """The command's page has its commands, options and exit statuses."""
    synopsis = section("crypt-async.8", "SYNOPSIS")
    found = re.findall(r"^\.B crypt-async ([\w-]+)", synopsis, re.MULTILINE)
    same(found, main.COMMANDS, "SYNOPSIS")
    described = [term for term in
                 terms(section("crypt-async.8", "DESCRIPTION"))
                 if term.islower() and term not in ("ok", "reference",
                                                    "skipped")]
    same(described, main.COMMANDS, "DESCRIPTION")
    page = documents.read(f"{TOP}/docs/crypt-async.8").replace("\\-", "-")
    words = re.findall(r'add_argument\("(--?[\w-]+)"',
                       source("scripts/command/crypt_async/main.py"))
    assert len(words) > 10, words
    missing = [word for word in {*words, "--json"}
               if not re.search(rf"(?<![\w-]){word}(?![\w-])", page)]
    assert not missing, f"not in docs/crypt-async.8: {missing}"
    same(terms(section("crypt-async.8", "EXIT STATUS")),
         [str(number) for number in (
             0, common.USAGE, common.PERMISSION, common.MEMORY, common.DEVICE,
             common.BUSY, common.FAULT, 130, 143, 129, 141)], "EXIT STATUS")


@point
def named_files():
    """The files of the project that a page names as installed are packaged."""
    page = documents.read(f"{TOP}/docs/crypt-async.8").replace("\\-", "-")
    rules = source("packaging/debian/*.install", "packaging/debian/rules")
    packaged = set(re.findall(r"[\w.-]+", rules)) | {
        os.path.basename(path) for path in glob.glob(f"{TOP}/packaging/*/*")}
    found = re.findall(r"/usr/(?:lib|share)/[\w./-]+\w", page)
    assert len(found) > 2, found
    for path in found:
        where, name = os.path.split(path.lstrip("/"))
        assert where in rules and name in packaged, path


end()
