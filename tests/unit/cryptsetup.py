# SPDX-License-Identifier: GPL-2.0-only
"""What is taken for the same outcome of a test of cryptsetup's own."""

import os
import sys

from points import end, equal, point

sys.path.append(os.path.join(os.path.dirname(__file__), "../cryptsetup"))
import compare      # noqa: E402 # from another directory

SAID = "[1] First\n[2] Second\n  a key [OK]\n[3] Third\n"


def judged(theirs, ours, said=SAID, ours_said=None):
    """Whether it is a failure, and why it is no result."""
    problem, reason, _ = compare.judge(
        compare.Outcome(theirs, said),
        compare.Outcome(ours, said if ours_said is None else ours_said))
    return bool(problem), reason or ""


@point
def same():
    """What passes on both and says the same has passed."""
    equal(judged(0, 0), (False, ""), "passed")
    for varies in ("key of /dev/loop{}", "{}.5 MiB/s",
                   "{}1234567-1111-2222-3333-0123456789ab"):
        equal(judged(0, 0, varies.format(1), varies.format(2)), (False, ""),
              varies)


@point
def fails():
    """What passes on dm-crypt has to pass."""
    for status in (1, 77, 99, 100, 124, 125):
        equal(judged(0, status), (True, ""), status)


@point
def said():
    """A line that only one of them has is a failure, such as of a skip."""
    for other in (SAID + "Cannot find keyctl, test skipped\n",
                  SAID.replace("[OK]", "[N/A]"),
                  SAID.replace("[2] Second\n", "")):
        equal(judged(0, 0, SAID, other), (True, ""), other)
        equal(judged(0, 0, other, SAID), (True, ""), other)


@point
def skipped():
    """What skips itself on both is skipped; on one of them, it has failed."""
    equal(judged(77, 77, "no keyctl"), (False, "skips itself: no keyctl"),
          "both")
    equal(judged(77, 0), (True, ""), "dm-crypt")
    equal(judged(77, 77, "no keyctl", "no expect"), (True, ""), "two reasons")


def cut(count, share=""):
    """That is no result."""
    return False, (f"not run to its end: out of time{share}, "
                   f"{count} lines are the same")


@point
def out_of_time():
    """What is out of time has no result, and has to be the same so far."""
    equal(judged(124, 124, SAID, SAID[:15]), cut(1), "both")
    equal(judged(124, 0), cut(3), "dm-crypt")
    equal(judged(124, 100, SAID, SAID[:15]), (True, ""), "ours fails")
    equal(judged(124, 124, SAID, SAID.replace("[OK]", "[N/A]")), (True, ""),
          "another line")
    equal(judged(124, 124, SAID, SAID.replace("[3] Third", "[3] Thi")),
          cut(3), "cut off in a line")


# What bash says of a script: in the script, in a function of it, in a command
# of which the output is taken; on its end, in a function.
TRACE = """lines: 40
+:12: one two
+12:3: echo 99:99:
++14:5: sed s/a/b/
lines: 1
+:13: one
+1:7: cleanup
"""


@point
def share():
    """Of what is out of time, the smaller of two shares is told."""
    def told(*traced, said=SAID):
        return compare.judge(*(compare.Outcome(124, said, trace)
                               for trace in traced))[1]

    equal(told(TRACE, TRACE), cut(3, " (at line 14 of 40)")[1], "both")
    for pair in ((TRACE, TRACE + "+:21: x\n"), (TRACE + "+:21: x\n", TRACE)):
        equal(told(*pair), cut(3, " (at line 14 of 40)")[1], "one of them")
    equal(told("lines: 9\n", TRACE), cut(3, " (at line 0 of 9)")[1],
          "nothing was run")
    equal(told("parts: 25\n", "parts: 25\n", said="A: x\nB: y\nC: z\n"),
          cut(2, " (after part 2 of 25)")[1], "a program")
    equal(told(TRACE, ""), cut(3)[1], "nothing tells")


@point
def lines():
    """Without sections, each whole line counts."""
    said = "aes [OK]\nserpent [OK]\ntwofish"
    equal(judged(124, 124, said, said + " [OK]"), cut(2), "cut off in a line")
    equal(judged(124, 124, said, said.replace("OK", "N/A")), (True, ""),
          "another line")
    equal(judged(124, 124, "", said), cut(0), "nothing")


@point
def fails_there():
    """What fails on dm-crypt has no result, and must come as far."""
    equal(judged(100, 100), (False, "fails on dm-crypt as well: [3] Third"),
          "both")
    equal(judged(100, 0, SAID, SAID + "[4] Fourth\n"),
          (False, "fails on dm-crypt as well: [3] Third"), "passes here")
    equal(judged(100, 100, SAID, SAID[:15]), (True, ""), "fails before")
    equal(judged(100, 125), (True, ""), "the kernel complains")


@point
def guests():
    """A guest that died, or in which nothing was started, is a failure."""
    for status in (99, 125):
        equal(judged(status, status), (True, ""), status)


end()
