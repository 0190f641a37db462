#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage (by tests/tools/boot/init, before all but disks is mounted): suspend

Suspends the machine to idle while two writers verify what they write to the
encrypted root file system: tasks are frozen and all devices are suspended, for
a second, and come back (Documentation/power/basic-pm-debugging.rst). Prints
one line: how often, and whether all was as it should be."""

import mmap
import os
import random
import threading
import time

SIZE = 4 << 20
BLOCK = 4096
MAX_BLOCKS = 16             # at a time
LEVELS = ("devices", "platform")
ROUNDS = 2


class Writer(threading.Thread):
    """Writes a file of its own, and reads it again."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.done, self.trouble, self.over = path, 0, None, False
        self.start()

    def run(self):
        """Until it is over, or something is wrong."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
        try:
            os.truncate(fd, SIZE)
            self.work(fd, mmap.mmap(-1, SIZE))
        except OSError as error:
            self.trouble = f"{self.path}: {error}"
        finally:
            os.close(fd)
            os.unlink(self.path)

    def work(self, fd, text):
        """Some of it at a time; in the end all of it is read."""
        back = mmap.mmap(-1, SIZE)
        while not self.over and not self.trouble:
            count = random.randint(1, MAX_BLOCKS)
            at = random.randrange(SIZE // BLOCK - count + 1) * BLOCK
            part = slice(at, at + count * BLOCK)
            text[part] = os.urandom(count * BLOCK)
            os.pwrite(fd, memoryview(text)[part], at)
            self.compare(fd, text, back, part)
            self.done += 1
        if not self.trouble:
            self.compare(fd, text, back, slice(0, SIZE))

    def compare(self, fd, text, back, part):
        """Is it what was written?"""
        os.preadv(fd, [memoryview(back)[part]], part.start)
        if text[part] != back[part]:
            self.trouble = f"{self.path}: other data at {part.start}"


def write(path, text):
    """Write a file of the kernel's."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def successes():
    """How often the kernel says that it was suspended."""
    with open("/sys/power/suspend_stats/success", encoding="ascii") as file:
        return int(file.read())


def progress(writers):
    """Wait until each writer has done something; whether they have."""
    before = [writer.done for writer in writers]
    end = time.monotonic() + 60
    while any(writer.done < count + 5
              for writer, count in zip(writers, before)):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def main():
    """All levels."""
    writers = [Writer(f"/suspend-{number}") for number in range(2)]
    before, moved = successes(), True
    write("/sys/module/suspend/parameters/pm_test_delay", "1")
    for level in LEVELS * ROUNDS:
        moved = moved and progress(writers)
        write("/sys/power/pm_test", level)
        write("/sys/power/state", "freeze")
    moved = moved and progress(writers)
    for writer in writers:
        writer.over = True
    for writer in writers:
        writer.join()
    trouble = [writer.trouble for writer in writers if writer.trouble]
    trouble += [] if moved else ["a writer does not go on"]
    print(f"{successes() - before} times,", "; ".join(trouble) or "all well")


if __name__ == "__main__":
    main()
