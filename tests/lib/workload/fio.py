# SPDX-License-Identifier: GPL-2.0-only
"""fio writes and reads at random and verifies a checksum in every block."""

import json

import ca


def verify(path, jobs, *, unit, engine="libaio", direct=True, depth=32):
    """Run fio on a device, with one job for each (name, start, size,
    max_size): requests of a unit to max_size, in size bytes from start, none
    of which another job has. Returns what fio reports, per job."""
    words = ["fio", f"--filename={path}", f"--ioengine={engine}",
             f"--direct={int(direct)}", "--rw=randrw", "--rwmixread=40",
             f"--blockalign={unit}", f"--iodepth={depth}",
             "--serialize_overlap=1", "--verify=crc32c", "--verify_fatal=1",
             "--do_verify=1", "--verify_backlog=64", "--thread",
             f"--randseed={ca.rng.randrange(1 << 31)}",
             "--output-format=json"]
    for name, start, size, max_size in jobs:
        words += [f"--name={name}", f"--offset={start}", f"--size={size}",
                  f"--io_size={size * 3 // 2}",
                  f"--bsrange={unit}-{max_size}"]
    done = ca.run(*words, fail=False, cwd="/tmp")
    text = done.stdout
    ca.check(done.returncode == 0,
             f"fio's exit status is {done.returncode}:\n{text[-2000:]}")
    told = json.loads(text[text.index("{"):])["jobs"]
    _check(told, len(jobs))
    return told


def _check(told, count):
    """Every job ran to its end, and verified something."""
    ca.equal(len(told), count, "jobs that reported")
    for job in told:
        ca.equal(job["error"], 0, "a job's error")
        ca.check(job["write"]["io_bytes"] > 0, "it wrote")
        ca.check(job["read"]["io_bytes"] >= job["write"]["io_bytes"],
                 "it read at least as much, since it reads what it wrote")
