# SPDX-License-Identifier: GPL-2.0-only
"""The page of benchmarks: of each simulated machine and cell what was recorded
last, instructions of an I/O, and the reports from real machines."""

import itertools
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "command"),
                os.path.join(HERE, "..", "bench")]
import core  # noqa: E402
import machine as m  # noqa: E402
import recorded  # noqa: E402
from crypt_async.measure import reduce as r  # noqa: E402
from crypt_async.measure.cells import CRYPT_ASYNC, DEFAULT  # noqa: E402
from markdown import block, ratio, records, table, text  # noqa: E402

ABOUT = ["Ratios of crypt-async's rate to dm-crypt's: to the setting that is "
         "best in that cell, and to", "the default, no option. Above 1, "
         "crypt-async is faster. [measuring]"
         "(../explanation/measuring.md) says how they "
         "come", "about, what is not in the model of simulated machines, and "
         "what each column means."]
AIMS = ['"Misses" names the aims that a cell misses: *rate*, slow runs at '
        "least as fast as dm-crypt's best", "setting; *p99*, at most 1.05 of "
        "the default's, and beside writers at most twice the raw device's; "
        "*time* of", "processors, at depth 1 at most that of dm-crypt's "
        "cheapest setting, or 1.25 times that for more than 64 KiB,", "and "
        "never more than the default's. For each cell only the runs of the "
        "commit that was measured last count."]
COLUMNS = ("work", "to best", "spread", "best setting", "to default",
           "of limit", "slow runs", "A/A", "time to min", "time to default",
           "p99", "runs", "misses", "measured")
COSTS = ("device, unit, work", "above", "dm-crypt, default",
         "its cheapest setting", "which is", "ratio", "all", "to best",
         "to default", "of limit")
STACK_WORDS = 5             # of a cell's name


# --- simulated machines ---------------------------------------------------

def _cell_row(cell):
    median, low, high = cell["to_best"]
    limit = cell["of_limit"]
    return [cell["work"], ratio(median), f"{low:.2f} to {high:.2f}",
            cell["best"], ratio(cell["to_default"][0]),
            ratio(limit and limit[0]), ratio(cell["low"]),
            ratio(cell["aa"], 3), ratio(cell["busy_to_min"]),
            ratio(cell["busy_to_default"]), ratio(cell["p99_to_default"]),
            cell["runs"], ", ".join(cell["misses"]),
            f"{cell['date']}, {cell['commit']}"]


def _title(machine):
    """Its name, with the parameters that are not those of its file."""
    try:
        usual = m.load(machine["name"]).parameters
    except ValueError:
        usual = {}
    return machine["name"] + "".join(
        f":{key}={value}" for key, value in machine["parameters"].items()
        if usual.get(key) != value)


def _stack_of(name):
    """The stack of a core cell's name: its first words."""
    return " ".join(name.split(" ")[:STACK_WORDS])


def _missing(names):
    """What of the core cells was not measured, a line for each stack."""
    if names:
        yield "- Not measured:"
    for stack, works in itertools.groupby(names, _stack_of):
        yield f"  - {stack.split(' ', 1)[1]}: " + ", ".join(
            name.removeprefix(stack + " ") for name in works)


def _about(found):
    """What is said above a machine's tables."""
    summary, boot = found["summary"], found["boots"][-1]
    kinds, missing = (found["recorded"][key] for key in ("core", "missing"))
    missed = [name for cell in found["cells"] for name in cell["misses"]]
    yield f"- {found['machine']['about']}"
    yield "- " + ", ".join(f"{key}={value}" for key, value
                           in found["machine"]["parameters"].items())
    yield f"- Linux {found['kernel']}, {boot['driver']}"
    yield "- Commands: " + ", ".join(f"`{command}`" for command in
                                     dict.fromkeys(one["command"] for one
                                                   in found["boots"]))
    if kinds:
        done = len(kinds) - len(missing)
        yield (f"- {done} of {len(kinds)} core cells were measured, "
               f"{done / len(kinds):.0%}; of {found['recorded']['rest']} "
               f"others {found['recorded']['drawn']}")
    yield (f"- Geometric mean of {summary['cells']} cells: "
           f"{summary['to_best']:.2f} of the best setting, "
           f"{summary['to_default']:.2f} of the default; the limit itself: "
           + ("not known" if not summary["limit"] else
              "{:.2f} and {:.2f}".format(*summary["limit"])))
    yield "- Cells that miss an aim: " + ", ".join(
        f"{name} {missed.count(name)}" for name in ("rate", "p99", "time"))
    yield (f"- A/A test: {summary['aa']:.3f} is the farthest from 1; cells "
           f"beyond {r.AA_TOLERANCE:.1%}: {len(summary['aa_failed'])}; cells "
           f"with forced steps: {len(summary['forced'])}")
    yield from _missing(missing)


def _variants(machines):
    """Machines with other parameters, and the cells that depend on these."""
    rows = list(recorded.sides(machines))
    if not rows:
        return
    yield ["### With other parameters"]
    yield ["A cell changes sides if crypt-async is slower than dm-crypt's "
           "best setting, by more than 0.5 %, with the parameters", "of the "
           "machine's file, and not with the other one, or the other way "
           "round."]
    yield table(("machine", "cells compared", "change sides, ratio with the "
                 "file's parameter and with this one"),
                [[f"{name}, Linux {kernel.split('+')[0]}", count,
                  "; ".join(f"{cell}: {before:.2f}, {now:.2f}"
                            for cell, before, now in changed)
                  or ("none" if count else "–")]
                 for name, kernel, count, changed in rows])


