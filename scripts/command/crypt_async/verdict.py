# SPDX-License-Identifier: GPL-2.0-only
"""What selftest says: a line for each driver, and on a terminal what it is
doing."""

import sys
import time

from .common import colour
from .exercise import MIB


def _sum(driver, name):
    return sum(case.get(name, case["counters"].get(name, 0))
               for case in driver["cases"])


def _wrong(driver):
    """What was wrong with a driver, and what to do."""
    case = driver["cases"][-1]
    trouble = case["trouble"]
    where = (f"units of {case['unit']} bytes, key of {case['key']}, "
             f"{case['memory']} memory")
    if trouble["what"] == "trial":
        return (f"the trial itself could not be finished: {trouble['error']}; "
                f"{where}; this says nothing of the driver: run it again")
    if trouble["kind"] == "silent":
        what = f"no request ended for {trouble['seconds']} s"
    elif trouble["kind"] == "failed":
        what = f"{trouble['what']} at byte {trouble['at']}: {trouble['error']}"
    else:
        done = "wrote" if trouble["what"] == "write" else "read"
        what = f"first wrong byte at {trouble['at']} of what it {done}"
    advice = "do not use it for disks"
    if "(" not in driver["driver"] and driver["module"] != "kernel":
        advice += f" (blacklist its module, {driver['module']})"
    return f"{what}; {where}; {advice}, and report it"


def _told(driver):
    """What was done with a driver that is right, and what did not come up."""
    kind = "asynchronous" if driver["async"] else "synchronous"
    parked = _sum(driver, "parked")
    short = _sum(driver, "mem_waits") + _sum(driver, "trimmed")
    words = [f"{kind}: {_sum(driver, 'bytes') // MIB} MiB in "
             f"{_sum(driver, 'ios')} requests, {_sum(driver, 'overtaken')} "
             "of them overtaken"]
    words.append(f"memory was short {short} times" if short
                 else "memory was never short")
    if parked:
        words.append(f"had to be waited for {parked} times")
    elif driver["async"]:
        words.append("its queue was never full")
    return "; ".join(words)


def line(found):
    """The line of a driver, or of a cipher without any."""
    if "driver" not in found:
        return f"{'skipped':9} {found['cipher']}: {found['why']}"
    result, number = found["result"], 32
    if result == "reference":
        text = "the others are compared with it"
    elif result == "skipped":
        text = found["why"]
    elif result == "ok":
        text = _told(found)
    else:
        result, number, text = result.upper(), 31, _wrong(found)
    shown = f"{result:9}"
    if found["result"] not in ("reference", "skipped"):
        shown = colour(number, shown)
    return f"{shown} {found['driver']}  {found['cipher']}  {text}"


class Progress:
    """On a terminal, what is being done, in one line."""

    _SIGNS = "|/-\\"

    def __init__(self):
        self.what, self._turn = "", 0

    def __call__(self):
        turn = int(time.monotonic() * 5)
        if turn != self._turn and sys.stderr.isatty():
            self._turn = turn
            print(f"\r\033[K{self._SIGNS[self._turn % 4]} {self.what}",
                  end="", file=sys.stderr, flush=True)

    @staticmethod
    def clear():
        """Before anything else is printed."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
