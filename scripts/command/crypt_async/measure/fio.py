# SPDX-License-Identifier: GPL-2.0-only
"""Runs by fio: one process does all of them, one after the other."""

import json
import random

from ..common import Problem, run

FIO = ["fio", "--direct=1", "--thread", "--time_based", "--group_reporting",
       "--norandommap", "--disk_util=0", "--eta=never",
       "--scramble_buffers=0", "--clocksource=clock_gettime",
       "--output-format=json"]
RW = {"mix": ["--rw=randrw", "--rwmixread=70"],
      "fsync": ["--rw=randwrite", "--fsync=1"]}


def _job(name, cell, path, size, seconds):
    """fio's words for one run, after whatever runs before it."""
    return [f"--name={name}", "--stonewall", f"--filename={path}",
            f"--runtime={int(seconds * 1000)}ms", f"--size={size}",
            f"--bs={cell.size}", f"--iodepth={cell.depth}",
            f"--numjobs={cell.jobs}", f"--ioengine={cell.engine}",
            *RW.get(cell.work, [f"--rw={cell.work}"])]


def fio_jobs(order, size, options=()):
    """Triples of a cell, a path and seconds, in this order, in the first
    `size` bytes: fio's figures of each."""
    words = [*FIO, *options, f"--randseed={random.randrange(1 << 31)}"]
    for number, (cell, path, seconds) in enumerate(order):
        words += _job(f"run{number}", cell, path, size, seconds)
    text = run(*words, cwd="/tmp", dies=True)
    jobs = json.loads(text[text.index("{"):])["jobs"]
    if len(jobs) != len(order) or any(job["error"] for job in jobs):
        raise Problem(f"fio failed: {text[-2000:]}")
    return jobs


def run_fio(order, seconds, size, options=()):
    """Pairs of a cell and a path: I/O per second of each."""
    if not order:
        return []
    jobs = fio_jobs([(cell, path, seconds) for cell, path in order], size,
                    ["--gtod_reduce=1", *options])
    return [job["read"]["iops"] + job["write"]["iops"] for job in jobs]


def in_lots(cells, names):
    """Pairs of cell and contestant: the cells by lot, and the contestants of
    a cell one after the other, by lot too."""
    names = sorted(names)
    return [(cell, name) for cell in random.sample(cells, len(cells))
            for name in random.sample(names, len(names))]
