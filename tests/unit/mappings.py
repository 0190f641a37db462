# SPDX-License-Identifier: GPL-2.0-only
"""The command on a device mapper that is made up: many mappings, long tables,
names of every kind."""

import contextlib
import io
import time

import made_up
from crypt_async import common, ioctl, mapping, move, report, tuning
from points import end, equal, point

KEY = "0123456789abcdef" * 8
CRYPT = [(0, 32768, "crypt", f"aes-xts-plain64 {KEY} 0 254:0 0")]
ASYNC = [(0, 32768, "crypt-async", CRYPT[0][3])]
STATUS = " ".join(f"{key}=0" for key in (
    "driver", "fragments", "reads", "writes", "read_bytes", "written_bytes",
    "inline", "queued", "deferred", "parked", "resumed", "trimmed",
    "mem_waits", *report.FAULTS, "broken", "in_flight", "in_flight_max",
    "pages", "cached", *report.SETTINGS))
MANY = 2000


def dm():
    """A new device mapper, which the command talks to."""
    made = made_up.DeviceMapper()
    made.install()
    return made


def with_many():
    """One with many mappings of others beside one on either target."""
    made = dm()
    for number in range(MANY):
        made.make(f"docker-253:9-20447236-{number:064}",
                  [(0, 8, "error", "")])
    made.make("mine", CRYPT)
    made.make("moved", ASYNC, status=STATUS)
    return made


def quietly(function, *args):
    """Call it; what it returned and what it printed and said."""
    out, said = io.StringIO(), []
    old = {module: module.say for module in (move, tuning)
           if hasattr(module, "say")}
    for module in old:
        module.say = said.append
    try:
        with contextlib.redirect_stdout(out):
            result = function(*args)
    finally:
        for module, say in old.items():
            module.say = say
    return result, out.getvalue() + "\n".join(said)


# The module is taken for loaded beside dm-crypt.
for each in (report, mapping):
    each.is_loaded = lambda name: True
mapping.parameter = lambda name: "N"


@point
def lists():
    """A list of mappings or a table of any size is read."""
    made = with_many()
    equal(len(ioctl.devices()), MANY + 2, "names")
    lines = [(8 * at, 8, "linear", f"254:0 {8 * at}") for at in range(3000)]
    made.make("fragmented", lines)
    found = mapping.Mapping("fragmented").table()
    equal([line.packed() for line in found], lines, "a long table")
    made.answers["latency"] = "x" * 100000
    equal(mapping.Mapping("mine").message("latency"), "x" * 100000,
          "a long answer")


@point
def quick():
    """2000 mappings of others cost a second at most, and no call too many."""
    made = with_many()
    began = time.process_time()
    result, said = quietly(report.status, [], False)
    took = time.process_time() - began
    print(f"# status beside {MANY}: {took:.3f} s, "
          f"{sum(made.calls.values())} calls")
    equal(result, 0, "status")
    assert "moved" in said and "mine" not in said, said
    assert took < 1, f"{took} s"
    assert sum(made.calls.values()) < MANY + 20, made.calls
    for what, words in (("status NAME", (report.status, ["moved"], False)),
                        ("why not", (move._why_not, mapping.Mapping("mine"),
                                     mapping.Mapping("mine").table(),
                                     common.CRYPT_ASYNC)),
                        ("tune", (tuning.tune, "moved", ["reset"], False))):
        made.calls.clear()
        quietly(*words)
        assert sum(made.calls.values()) < 8, f"{what}: {made.calls}"


@point
def others():
    """A mapping of another subsystem is not asked for its table."""
    made = dm()
    made.make("moved", ASYNC, uuid="CRYPT-LUKS2-x-moved", status=STATUS)
    made.make("bare", ASYNC, status=STATUS)
    made.make("named", ASYNC, uuid="my-own", status=STATUS)
    for number in range(50):
        made.make(f"vg-{number}", [(0, 8, "linear", "254:0 0")],
                  uuid=f"LVM-{number:064}")
        made.make(f"mpath{number}", [(0, 8, "linear", "254:0 0")],
                  uuid=f"mpath-{number}")
        made.make(f"mpath{number}-part1", [(0, 8, "linear", "254:0 0")],
                  uuid=f"part1-mpath-{number}")
    equal([found.name for found in report.mappings_on_module()],
          ["bare", "moved", "named"], "on the module")
    assert sum(made.calls.values()) <= 4, made.calls


end()
