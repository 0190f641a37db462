# SPDX-License-Identifier: GPL-2.0-only
"""The table of README.md: on which kernel, machine and release of Debian the
module was tested, or built. Of each part of tests/release the newest record
that has it counts."""

import re

from markdown import block, records, table

SUITES = {"bookworm": "Debian 12", "bookworm-backports": "12, backports",
          "trixie": "Debian 13", "trixie-backports": "13, backports",
          "sid": "unstable", "experimental": "experimental"}
USUAL = "amd64"             # a release of its own has no platform in its name
NEXT = "next"               # the same with the newest kernels
REAL_TIME = "rt"
BUILDS = re.compile(r"(\S+) (\S+): builds for Linux (\S+) \(\S+\), pages of "
                    r"(\w+)")
MISSING = re.compile(r"the mirror does not have that for (\S+) on (\S+)")
# A file of functional tests, or whether the guest's kernel complained.
OF_GUEST = re.compile(r"\d\d-|kernel-log")
NAME = "support matrix"
LEGEND = [
    "*tested*: each file of functional tests that `make release-test` has for "
    "it passed or was skipped for a reason; *N of M", "files*: so many did, "
    "none failed; *short run*: as `make test` runs them, with a part of the "
    "longest products; *builds*:", "without a warning, for each flavour of "
    "its kernel (usual, cloud, real-time); *no kernel*: that release has none",
    "there; *not to be had*: the mirror has no headers; *unknown*: no record."]


def _label(arch, pages):
    return f"{arch}, {pages} KiB"


def _platforms(path):
    """Rows of scripts/lab/platforms: {label: (arch, KiB, ending of a release
    by suite, that of others, what its kernels have in their names)}. None is
    for a suite without a release of that kind."""
    with open(path, encoding="utf-8") as file:
        rows = [line.split() for line in file if re.match("[a-z]", line)]
    found = {}
    for name, suites, pages, arch, *_ in sorted(
            rows, key=lambda row: row[0] != USUAL):
        label, ending = _label(arch, pages), f"-{name}"
        of_suites = dict.fromkeys(suites.split(","), ending)
        if name == USUAL:
            found[label] = arch, pages, {}, "", ""
        elif name == NEXT:
            found[label][2].update(of_suites)
        elif name == REAL_TIME:
            found[f"{label}, real-time"] = (arch, pages, of_suites, None,
                                            f"-{REAL_TIME}-")
        else:
            found[label] = arch, pages, {}, ending, ""
    return found


class Results:
    """What all records say."""

    def __init__(self, found):
        self.full, self.short, self.listed = {}, {}, []
        self.kernels = {}
        for record in sorted(found, key=lambda one: one["begun"]):
            self.full |= record["parts"]
            for name in record["parts"]:
                self.short.pop(name, None)
                self.short.pop(f"{name.partition('/')[0]}/kernel-log", None)
            self.short |= record.get("short", {})
            self.kernels |= record["kernels"]
            self.listed = [*record["parts"], *record.get("without", [])]
        # (suite, arch, KiB): {kernel: does it build?}
        self.built, self.missing, self.looked_at = {}, set(), {}
        for name, result in self.full.items():
            if name.endswith("/headers"):
                self._add_builds(name.removesuffix("/headers"), result)

    def _add_builds(self, suite, result):
        self.looked_at[suite] = result["result"] == "passed"
        for key, builds in (("built", True), ("not_built", False)):
            for line in result.get(key, []):
                match = BUILDS.match(line)
                of_kernels = self.built.setdefault(
                    (suite, match[2], match[4]), {})
                of_kernels[match[3]] = builds
        self.missing |= {MISSING.fullmatch(reason).groups()
                         for reason in result["skipped"]
                         if MISSING.fullmatch(reason)}

    def tested(self, release):
        """What tests in guests of a release say; None if there are none."""
        prefix = f"{release}/"
        wanted = [name for name in self.listed if name.startswith(prefix)
                  and OF_GUEST.match(name.removeprefix(prefix))]
        full = {name: self.full[name] for name in wanted if name in self.full}
        short = {name: result for name, result in self.short.items()
                 if name.startswith(prefix)
                 and OF_GUEST.match(name.removeprefix(prefix))
                 and (name not in full or result["result"] == "failed")}
        failed = sorted(name.removeprefix(prefix)
                        for some in (full, short)
                        for name, result in some.items()
                        if result["result"] == "failed")
        if failed:
            return f"**failed**: {', '.join(dict.fromkeys(failed))}"
        done = {name for name in (*full, *short) if name in wanted}
        if not done:
            return None
        words = ("tested" if len(done) == len(wanted)
                 else f"{len(done)} of {len(wanted)} files")
        return words + ", short run" * (not done <= full.keys())

    def build(self, suite, arch, pages, only):
        """What builds say, of kernels with a word in their names."""
        kernels = {kernel: builds for kernel, builds in
                   self.built.get((suite, arch, pages), {}).items()
                   if only in kernel}
        if not kernels:
            if (suite, arch) in self.missing:
                return "not to be had"
            return "no kernel" if self.looked_at.get(suite) else "unknown"
        bad = [kernel for kernel, builds in sorted(kernels.items())
               if not builds]
        return f"**does not build**: {', '.join(bad)}" if bad else "builds"

    def state(self, suite, arch, pages, ending, only):
        """A cell; without an ending, of its builds alone."""
        built = self.build(suite, arch, pages, only)
        tested = None if ending is None else self.tested(suite + ending)
        if tested is None:
            return built
        return f"{tested}; {built}" if "not build" in built else tested

    def kernel(self, suite):
        """The release of a suite's kernel, as far as it is known."""
        names = [kernel for (of, *_), kernels in self.built.items()
                 for kernel in kernels if of == suite]
        names += [name for release, name in self.kernels.items()
                  if release in (suite, f"{suite}-{NEXT}")]
        versions = [tuple(map(int, re.match(r"(\d+)\.(\d+)", name).groups()))
                    for name in names]
        return "{}.{}".format(*max(versions)) if versions else None


def _head(results, suite):
    kernel = results.kernel(suite)
    return f"{SUITES[suite]}: {kernel}" if kernel else SUITES[suite]


def matrix(results, platforms):
    """The table and what its words mean, of a directory of records and the
    file of platforms."""
    found = Results(records(f"{results}/tests/*.json").values())
    machines = _platforms(platforms)
    for _, arch, pages in found.built:
        if pages.isdigit():
            machines.setdefault(_label(arch, pages),
                                (arch, pages, {}, None, ""))
    rows = [[label, *(found.state(suite, arch, pages,
                                  endings.get(suite, other), only)
                      for suite in SUITES)]
            for label, (arch, pages, endings, other, only) in sorted(
                machines.items(), key=lambda one: (
                    one[1][0] != USUAL, one[1][0], int(one[1][1]), one[0]))]
    heads = ["machine, pages", *(_head(found, suite) for suite in SUITES)]
    return block(NAME, [*table(heads, rows), "", *LEGEND])
