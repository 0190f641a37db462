# SPDX-License-Identifier: GPL-2.0-only
"""The disk of tests/kmod/timed.c, which takes the time of a modelled one."""

import os

import ca
import scratch

_MODULE = "timed"
_PARAMETERS = f"/sys/module/{_MODULE}/parameters"
FILE = os.path.join(os.path.dirname(ca.MODULE_FILE), f"{_MODULE}.ko")

# An NVMe disk whose interrupts go to the processor that submitted, and to one
# for all of them; a disk that is limited by requests, as those of clouds are;
# and one of 7200 turns a minute.
NVME = {"latency_ns": 80_000, "bytes_per_us": 3500, "slots": 64}
KINDS = {
    "nvme": NVME,
    "nvme0": {**NVME, "completion_cpu": 0},
    "requests": {"latency_ns": 4_000_000, "slots": 4, "single_queue": 1},
    "rotational": {"latency_ns": 0, "bytes_per_us": 200, "slots": 1,
                   "single_queue": 1, "rotation_us": 8333,
                   "seek_min_us": 1000, "seek_max_us": 16000},
}


def copy(wanted):
    """Whether the disk's data is copied. A real one's is by no processor."""
    scratch.write_file(f"{_PARAMETERS}/copies", int(wanted))


class Timed(scratch.Device):
    """Such a disk; the parameters are the module's."""

    path = "/dev/timed"

    def __init__(self, **parameters):
        ca.load_file(FILE, " ".join(f"{name}={value}" for name, value
                                    in parameters.items()))
        scratch.register(self)
        self._identify()

    def requests(self):
        """How many have ended. flushes() are others, but some kernels count
        one that was asked for as a write, too."""
        found = self.stat()
        return found[0] + found[4]

    def close(self):
        """Unload the module."""
        scratch.retry(lambda: ca.delete_module(_MODULE))
        scratch.forget(self)
