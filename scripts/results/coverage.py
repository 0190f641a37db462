# SPDX-License-Identifier: GPL-2.0-only
"""The page of coverage: which lines of the module no test has run."""

from markdown import records, table, text

ABOUT = ["Lines of the module that ran in the functional tests and a minute "
         "of `stress/storm`, counted by gcov on a kernel of", "its own "
         "(`make coverage`). A label is one that an error jumps to."]
SHORT = 12              # of a commit's name


def ranges(numbers):
    """1, 2, 3, 5 as 1-3, 5."""
    found = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}"
                     for first, last in found)


def _row(name, ran, lines, missed):
    return [name, lines, ran, f"{100 * ran / max(lines, 1):.1f}", missed]


def _table(files, labels):
    rows = [_row(name, file["ran"], file["lines"], ranges(file["missed"]))
            for name, file in sorted(files.items())]
    rows.append(_row("all", sum(file["ran"] for file in files.values()),
                     sum(file["lines"] for file in files.values()), ""))
    rows.append(_row("labels", labels["ran"], labels["lines"],
                     ", ".join(labels["missed"])))
    return table(["file", "lines", "ran", "percent", "did not run"], rows)


def page(results):
    """The page, from the record in a directory."""
    found = records(f"{results}/coverage.json")
    if not found:
        return text("Coverage", ABOUT, ["No run is recorded yet: `make "
                                        "coverage RECORD=yes` leaves one."])
    record, = found.values()
    return text("Coverage", ABOUT,
                [f"- commit {record['commit'][:SHORT]}, "
                 f"`{record['command']}`, {record['date']}, "
                 f"Linux {record['kernel']}",
                 f"- tests failed: {'yes' if record['failed'] else 'none'}"],
                _table(record["files"], record["labels"]))
