# SPDX-License-Identifier: GPL-2.0-only
"""Reports on some machine, which can be sent in: what each of them says of
the machine, and that of selftest: how it is made, and whether one can be what
selftest has written. That of bench is in bench_report.py."""

import datetime
import os
import re

from . import drivers
from .common import MODULE, read

SCHEMA = 1
TOOL = "crypt-async selftest"
# Of the target's status, those that are of interest here.
COUNTERS = ("reads", "writes", "read_bytes", "written_bytes", "fragments",
            "inline", "queued", "deferred", "parked", "resumed", "trimmed",
            "mem_waits", "crypto_errors", "driver_timeouts", "state_errors",
            "errors")
NOT_TRIED = ["authenc(...)"]
RESULTS = ("ok", "wrong", "failed", "silent", "skipped", "reference")
_MIB = 1 << 20
# Of any report.
FACTS = {"schema": int, "tool": str, "date": str, "module": str,
         "kernel": str, "machine": str, "cpu": str, "cpus": int,
         "board": str, "distribution": str, "virtual": bool, "rounds": int}
_FIELDS = FACTS | {"area": int, "not_tried": list, "skipped": list,
                   "drivers": list}
_DRIVER = {"driver": str, "cipher": str, "module": str, "async": bool,
           "priority": int, "kernel_selftest": str, "result": str,
           "cases": list}
_CASE = {"unit": int, "key": int, "memory": str, "ios": int, "bytes": int,
         "overtaken": int, "counters": dict}
_OPTIONAL = {"why": str, "trouble": dict}
_MOCKS = ("chaos",)


# --- writing --------------------------------------------------------------

def processor(text):
    """The processor's model in a text such as /proc/cpuinfo: its name, or
    the numbers that some architectures have instead."""
    fields = {}
    for row in text.splitlines():
        key, _, value = row.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    for key in ("model name", "cpu model", "cpu", "uarch", "vendor_id"):
        if fields.get(key):
            return fields[key]
    parts = [f"{key} {fields[key]}" for key in (
        "cpu implementer", "cpu variant", "cpu part", "cpu revision")
        if fields.get(key)]
    return ", ".join(parts) or "unknown"


def _distribution():
    for row in (read("/etc/os-release") or "").splitlines():
        key, _, value = row.partition("=")
        if key == "PRETTY_NAME":
            return value.strip("\"'")
    return "unknown"


def facts(tool, schema):
    """What any report begins with, while the module is loaded. It has no
    names or numbers of this one machine."""
    system, cpuinfo = os.uname(), read("/proc/cpuinfo") or ""
    return {
        "schema": schema, "tool": tool,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "module": read(f"/sys/module/{MODULE}/version") or "",
        "kernel": system.release, "machine": system.machine,
        "cpu": processor(cpuinfo), "cpus": os.cpu_count(),
        "board": (read("/proc/device-tree/model") or "").rstrip("\0"),
        "distribution": _distribution(),
        "virtual": bool(re.search(r"\bhypervisor\b|TCG", cpuinfo))}


def report(found, area, rounds):
    """The report of a selftest."""
    return facts(TOOL, SCHEMA) | {
        "area": area, "rounds": rounds, "not_tried": NOT_TRIED,
        "skipped": [each for each in found if "driver" not in each],
        "drivers": [each for each in found if "driver" in each]}


# --- checking -------------------------------------------------------------

def types(value, fields, where, optional=None):
    """What is missing, too much, or of another type."""
    if not isinstance(value, dict):
        return [f"{where}: is not an object"]
    out = [f"{where}: {name} is missing"
           for name in fields if name not in value]
    for name, each in value.items():
        kind = fields.get(name) or (optional or {}).get(name)
        if kind is None:
            out.append(f"{where}: {name} is not known")
        elif not isinstance(each, kind) or (
                kind is int and isinstance(each, bool)):
            out.append(f"{where}: {name} is not {kind.__name__}")
    return out


def wrong_facts(report_, tool, schema, today):
    """Yield what is wrong with the fields that any report has."""
    if report_["schema"] != schema:
        yield f"schema is not {schema}"
    if report_["tool"] != tool:
        yield "tool is another one"
    try:
        date = datetime.date.fromisoformat(report_["date"])
        if date > today + datetime.timedelta(days=1):
            yield "date is in the future"
    except ValueError:
        yield "date is not YEAR-MONTH-DAY"
    for name, pattern in (("module", r"\d+\.\d+\.\d+\S*"),
                          ("kernel", r"\d+\.\d+\S*"),
                          ("machine", r"\w+"), ("cpu", r".*\w.*"),
                          ("distribution", r".*\w.*")):
        if not re.fullmatch(pattern, report_[name]):
            yield f"{name} is not one: {report_[name]!r}"
    for name in ("cpus", "rounds"):
        if report_[name] < 1:
            yield f"{name} is less than 1"