def _growth(machines):
    """Cells by the number of processors."""
    rows = list(recorded.growth(machines))
    if not rows:
        return
    counts = sorted({count for row in rows for count in row[3]})
    yield ["### With more processors"]
    yield ["The rate of crypt-async, beside that with the fewest processors. "
           "More of them should never make a cell slower by more", "than 2 %: "
           "those where they do are marked."]
    yield table(("machine and cell", *map(str, counts), "slower"),
                [[f"{name}, Linux {kernel.split('+')[0]}: {cell}",
                  *(ratio(rates.get(count) and rates[count] / min(
                      rates.items())[1]) for count in counts),
                  "slower" if is_slower else ""]
                 for name, kernel, cell, rates, is_slower in rows])


def _overall(machines):
    """How many core cells of all machines that have a file were measured on
    some kernel."""
    names = {cell.name for name in m.names()
             for cell in core.choose(m.load(name), "full")}
    done = {name for found in machines for name in found["recorded"]["core"]
            if name not in found["recorded"]["missing"]}
    without = [name for name in m.names()
               if not any(cell.startswith(name + " ") for cell in done)]
    return (f"{len(done)} of {len(names)} core cells of the "
            f"{len(m.names())} machines were measured, "
            f"{len(done) / len(names):.0%}"
            + (f"; none of {', '.join(without)}" if without else "") + ".")


def _figures_row(found):
    summary, kernel = found["summary"], found["kernel"].split("+")[0]
    medians = [cell["to_best"][0] for cell in found["cells"]]
    return [f"{_title(found['machine'])}, Linux {kernel}",
            f"{len(found['cells'])} of {len(found['recorded']['core'])}",
            ratio(summary["to_best"]),
            f"{min(medians):.2f} to {max(medians):.2f}",
            ratio(summary["to_default"]),
            sum(bool(cell["misses"]) for cell in found["cells"])]


def figures(results):
    """For README.md: a line for each simulated machine."""
    machines = recorded.by_machine(recorded.load(f"{results}/simulated"))
    rows = [_figures_row(found) for found in machines
            if not recorded.is_variant(found)]
    return block("figures", [
        *table(("simulated machine", "cells measured", "to best setting",
                "min and max", "to default", "cells that miss an aim"),
               rows)] if rows else ["No figures are recorded yet."])


def simulated(machines):
    """Paragraphs and tables of what recorded.by_machine() gives."""
    yield ["## Simulated machines"]
    if not machines:
        yield ["No figures are recorded yet: `scripts/bench/bench "
               "--simulated --record` adds some."]
        return
    yield AIMS
    yield [_overall(machines)]
    for found in machines:
        if recorded.is_variant(found):
            continue
        yield [f"### {_title(found['machine'])}, Linux {found['kernel']}"]
        yield list(_about(found))
        for stack, cells in itertools.groupby(
                found["cells"], lambda cell: cell["stack"]):
            yield [f"{stack.split(' ', 1)[1]}:"]
            yield table(COLUMNS, map(_cell_row, cells))
    yield from _variants(machines)
    yield from _growth(machines)


# --- instructions ---------------------------------------------------------

def _cost_row(row):
    above = row["above"]
    return [f"{row['device']}, {row['unit']}, {row['work']}",
            round(above[CRYPT_ASYNC]), round(above[DEFAULT]),
            round(above[row["best"]]), row["best"], ratio(row["ratio"]),
            round(row["counted"][CRYPT_ASYNC]), ratio(row["to_best"]),
            ratio(row["to_default"]), ratio(row["of_limit"])]


def _costs(results):
    """Of each kernel the last record."""
    boots = {boot["release"]: boot for boot in
             records(f"{results}/cost/*.json").values()}
    yield ["## Instructions of an I/O"]
    if not boots:
        yield ["None are recorded yet: `scripts/bench/bench --cost --record` "
               "does that."]
        return
    yield ["Of 4 KiB, one at a time: *above* what dm-linear and the cipher "
           "alone take; and *all* of them, with the ratios that", "they come "
           "to. Processors execute them at different speeds, so that this is "
           "no time."]
    for boot in boots.values():
        yield [f"### Linux {boot['kernel']}"]
        yield [f"- `{boot['command']}`, commit {boot['commit']}, "
               f"{boot['date']}, {boot['driver']}"]
        yield table(COSTS, [_cost_row(r.reduce_cost(row))
                            for row in boot["cost"]])


# --- real machines --------------------------------------------------------

def _hardware(results):
    found = records(f"{results}/hardware/*-bench.json")
    yield ["## Real machines"]
    if not found:
        yield ["No figures from hardware yet: "
               "[results/hardware](../../results/hardware/README.md) says how "
               "a report is sent in."]
        return
    yield table(("machine", "kernel", "module", "device", "cells", "to best",
                 "to default", "worst cell", "too noisy", "report"),
                [[report["cpu"] + ", virtual" * report["virtual"],
                  report["kernel"], report["module"],
                  report["device"], report["summary"]["cells"],
                  ratio(report["summary"]["to_best"]),
                  ratio(report["summary"]["to_default"]),
                  report["summary"]["worst"] or "–",
                  len(report["summary"]["noisy"]),
                  f"[{os.path.basename(path)}]"
                  f"(../../results/hardware/{os.path.basename(path)})"]
                 for path, report in found.items()])


def page(results):
    """The page, from the records in a directory."""
    return text("Benchmarks", ABOUT, *_hardware(results),
                *simulated(recorded.by_machine(recorded.load(
                    f"{results}/simulated"))), *_costs(results))
