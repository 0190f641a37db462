#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""In a guest whose time is simulated: a mapping is moved to crypt-async and
back, beside a program that writes, and beside none."""

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "scripts", "bench"))

# pylint: disable=wrong-import-position
import ca  # noqa: E402
import simulated  # noqa: E402
import stacks  # noqa: E402
from command import crypt_async  # noqa: E402

NAME = "ca-still"
MOVES = 3                   # each way
BOUND_MS = 100
WRITER = ["fio", "--direct=1", "--thread", "--group_reporting",
          "--clocksource=clock_gettime",
          "--time_based", "--runtime=3600", f"--size={stacks.USED}",
          "--ioengine=libaio", "--output-format=json", "--eta=never",
          "--lat_percentiles=1", "--percentile_list=50:99:99.9",
          "--name=small", "--rw=randwrite", "--bs=4k", "--iodepth=8",
          "--name=large", "--rw=write", "--bs=1m", "--iodepth=4",
          "--new_group"]


@contextlib.contextmanager
def writer(path, found):
    """fio writes meanwhile; what it told of latency."""
    words = [word for part in WRITER for word in (
        [part, f"--filename={path}"] if part.startswith("--name") else [part])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True,
                          cwd="/tmp") as program:
        try:
            yield
            ca.equal(program.poll(), None, "it writes until the end")
        finally:
            program.send_signal(signal.SIGINT)
            text = program.communicate()[0]
    for job in json.loads(text[text.index("{"):])["jobs"]:
        ca.equal(job["error"], 0, f"{job['jobname']}: errors")
        found[job["jobname"]] = job["write"]["lat_ns"]


def moves():
    """The milliseconds that I/O stood still in each move."""
    stood = []
    for _ in range(MOVES):
        for word in "adopt", "release":
            said = crypt_async(word, NAME)
            stood.append(int(re.search(
                r"I/O stood still for at most (\d+) ms", said)[1]))
    return stood


@ca.test("moves between targets, beside a writer and beside none")
def stands_still():
    with stacks.device("null80") as lower:
        params = ca.crypt_params("aes-xts-plain64", secrets.token_hex(64),
                                 lower.devno)
        ca.run("dmsetup", "create", NAME, "--table",
               f"0 {lower.sectors} {ca.DM_CRYPT} {params}")
        latency, totals = {}, simulated.Totals()
        try:
            with simulated.simulation(totals):
                alone = moves()
            with simulated.simulation(totals), \
                    writer(f"/dev/mapper/{NAME}", latency):
                beside = moves()
        finally:
            ca.run("dmsetup", "remove", NAME)
    ca.diag(f"milliseconds, alone: {alone}; beside the writer: {beside}")
    for name, told in latency.items():
        at = told["percentile"]
        ca.diag(f"latency of {name} writes, in ms: 99 % "
                f"{at['99.000000'] / 1e6:.2f}, 99.9 % "
                f"{at['99.900000'] / 1e6:.2f}, at most "
                f"{told['max'] / 1e6:.2f}")
    ca.check(max(alone + beside) < BOUND_MS, f"below {BOUND_MS} ms")


if __name__ == "__main__":
    ca.modprobe("dm-crypt")
    ca.main()
