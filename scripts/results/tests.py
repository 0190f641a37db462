# SPDX-License-Identifier: GPL-2.0-only
"""The page of tests: what came of each file of tests on each kernel, as
tests/release recorded it, and the crypto drivers that were tried on real
machines."""

import os
import re

from markdown import records, table, text

ABOUT = ["What `make release-test` found: each file of tests on each kernel "
         "with `CA_ALL=1`. [tests](../../tests/README.md)", "says what is "
         "where. Beside \"ok\" is the number of test points, those skipped "
         "included."]
HERE = "here"           # a release: what runs on the machine itself
SHORT = 12              # of a commit's name
FEW = 12                # parts that are named
TEMPLATES = ("TEMPLATE.json", "BENCH-TEMPLATE.json")


def state(result):
    """A part's result in a word or two; "–" without one (None)."""
    if result is None:
        return "–"
    if result["result"] == "failed":
        return f"**failed**: {len(result['failed'])} of {result['points']}"
    if result["skipped"] and not result["points"]:
        return "skipped"
    return f"ok {result['points'] or ''}".strip()


def _split(parts):
    """{test: {release: result}}, in the order of tests."""
    found = {}
    for name, result in parts.items():
        release, _, test = name.partition("/")
        found.setdefault(test, {})[release] = result
    return dict(sorted(found.items(), key=lambda item: (
        HERE in item[1], item[0])))


def _releases(parts):
    """In the order in which they came."""
    return list(dict.fromkeys(name.partition("/")[0] for name in parts))


def _machine(facts):
    kvm = {True: "with KVM", False: "emulated"}.get(facts.get("kvm"),
                                                    "KVM not known")
    return (f"{facts['processors']} processors, {facts['memory_gib']} GiB, "
            f"guests {kvm}" if facts else "machine not known")


def _grid(record, releases):
    heads = ["test", *(f"{name}, {record['kernels'][name]}"
                       if name in record["kernels"] else name
                       for name in releases)]
    return table(heads, [[test, *(state(results.get(name))
                                  for name in releases)]
                         for test, results in
                         _split(record["parts"]).items()])


def _skipped(parts):
    """Why something was skipped, and where."""
    reasons = {}
    for name, result in parts.items():
        for reason in result["skipped"]:
            reasons.setdefault(reason, []).append(name)
    return table(["skipped, since", "in"],
                 [[reason, ", ".join(names)]
                  for reason, names in sorted(reasons.items())]) \
        if reasons else []


def _failed(parts):
    """The points that failed, and how to repeat them."""
    rows = [[name, "<br>".join(re.sub(r"^not ok ", "", point)
                               for point in result["failed"]),
             "<br>".join(f"`{words}`" for words in result["repeat"])]
            for name, result in parts.items() if result["result"] == "failed"]
    return table(["failed", "points", "to repeat"], rows) if rows else []


def _few(names):
    """Names, if they are not too many to read."""
    more = [f"and {len(names) - FEW} more"] if len(names) > FEW else []
    return ", ".join([*names[:FEW], *more])


def _about(record):
    parts, left = record["parts"], record.get("without", [])
    dates = sorted(result["date"] for result in parts.values())
    hours = sum(result["seconds"] for result in parts.values()) / 3600
    yield (f"- commit {record['commit'][:SHORT]}, `{record['command']}`, from "
           f"{record['begun']} to {dates[-1]}, {hours:.1f} hours")
    yield f"- {_machine(record['machine'])}"
    yield (f"- {len(parts)} parts have a result, "
           + (f"{len(left)} have none: {_few(left)}" if left
              else "none is missing"))
    bad = [name for name, result in parts.items()
           if result["result"] == "failed"]
    yield f"- failed: {', '.join(bad) or 'none'}"


def _record(record):
    yield [f"## Version {record['version']}, commit "
           f"{record['commit'][:SHORT]}"]
    yield list(_about(record))
    yield _grid(record, _releases(record["parts"]))
    yield _skipped(record["parts"])
    yield _failed(record["parts"])


def _releases_tested(results):
    found = [record for record in records(f"{results}/tests/*.json").values()
             if record["parts"]]
    if not found:
        yield ["No run is recorded yet: `make release-test` leaves a record "
               "when it has gone through all of its parts,", "`tests/release "
               "--record` one of those that have a result."]
    for record in sorted(found, key=lambda one: one["begun"], reverse=True):
        yield from _record(record)


def _drivers(results):
    found = {path: report for path, report in
             records(f"{results}/hardware/*.json").items()
             if os.path.basename(path) not in TEMPLATES
             and "drivers" in report}
    yield ["## Crypto drivers on real machines"]
    if not found:
        yield ["None was tried yet: [results/hardware]"
               "(../../results/hardware/README.md) says how a report is sent "
               "in."]
        return
    yield table(["driver", "cipher", "result", "machine", "kernel",
                 "report"],
                [[driver["driver"], driver["cipher"], driver["result"],
                  report["cpu"] + ", virtual" * report["virtual"],
                  report["kernel"], os.path.basename(path)]
                 for path, report in found.items()
                 for driver in report["drivers"]])


def page(results):
    """The page, from the records in a directory."""
    return text("Tests", ABOUT, *_releases_tested(results),
                *_drivers(results))
