# SPDX-License-Identifier: GPL-2.0-only
"""The command crypt-async as far as it needs no device mapper."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile

from crypt_async import (bench, doctor, ioctl, keys, main, pinned, report,
                         takeover, tuning)
from crypt_async.mapping import Line, statistics
from points import end, equal, point

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
COMMAND = f"{TOP}/scripts/command/crypt-async"

BENCH = ("--ram", "--write", "--destroy-data", "--seconds", "--rounds",
         "--sector-size", "--report")
KEY = "0123456789abcdef" * 8
PARAMS = f"aes-xts-plain64 {KEY} 0 254:0 32768 1 allow_discards"
def crypt_async(*words):
    """(exit status, output, errors)"""
    done = subprocess.run([sys.executable, COMMAND, *words], text=True,
                          capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


@point
def help_fits():
    """--help fits a screen, and names every command."""
    code, text, _ = crypt_async("--help")
    equal(code, 0, "exit status")
    lines = text.splitlines()
    assert len(lines) <= 24, f"{len(lines)} lines"
    assert max(map(len, lines)) <= 100, max(lines, key=len)
    for command in main.COMMANDS:
        assert f"\n  {command}" in text, command


@point
def usage():
    """Wrong usage ends with 1, and says what would be right."""
    for words in (["fly"], [], ["adopt"], ["adopt", "--all", "x"],
                  ["adopt", "--fast", "x"], ["open", "x"], ["tune"],
                  ["tune", "x", "speed=1"], ["top", "-n"],
                  ["top", "-n", "many"], ["status", "--xml"], ["bench"],
                  ["bench", "--ram", "x"], ["bench", "x", "y"],
                  ["bench", "--ram", "--rounds", "many"],
                  ["enable-takeover", "now"], ["doctor", "--fix"]):
        code, out, errors = crypt_async(*words)
        equal(code, 1, f"{words}: {errors}")
        assert out or errors.startswith("crypt-async: "), f"{words}: {errors}"


@point
def manual():
    """The manual page has every command, option and setting."""
    with open(f"{TOP}/docs/crypt-async.8", encoding="utf-8") as file:
        page = file.read().replace("\\-", "-")
    for word in (*main.COMMANDS, *report.SETTINGS, "--all", "--json",
                 "--persistent", "--apply", "reset", tuning.KEPT, report.LOCK,
                 *BENCH):
        assert word in page, word
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "FILES",
                    "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
        assert f".SH {section}\n" in page, section


@point
def completion():
    """bash completes commands, options and settings."""
    script = f"{TOP}/scripts/command/completion/crypt-async"

    def offered(*words):
        text = (f". {script}; COMP_WORDS=({' '.join(words)} ''); "
                f"COMP_CWORD={len(words)}; _crypt_async; "
                "printf '%s\\n' \"${COMPREPLY[@]}\"")
        return subprocess.run(["bash", "-c", text], text=True, check=True,
                              capture_output=True).stdout.split()
    equal(set(offered("crypt-async")), {*main.COMMANDS, "--help"}, "commands")
    equal({word.rstrip("=") for word in offered("crypt-async", "tune", "x")},
          {*report.SETTINGS, "reset", "--persistent"}, "settings")
    assert "--all" in offered("crypt-async", "adopt"), "options"
    equal(set(offered("crypt-async", "bench")), {*BENCH}, "of bench")


@point
def lines():
    """A table's line keeps everything but its target when it is moved."""
    line = Line(0, 2048, "crypt", PARAMS)
    equal(line.moved("crypt-async"), (0, 2048, "crypt-async", PARAMS), "moved")
    equal(line.keyring, None, "a key in digits")
    word = ":64:logon:cryptsetup:some name:x"
    line = Line(0, 8, "crypt-async", PARAMS.replace(KEY, word.split()[0]))
    equal(line.keyring, (64, "logon", "cryptsetup:some"), "in a keyring")
    equal(Line(0, 8, "linear", "254:0 0").moved("crypt-async"),
          (0, 8, "linear", "254:0 0"), "another target's")
    equal(line.moved("crypt", KEY)[3], PARAMS, "with another key")


