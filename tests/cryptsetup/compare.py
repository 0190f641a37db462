# SPDX-License-Identifier: GPL-2.0-only
"""What became of a test of cryptsetup's own on dm-crypt, and on ours."""

import dataclasses
import difflib
import re

# How scripts/lab/vm and the tests end.
PASSED, SKIPPED, NOT_STARTED, OUT_OF_TIME, DIED = 0, 77, 99, 124, 125
# What is another number each time.
VARIES = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
                    r"|/dev/(loop|sd)[0-9a-z]+|\d+\.\d+ ?[KMG]iB/s")
SECTION = re.compile(r"\[\d+\] ")
# On standard error: how long a test is, and a line of it that is run, which is
# the first number if it is in a function.
LENGTH = re.compile(r"^(lines|parts): (\d+)$", re.MULTILINE)
AT = re.compile(r"^\++(\d*):(\d+): ", re.MULTILINE)


@dataclasses.dataclass
class Outcome:
    """How a guest ended, and what the test said there."""
    status: int
    said: str
    traced: str = ""

    def lines(self):
        """What can be compared."""
        return [VARIES.sub("#", line).rstrip()
                for line in self.said.splitlines()]

    def last(self):
        """The last line, which says why a test was skipped or what failed."""
        return next((line for line in reversed(self.lines()) if line),
                    "it said nothing")

    def reached(self):
        """The lines that are whole, up to where it was cut off: before the
        last one that begins a section, if there are sections. What went before
        has passed, since a test ends where it fails."""
        lines = self.lines()
        begin = [number for number, line in enumerate(lines)
                 if SECTION.match(line)]
        return lines[:begin[-1] if begin else -1]

    def share(self):
        """How far it came, and of how much: of a script its line, of a program
        the parts that have passed; and which of these it is. None if nothing
        tells."""
        length = LENGTH.search(self.traced)
        if not length:
            return None
        at = len(self.reached())
        if length[1] == "lines":
            at = max((int(outer or inner) for outer, inner
                      in AT.findall(self.traced)), default=0)
        return at, int(length[2]), length[1]


def shorter(*outcomes):
    """The smaller share, in words."""
    shares = [outcome.share() for outcome in outcomes]
    if None in shares:
        return ""
    at, length, kind = min(shares)
    return f" ({'at line' if kind == 'lines' else 'after part'} {at} of " \
        f"{length})"


def differences(theirs, ours):
    """The lines that only one of the two has."""
    return list(difflib.unified_diff(
        theirs, ours, "dm-crypt", "crypt-async", n=1, lineterm=""))


def begins_as(theirs, ours):
    """What is different before the shorter one ends."""
    count = min(len(theirs), len(ours))
    return differences(theirs[:count], ours[:count])


def judge(theirs, ours):
    """A problem, or None; why it is no result, or None; and lines that
    explain: what passes on dm-crypt has to pass, and skip the same."""
    for outcome, target in (theirs, "dm-crypt"), (ours, "crypt-async"):
        if outcome.status == DIED:
            return f"the kernel complained on {target}", None, []
        if outcome.status == NOT_STARTED:
            return f"it was not started on {target}", None, []
    if theirs.status == OUT_OF_TIME or ours.status == OUT_OF_TIME:
        return out_of_time(theirs, ours)
    if theirs.status not in (PASSED, SKIPPED):
        return fails_there(theirs, ours)
    different = differences(theirs.lines(), ours.lines())
    if ours.status != theirs.status:
        return ("it ends with another status: "
                f"{ours.status}, not {theirs.status}"), None, different
    if different:
        return "it says something else", None, different
    if ours.status == SKIPPED:
        return None, f"skips itself: {ours.last()}", []
    return None, None, []


def out_of_time(theirs, ours):
    """At least one of the two was cut off."""
    if theirs.status == PASSED:
        return ("it ends on dm-crypt, and was out of time on crypt-async",
                None, [ours.last()])
    different = begins_as(theirs.reached(), ours.reached())
    if ours.status not in (PASSED, OUT_OF_TIME):
        return (f"it ends with {ours.status}", None,
                [*different, ours.last()])
    if different:
        return "what was reached is different", None, different
    count = min(len(theirs.reached()), len(ours.reached()))
    return None, "not run to its end: out of time" \
        f"{shorter(theirs, ours)}, {count} lines are the same", []


def fails_there(theirs, ours):
    """It fails on dm-crypt: ours must come as far."""
    if ours.status in (PASSED, theirs.status):
        different = begins_as(theirs.lines(), ours.lines())
        if ours.status == PASSED or not different:
            return None, f"fails on dm-crypt as well: {theirs.last()}", \
                theirs.lines()[-10:]
        return "it fails elsewhere than on dm-crypt", None, different
    return f"it ends with {ours.status}", None, ours.lines()[-10:]
