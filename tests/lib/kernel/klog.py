# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's log since the test began."""

import os
import re

import leaks

_ALARMS = re.compile(
    r"\bBUG\b|WARNING:|\bOops|general protection fault|Kernel panic"
    r"|Call Trace|lockup|hung task|blocked for more than|rcu.*stall"
    r"|\bKASAN\b|\bKFENCE\b|\bUBSAN\b|INFO: possible"
    r"|INFO: trying to register|INFO: suspicious|suspicious RCU"
    r"|circular locking|recursive locking|inconsistent lock state"
    r"|scheduling while atomic|sleeping function|refcount_t"
    r"|corruption|unreferenced object|memory leaks?|page allocation failure"
    r"|objects remaining|call missing", re.IGNORECASE)
# Data races in which no function of the module takes part are others'; and so
# is that of the scheduler, which reads a task's flags, with
# memalloc_noio_save().
_OTHERS = re.compile(r"BUG: KCSAN: (?!.*\[dm_crypt_async\])"
                     r"|BUG: KCSAN: data-race in _*to_kthread / ")

_SUSPECTED = re.compile(r"kmemleak: \d+ new suspected memory leaks")


class KernelLog:
    """Reads /dev/kmsg from its present end on."""

    def __init__(self):
        self._fd = os.open("/dev/kmsg",
                           os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._lines = []

    def _read(self):
        while True:
            try:
                record = os.read(self._fd, 8192)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._lines.append("WARNING: the log was overrun")
                continue
            _, _, text = record.decode(errors="replace").partition(";")
            self._lines.append(text.split("\n", 1)[0])

    def mark(self):
        """The present end of the log."""
        self._read()
        return len(self._lines)

    def since(self, mark):
        """The lines logged after mark."""
        self._read()
        return self._lines[mark:]

    def forget_trace(self, mark):
        """Take the first trace after mark for empty lines, and no others."""
        start = next(at for at in range(mark, len(self._lines))
                     if "cut here" in self._lines[at])
        for at in range(start, len(self._lines)):
            is_end = "end trace" in self._lines[at]
            self._lines[at] = ""
            if is_end:
                break

    def alarms(self, mark=0):
        """Those of them that no test may cause. What kmemleak in its scan each
        ten minutes took for lost may only have moved while it looked, so it is
        asked again, and what it still finds takes the place of its line."""
        lines = [line for line in self.since(mark)
                 if _ALARMS.search(line) and not _OTHERS.search(line)]
        sure = [line for line in lines if not _SUSPECTED.search(line)]
        if sure == lines:
            return lines
        try:
            return sure + leaks.found().splitlines()
        except OSError as error:
            return [*lines, f"kmemleak cannot be asked: {error}"]