@point
def tables():
    """What is packed for the kernel can be unpacked."""
    table = [(0, 8, "linear", "254:0 0"), (8, 2048, "crypt", PARAMS)]

    class Answer:
        """As if the kernel gave it back: offsets from the first line."""
        targets, data = 2, ioctl.pack_table(table)
    equal(next(ioctl.unpack_table(Answer)), table[0], "the first line")
    equal(len(Answer.data) % 8, 0, "alignment")


@point
def histograms():
    """Percentiles are bounds of what was counted."""
    def histogram(*counts):
        rest = [0] * (24 - len(counts))
        return report.Histogram("\n".join(
            f"{d} {p} " + " ".join(map(str, [*counts, *rest]))
            for d in ("read", "write") for p in report.PHASES))
    found = histogram(0, 98, 0, 2)
    equal(found.percentile("read", "device", 0.5), 2.048, "half")
    equal(found.percentile("read", "device", 0.99), 8.192, "99 %")
    equal(histogram().percentile("read", "queue", 0.5), None, "of nothing")
    new = found.since(histogram(0, 98))
    equal(new.percentile("write", "convert", 0.5), 8.192, "since then")
    equal(found.percentile("write", "convert", 0.5), 2.048, "and before")


@point
def kept():
    """Settings that are kept: merged, replaced, dropped by reset."""
    with tempfile.TemporaryDirectory() as directory:
        tuning.KEPT = f"{directory}/crypt-async/tune.conf"
        for name, words in (("a", ["cpus=0-3"]), ("b", ["page_limit=9"]),
                            ("a", ["inline_kib=4", "cpus=1"])):
            tuning._keep(name, words)
        equal(tuning._kept("a"), ["cpus=1", "inline_kib=4"], "kept")
        tuning._keep("a", ["reset"])
        equal(tuning._kept("a"), [], "after a reset")
        equal(tuning._kept("b"), ["page_limit=9"], "of another one")


@point
def uuids():
    """A mapping's UUID says which LUKS2 volume it is of."""
    class Mapping:
        """Of a volume."""
        uuid = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-home"
    equal(keys.luks_uuid(Mapping), "01234567-89ab-cdef-0123-456789abcdef",
          "LUKS2")
    Mapping.uuid = "CRYPT-PLAIN-home"
    equal(keys.luks_uuid(Mapping), None, "plain")


