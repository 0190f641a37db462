#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: scripts/packaging/changelog.py debian|rpm VERSION SECONDS MAINTAINER
       scripts/packaging/changelog.py time VERSION SECONDS
       scripts/packaging/changelog.py text VERSION
       scripts/packaging/changelog.py date VERSION

Prints CHANGELOG.md of the checkout in another form. debian: the file
debian/changelog of VERSION and what came before; SECONDS is the time of the
sources, for where there is no date. rpm: the same for a spec file. time: the
seconds that are used for VERSION. text: the section of VERSION, as the text of
a tag. date: its date, or Unreleased. Ends with 1 and a sentence if the file
cannot be used, with 3 if it or the section is not there."""

import dataclasses
import datetime
import email.utils
import os
import re
import sys
import textwrap

PATH = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                    "..", "..", "CHANGELOG.md")
UNRELEASED = "Unreleased"
HEADING = re.compile(r"## \[(\d+\.\d+\.\d+)\] - "
                     rf"(\d{{4}}-\d\d-\d\d|{UNRELEASED})$")


class Malformed(Exception):
    """The file cannot be used, and why."""


@dataclasses.dataclass
class Section:
    """A version: its date, and pairs of a kind of change and its text."""

    version: str
    date: str
    changes: list

    def time(self):
        """The beginning of its day; None without a date."""
        if self.date == UNRELEASED:
            return None
        return datetime.datetime.fromisoformat(f"{self.date}T00:00:00+00:00")


def number(version):
    """A version as something that can be compared."""
    return tuple(map(int, version.split(".")))


def plain(text):
    """Markdown's links, as their words."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def sections(text):
    """The sections of the file, from the newest to the oldest."""
    found, kind, is_open = [], "", False
    for count, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            match = HEADING.match(line.rstrip())
            if not match:
                raise Malformed(
                    f"CHANGELOG.md:{count}: a section begins with "
                    f"'## [1.2.3] - 2026-01-31' or '## [1.2.3] - "
                    f"{UNRELEASED}'")
            found.append(Section(match[1], match[2], []))
            kind, is_open = "", False
        elif not found:
            continue
        elif line.startswith("### "):
            kind, is_open = line[4:].strip(), False
        elif not line.strip() or re.match(r"\[[^\]]*\]: ", line):
            is_open = False
        elif line.startswith("- ") or not is_open:
            found[-1].changes.append((kind, line.removeprefix("- ").strip()))
            is_open = True
        else:
            last, words = found[-1].changes[-1]
            found[-1].changes[-1] = (last, f"{words} {line.strip()}")
    for section in found:
        try:
            section.time()
        except ValueError as error:
            raise Malformed(f"CHANGELOG.md: {section.date} is no "
                            "date") from error
        if not section.changes:
            raise Malformed(f"CHANGELOG.md: the section of {section.version} "
                            "has no change")
        section.changes = [(kind, plain(words))
                           for kind, words in section.changes]
    numbers = [number(section.version) for section in found]
    if numbers != sorted(set(numbers), reverse=True):
        raise Malformed("CHANGELOG.md: the versions do not go from the "
                        "newest to the oldest")
    return found


def wrap(text, first, width=78):
    """A paragraph, with this before its first line."""
    return textwrap.fill(text, width, initial_indent=first,
                         subsequent_indent=" " * len(first),
                         break_long_words=False, break_on_hyphens=False)


def as_text(section):
    """The section without Markdown, and no line that begins with # ."""
    lines, before = [], None
    for kind, words in section.changes:
        if kind != before:
            lines += [""] * bool(lines) + ([f"{kind}:"] if kind else [])
        lines.append(wrap(words, "- "))
        before = kind
    return "\n".join(lines)


def time_of(section, found, version, seconds):
    """A section's time for the sources of a version. Where changes are listed
    that are in no version yet, these are newer than it, and have their own."""
    time = section.time()
    if time is None or section.version == version != found[0].version:
        return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
    return time


DEBIAN = """\
dm-crypt-async ({version}) unstable; urgency=medium

{changes}

 -- {maintainer}  {date}
"""
RPM = """\
* {day:%a %b %d %Y} {maintainer} - {version}-1
{changes}
"""


def as_entries(form, bullet, found, version, seconds, maintainer):
    """A version's entry, and those of the ones before."""
    entries = []
    for section in found:
        if number(section.version) > number(version):
            continue
        time = time_of(section, found, version, seconds)
        entries.append(form.format(
            version=section.version, maintainer=maintainer, day=time,
            date=email.utils.format_datetime(time), changes="\n".join(
                wrap(f"{kind}: {words}" if kind else words, bullet)
                for kind, words in section.changes)))
    return "\n".join(entries)


def main(command, version, *rest):
    """All of it."""
    try:
        with open(PATH, encoding="utf-8") as file:
            found = sections(file.read())
    except FileNotFoundError:
        print("there is no CHANGELOG.md", file=sys.stderr)
        return 3
    except Malformed as error:
        print(error, file=sys.stderr)
        return 1
    section = {section.version: section for section in found}.get(version)
    if section is None:
        print(f"CHANGELOG.md has no section of {version}", file=sys.stderr)
        return 3
    if command == "debian":
        print(as_entries(DEBIAN, "  * ", found, version, *rest), end="")
    elif command == "rpm":
        # A percent sign begins a macro.
        print(as_entries(RPM, "- ", found, version, *rest)
              .replace("%", "%%"), end="")
    elif command == "time":
        print(int(time_of(section, found, version, *rest).timestamp()))
    else:
        print(as_text(section) if command == "text" else section.date)
    return 0


if __name__ == "__main__":
    words = {"debian": 5, "rpm": 5, "time": 4, "text": 3, "date": 3}
    if words.get("".join(sys.argv[1:2])) != len(sys.argv):
        print(__doc__)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
