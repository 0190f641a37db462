# SPDX-License-Identifier: GPL-2.0-only
"""Work that goes on while a machine is changed under it, and is verified all
the while: files, by fio, and memory that is swapped out. It leaves the machine
time for other things."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

PATIENCE = 300              # seconds for some progress
SOME = 256 << 10            # bytes, written and read again
# What a process of its own does, in a cgroup with less memory than that.
SWAPPED = f"""
import mmap, os, random, sys, time
SIZE, PAGE = 24 << 20, 4096
area = mmap.mmap(-1, SIZE)
area.madvise(mmap.MADV_NOHUGEPAGE)
kept, count = [b""] * (SIZE // PAGE), 0
while True:
    for page in random.sample(range(SIZE // PAGE), SIZE // PAGE):
        if kept[page] and area[page * PAGE:page * PAGE + 64] != kept[page]:
            sys.exit(f"page {{page}} holds something else")
        kept[page] = os.urandom(64)
        area[page * PAGE:(page + 1) * PAGE] = kept[page] * (PAGE // 64)
        count += PAGE
        if count % {SOME} == 0:
            with open("/run/swapped", "w", encoding="ascii") as file:
                file.write(str(count))
            time.sleep(0.1)
"""


class Trouble(Exception):
    """Something is not as it should be."""


class Files:
    """A file in a directory: fio writes it again and again, in an order drawn
    by lot, and reads and verifies each block soon after. It ends when one is
    wrong."""

    def __init__(self, directory):
        self.directory = directory
        self._fio = subprocess.Popen(
            ["fio", "--name=verified", f"--directory={directory}", "--thread",
             "--size=2M", "--loops=1000000", "--rw=randwrite", "--bs=16k",
             "--direct=1", "--ioengine=libaio", "--iodepth=4",
             "--thinktime=50000", "--randrepeat=0", "--verify=crc32c",
             "--verify_backlog=8", "--verify_fatal=1"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @property
    def done(self):
        """How many bytes were written and read."""
        with open(f"/proc/{self._fio.pid}/io", encoding="ascii") as file:
            found = dict(line.split(": ") for line in file)
        return min(int(found["read_bytes"]), int(found["write_bytes"]))

    def check(self):
        """All was well so far."""
        if self._fio.poll() is not None:
            raise Trouble(f"fio in {self.directory}: "
                          f"{self._fio.stdout.read()}")

    def stop(self):
        """End it, and what it wrote."""
        self.check()
        # Before it begins, a signal would end it without a word.
        end = time.monotonic() + PATIENCE
        while not self.done and time.monotonic() < end:
            time.sleep(0.1)
            self.check()
        self._fio.send_signal(signal.SIGINT)
        said = self._fio.communicate(timeout=PATIENCE)[0]
        if not re.search(r"err= 0\b", said) or "verify:" in said:
            raise Trouble(f"fio in {self.directory}: {said}")
        for name in os.listdir(self.directory):
            if name.startswith("verified."):
                os.unlink(f"{self.directory}/{name}")


class Swapped:
    """Memory of which the most part is swapped out: each page is compared
    and written again, in an order drawn by lot."""

    directory = "swap"

    def __init__(self):
        subprocess.run(
            ["systemd-run", "-q", "--unit=swapped", "-p", "MemoryMax=20M",
             sys.executable, "-c", SWAPPED], check=True)

    @property
    def done(self):
        """How many bytes were compared and written."""
        with contextlib.suppress(FileNotFoundError):
            with open("/run/swapped", encoding="ascii") as file:
                return int(file.read() or 0)
        return 0

    def check(self):
        """All was well so far."""
        state = subprocess.run(["systemctl", "is-active", "swapped"],
                               stdout=subprocess.PIPE, text=True,
                               check=False).stdout.strip()
        if state != "active":
            raise Trouble(f"swapped memory: {state}")

    def stop(self):
        """End it."""
        self.check()
        subprocess.run(["systemctl", "stop", "swapped"], check=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("/run/swapped")


def all_go_on(workers):
    """Wait until each has done something since."""
    before = {worker: worker.done for worker in workers}
    end = time.monotonic() + PATIENCE
    while before:
        for worker in list(before):
            worker.check()
            if worker.done >= before[worker] + SOME:
                del before[worker]
        if time.monotonic() > end:
            raise Trouble("no progress: " + ", ".join(
                worker.directory for worker in before))
        time.sleep(0.2)
