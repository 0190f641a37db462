# SPDX-License-Identifier: GPL-2.0-only
"""A slow disk, the target on it, and who writes to it beside what a test
measures."""

import threading
import time

import ca
from blockio import Disk

SIZE = 64 * ca.MIB
SECTORS = SIZE // ca.SECTOR
FIO = ["fio", "--direct=1", "--rw=write", "--ioengine=libaio"]


def slow(milliseconds, depth, **attributes):
    """A disk on which a request takes so long, whatever its size, and of which
    so many are under way at once."""
    return ca.NullBlk(**{"size": SIZE >> 20, "irqmode": 2, "submit_queues": 1,
                         "completion_nsec": milliseconds * 1000000,
                         "hw_queue_depth": depth, **attributes})


def mapping(target, lower, sectors=SECTORS):
    """The target on all of a device."""
    return ca.Mapping.single(sectors, target, ca.crypt_params(
        "aes-xts-plain64", ca.key(64), lower))


class Flood(threading.Thread):
    """Writes from several threads, until it is over."""

    def __init__(self, path, start=0, size=32 * ca.MIB, jobs=4):
        super().__init__()
        self.job = (path, start, size)
        self.over = threading.Event()
        self.jobs = [threading.Thread(target=self._job, args=(i,))
                     for i in range(jobs)]

    def _job(self, number):
        path, start, size = self.job
        with Disk(path) as disk:
            text = bytes(256 * ca.KIB)
            while not self.over.is_set():
                disk.write(start + number * len(text) % size, text)

    def run(self):
        for job in self.jobs:
            job.start()
        for job in self.jobs:
            job.join()

    def __enter__(self):
        self.start()
        time.sleep(1.5)
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()


def times(function, count):
    """The seconds that each of so many calls took, sorted."""
    took = []
    for index in range(count):
        began = time.monotonic()
        function(index)
        took.append(time.monotonic() - began)
    return sorted(took)