@point
def dkms():
    """What doctor makes of DKMS's answers."""
    there = f"dm-crypt-async/0.1.0, {doctor.RELEASE}, x86_64: installed"
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as directory:
        for answer, advice in (
                (there, None),
                ("dm-crypt-async/0.0.9: added\n" + there, None),
                ("dm-crypt-async/0.1.0: added", "dkms install "
                 f"dm-crypt-async/0.1.0 -k {doctor.RELEASE};"),
                ("dm-crypt-async/0.1.0, 5.10.0-1, x86_64: installed",
                 "dkms install dm-crypt-async/0.1.0 -k"),
                (there.replace("installed", "built"), "dkms install"),
                ("", "install the package crypt-async-dkms")):
            with open(f"{directory}/dkms", "w", encoding="ascii") as file:
                file.write(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
            os.chmod(f"{directory}/dkms", 0o755)
            os.environ["PATH"] = f"{directory}:{path}"
            doctor._findings.clear()
            doctor._dkms()
            os.environ["PATH"] = path
            (fine, _, said), = doctor._findings
            equal(fine, advice is None, answer)
            assert fine or advice in said, f"{answer}: {said}"


@point
def built_in():
    """Where dm-crypt is built in, takeover is refused and doctor says why."""
    old = vars(takeover)["LISTS"], doctor.TAKEOVER, takeover.TAKEOVER
    with tempfile.TemporaryDirectory() as directory:
        takeover.LISTS = directory
        doctor.TAKEOVER = takeover.TAKEOVER = f"{directory}/takeover.conf"
        try:
            for lines, is_there in (
                    ("kernel/drivers/md/dm-mod.ko\n", False),
                    ("kernel/drivers/md/dm-mod.ko\n"
                     "kernel/drivers/md/dm-crypt.ko\n", True)):
                with open(f"{directory}/modules.builtin", "w",
                          encoding="ascii") as file:
                    file.write(lines)
                for is_enabled in (False, True):
                    if is_enabled:
                        with open(takeover.TAKEOVER, "w",
                                  encoding="ascii") as file:
                            file.write(takeover.TEXT)
                    doctor._findings.clear()
                    doctor._targets()
                    said = [each for each in doctor._findings
                            if "built into" in each[1]]
                    equal(len(said), is_there, doctor._findings)
                    if said:
                        equal(said[0][0], not is_enabled, said)
                        assert "adopt" in said[0][1], said
                try:
                    takeover.enable()
                    raise AssertionError("enabled")
                except takeover.Problem as problem:
                    said = str(problem)
                equal("built into" in said, is_there, said)
                assert not is_there or "crypt-async adopt" in said, said
                os.unlink(takeover.TAKEOVER)
        finally:
            takeover.LISTS, doctor.TAKEOVER, takeover.TAKEOVER = old


FLAGS = ["no_read_workqueue", "no_write_workqueue", "same_cpu_crypt"]
CRYPTTAB = """\
# name source key options
home UUID=0123 none luks,discard,no-read-workqueue,no-write-workqueue
  data	/dev/vdb	/key	same-cpu-crypt,nofail
swap /dev/vdc /dev/urandom swap
short /dev/vdd
"""


@point
def flags():
    """Flags that keep work on one processor are found wherever they are."""
    line = Line(0, 8, "crypt", PARAMS.replace(
        "1 allow_discards", "4 allow_discards no_read_workqueue "
        "sector_size:4096 same_cpu_crypt"))
    equal(pinned.in_table([line]), [FLAGS[0], FLAGS[2]], "in a table")
    equal(pinned.in_table([Line(0, 8, "crypt", PARAMS),
                           Line(8, 8, "linear", "254:0 0")]), [], "none")
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(CRYPTTAB)
        file.flush()
        old, pinned.CRYPTTAB = pinned.CRYPTTAB, file.name
        found = list(pinned.in_crypttab())
        pinned.CRYPTTAB = "/nonexistent"
        equal(list(pinned.in_crypttab()), [], "no crypttab")
        pinned.CRYPTTAB = old
    equal(found, [("home", "/dev/disk/by-uuid/0123", FLAGS[:2]),
                  ("data", "/dev/vdb", FLAGS[2:]), ("swap", "/dev/vdc", []),
                  ("short", "/dev/vdd", [])], "in crypttab")
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/cryptsetup", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n[ \"$2\" != /no ] || { echo no >&2; "
                       "exit 1; }\necho '{\"config\": {\"flags\": "
                       "[\"allow-discards\", \"no-write-workqueue\"]}}'\n")
        os.chmod(f"{directory}/cryptsetup", 0o755)
        os.environ["PATH"] = f"{directory}:{path}"
        equal(pinned.in_header("/yes"), FLAGS[1:2], "in a header")
        equal(pinned.in_header("/no"), [], "in no header")
        os.environ["PATH"] = "/nonexistent"
        equal(pinned.in_header("/yes"), [], "no cryptsetup")
        os.environ["PATH"] = path


@point
def flags_named():
    """doctor names them, and takes those for wrong that hold the module up."""
    class Mapping:
        """Of a volume."""
        shown, uuid = "home", "CRYPT-LUKS2-0-home"
    params = PARAMS.replace("1 allow", "2 same_cpu_crypt allow")
    old = {name: getattr(pinned, name) for name in (
        "in_crypttab", "in_header", "encrypted", "luks_path", "stands_in")}
    pinned.in_crypttab = lambda: [("home", "/dev/vdb", FLAGS[:1])]
    pinned.in_header = lambda path: {"/dev/vda": FLAGS[1:2]}.get(path, [])
    pinned.luks_path = lambda *_: "/dev/vda"
    try:
        for target, taken, wrong in (("crypt", False, 0),
                                     ("crypt-async", False, 2),
                                     ("crypt", True, 3)):
            pinned.encrypted = lambda target=target: [
                (Mapping, [Line(0, 8, target, params)])]
            pinned.stands_in = lambda taken=taken: taken
            doctor._findings.clear()
            doctor._flags()
            equal(len(doctor._findings), 3, doctor._findings)
            equal(sum(not each[0] for each in doctor._findings), wrong,
                  doctor._findings)
            for text, flag in (("table", FLAGS[2]), ("header", FLAGS[1]),
                               ("/etc/crypttab", FLAGS[0])):
                assert any(text in each[1] and flag in each[1]
                           for each in doctor._findings), doctor._findings
    finally:
        vars(pinned).update(old)


