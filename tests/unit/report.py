# SPDX-License-Identifier: GPL-2.0-only
"""What the command reports of mappings that are made up."""

import contextlib
import io
import json
import tempfile

import made_up
from crypt_async import common, doctor, report, top
from crypt_async.mapping import Line, statistics
from points import end, equal, point

KEY = "0123456789abcdef" * 8
PARAMS = f"aes-xts-plain64 {KEY} 0 254:0 32768 1 allow_discards"


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


def findings(mapping):
    """What doctor finds when this mapping is the only one."""
    doctor._findings.clear()
    mappings, doctor.encrypted = doctor.encrypted, \
        lambda: [(mapping, mapping.table())]
    try:
        doctor._mappings()
    finally:
        doctor.encrypted = mappings
    return doctor._findings


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

    (_, said, advice), (_, counted, _) = findings(Mapping)
    assert "writes are refused" in said, said
    equal(advice, "copy the data, reboot, report it", "what to do")
    assert "3 state_errors" in counted, counted
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        report._print(report.describe(Mapping))
    assert "writes are refused, reads go on" in text.getvalue()


@point
def no_workqueue():
    """How options without a workqueue were taken is shown where they are."""
    for word, shown in ("", "allow_discards\n"), (
            " no_workqueue=hint", "allow_discards (no_..._workqueue: hint)"):
        line = Line(0, 8, "crypt-async", made_up.STATUS + word)

        class Mapping:
            """Of a device with that status."""
            name = shown = "a"
            uuid = "CRYPT-PLAIN-a"

            @staticmethod
            def table():
                """Its line."""
                return [Line(0, 8, "crypt-async", PARAMS)]

            @staticmethod
            def status(line=line):
                """Its counters."""
                return [statistics(line.words)]

        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            report._print(report.describe(Mapping))
        assert f"options    {shown}" in output.getvalue(), output.getvalue()


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
    (_, counted, _), = findings(Mapping)
    assert "14 driver_timeouts" in counted, counted


def printed(function, *args):
    """What it prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        function(*args)
    return text.getvalue()


@point
def tops():
    """top shows each mapping on the module, for programs as well."""
    made = made_up.with_mappings()
    with tempfile.TemporaryDirectory() as directory:
        top.LOCK = f"{directory}/lock"
        text = printed(top.top, [], 2, 0.01, False)
        equal(text.count("in flight"), 4, text)
        assert "my disk" in text and "bare" not in text, text
        lines = printed(top.top, ["my disk"], 2, 0.01, True).splitlines()
        for found in map(json.loads, lines):
            equal(found["name"], "my disk", "name")
            equal(found["in_flight"], 2, "in flight")
            equal(found["read"]["latency_us"]["queue"],
                  {"50": None, "99": None}, "nothing since then")
        equal(len(lines), 2, "screens")
        try:
            printed(top.top, ["bare"], 1, 0.01, False)
            raise AssertionError("it is not on the module")
        except common.Problem as problem:
            assert "adopt bare" in str(problem), str(problem)
        equal(made.sent.count("latency on"), made.sent.count("latency off"),
              "measured as long as it is shown")


end()