def is_driver_name(name):
    """Can a driver of the Crypto API have it?"""
    return bool(re.fullmatch(r"[\w(),.-]+", name)) and \
        name.count("(") == name.count(")")


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) \
        and value >= 0


def _numbers(case):
    """Yield the numbers of a case that no run can have."""
    counters = case["counters"]
    if set(counters) != set(COUNTERS):
        yield "its counters are others than selftest's"
        return
    if not all(map(_is_count, [*counters.values(), case["ios"],
                               case["bytes"], case["overtaken"]])):
        yield "a count is not one"
        return
    if case["overtaken"] and case["overtaken"] >= case["ios"]:
        yield "all requests were overtaken"
    if not case["ios"] * 512 <= case["bytes"] <= case["ios"] * _MIB:
        yield "its bytes do not fit its requests"
    if "trouble" in case:
        return
    if counters["read_bytes"] + counters["written_bytes"] < case["bytes"]:
        yield "the target did less than was asked for"
    if counters["written_bytes"] > case["bytes"]:
        yield "the target wrote more than was asked for"
    if counters["reads"] + counters["writes"] < case["ios"]:
        yield "the target had fewer requests than were sent"
    if counters["fragments"] < case["ios"]:
        yield "there are fewer fragments than requests"
    if counters["parked"] != counters["resumed"]:
        yield "parked is not resumed"
    if any(counters[name] for name in ("errors", "state_errors")):
        yield "there were errors, and yet it is right"


def _cases(driver, report_, cipher):
    """Yield what is wrong with the cases of a driver."""
    for number, case in enumerate(driver["cases"]):
        bad = types(case, _CASE, f"case {number + 1}", _OPTIONAL)
        yield from bad
        if bad:
            return
        yield from (f"case {number + 1}: {text}" for text in _numbers(case))
        if case["unit"] not in (512, 4096) or case["key"] not in cipher.keys \
                or case["memory"] not in ("usual", "little"):
            yield f"case {number + 1}: selftest has no such case"
        if "trouble" not in case and case["bytes"] != 3 * report_["area"]:
            yield f"case {number + 1}: it is not done three times over"
        if ("trouble" in case) != (driver["result"] not in ("ok",) and
                                   number == len(driver["cases"]) - 1):
            yield f"case {number + 1}: trouble does not fit the result"
    # As many as selftest has of the cipher: one more than its keys.
    wanted = (len(cipher.keys) + 1) * report_["rounds"]
    if driver["result"] == "ok" and len(driver["cases"]) != wanted:
        yield f"there are {len(driver['cases'])} cases, not {wanted}"


def _driver(driver, report_):
    """Yield what is wrong with a driver's part."""
    ciphers = {cipher.name: cipher for cipher in drivers.CIPHERS}
    result, name = driver["result"], driver["driver"]
    if not is_driver_name(name):
        yield "no driver has such a name"
    if driver["cipher"] not in ciphers:
        yield f"selftest does not try {driver['cipher']}"
        return
    if result not in RESULTS:
        yield f"result {result} is none"
        return
    if any(re.search(rf"\b{mock}\b", name) for mock in _MOCKS) \
            or driver["module"] in _MOCKS:
        yield "it is the mock driver of the tests"
    if (result == "skipped") != bool(driver.get("why")):
        yield "why is for what was skipped, and only for that"
    if result in ("skipped", "reference"):
        if driver["cases"]:
            yield f"{result}, and yet it has cases"
        return
    if not driver["module"]:
        yield "its module is not named"
    if not driver["cases"]:
        yield "it has no cases"
    yield from _cases(driver, report_, ciphers[driver["cipher"]])


def _together(report_):
    """Yield what does not fit together."""
    seen = [(each["cipher"], each["driver"]) for each in report_["drivers"]]
    if len(seen) != len(set(seen)):
        yield "a driver is there twice"
    if not any(each["cases"] for each in report_["drivers"]):
        yield "no driver was tried"
    for cipher in sorted({each["cipher"] for each in report_["drivers"]}):
        count = sum(each["cipher"] == cipher and each["result"] == "reference"
                    for each in report_["drivers"])
        if count != 1:
            yield f"{cipher} has {count} references, not one"


def problems(report_, today=None):
    """Sentences that say why this is no report of selftest; none, if it can
    be one."""
    out = types(report_, _FIELDS, "report")
    if out:
        return out
    out += wrong_facts(report_, TOOL, SCHEMA, today or datetime.date.today())
    if report_["area"] < 1 or report_["area"] % _MIB:
        out.append("area is not in MiB")
    for number, driver in enumerate(report_["drivers"]):
        where = f"driver {number + 1}"
        bad = types(driver, _DRIVER, where, _OPTIONAL)
        out += bad or [f"{where}, {driver['driver']}: {text}"
                       for text in _driver(driver, report_)]
    for each in report_["skipped"]:
        out += types(each, {"cipher": str, "why": str}, "skipped")
    return out or list(_together(report_))