@point
def broken():
    """doctor and status say it when a device has found its own state wrong."""
    line = Line(0, 8, "crypt-async", PARAMS)

    class Mapping:
        """Of a device that is."""
        name = shown = "a"
        uuid = "CRYPT-PLAIN-a"
        found = dict.fromkeys(
            ("reads", "writes", "read_bytes", "written_bytes", "fragments",
             "inline", "queued", "deferred", "parked", "mem_waits",
             "in_flight", "in_flight_max", "pages", "cached",
             *report.FAULTS, *report.SETTINGS), 0)
        found |= {"broken": 1, "state_errors": 3}

        @staticmethod
        def table():
            """Its line."""
            return [line]

        @classmethod
        def status(cls):
            """Its counters."""
            return [cls.found]

    doctor._findings.clear()
    mappings, doctor.encrypted = doctor.encrypted, \
        lambda: [(Mapping, Mapping.table())]
    try:
        doctor._mappings()
    finally:
        doctor.encrypted = mappings
    (_, said, advice), (_, counted, _) = doctor._findings
    assert "writes are refused" in said, said
    equal(advice, "copy the data, reboot, report it", "what to do")
    assert "3 state_errors" in counted, counted
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        report._print(report.describe(Mapping))
    assert "writes are refused, reads go on" in text.getvalue()


@point
def old_module():
    """status and doctor understand a module that is still 0.1.0."""
    text = ("driver=xts-aes-aesni fragments=8 reads=1 writes=2 read_bytes=3 "
            "written_bytes=4 inline=5 queued=3 deferred=0 parked=0 "
            "resumed=0 trimmed=0 waited=11 refused=12 forged=13 overdue=14 "
            "errors=0 in_flight=0 in_flight_most=15 pages=0 cached=0 "
            "fragment_kib=0 inline_kib=0 page_limit=0 cpus=any")
    status_line = Line(0, 8, "crypt-async", text)

    class Mapping:
        """Of a device on it."""
        name = shown = "a"
        uuid = "CRYPT-PLAIN-a"

        @staticmethod
        def table():
            """Its line."""
            return [Line(0, 8, "crypt-async", PARAMS)]

        @staticmethod
        def status():
            """Its counters."""
            return [statistics(status_line.words)]

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        report._print(report.describe(Mapping))
    text = output.getvalue()
    for said in ("11 writes for memory", "at most 15", "12 crypto_errors",
                 "13 auth_errors", "14 driver_timeouts"):
        assert said in text, f"{said}: {text}"
    assert "broken" not in text, text
    doctor._findings.clear()
    mappings, doctor.encrypted = doctor.encrypted, \
        lambda: [(Mapping, Mapping.table())]
    try:
        doctor._mappings()
    finally:
        doctor.encrypted = mappings
    (_, counted, _), = doctor._findings
    assert "14 driver_timeouts" in counted, counted


@point
def benchmark():
    """bench measures reads only, unless told otherwise."""
    how = bench.How("/dev/null")
    equal([cell.work_name for cell in how.cells if cell.reads != 1], [],
          "writes")
    names = [cell.name for cell in how.cells]
    equal(len(set(names)), len(names), "different names")
    assert all(" null aes-xts 4096 " in name for name in names), names
    minute = how.rounds * how.expected
    assert minute <= 90, f"{minute} s to read"
    how.write = True
    assert how.rounds * how.expected <= 150, "to read and write"
    equal(len(how.cells), 2 * len(names), "cells with writes")


end()
