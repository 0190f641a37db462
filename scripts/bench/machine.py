# SPDX-License-Identifier: GPL-2.0-only
"""usage: scripts/bench/machine.py [--variants] NAME[:PARAMETER=VALUE...][,...]

The machines whose time is simulated: files of parameters. Run by itself, this
prints the machines of a list, a line each, or says what is wrong with it. With
--variants each is followed by itself with other parameters."""

import dataclasses
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
MACHINES = os.path.join(HERE, "machines")
USUAL_PS = 333              # a plain instruction, on most of them
WORDS = ("arch", "cpu")     # parameters that are no numbers
# What a conclusion must not depend on: how long a wake-up takes, and how many
# times as long as usual atomic instructions, and those of the cipher, do.
WAKE_NS = (500, 20_000)
TIMES = (("atomic_ps", 4), ("vector_ps", 0.5), ("vector_ps", 4))


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine: its name, what its file says of it, and its parameters."""
    name: str
    about: str
    parameters: dict[str, str]

    @property
    def processors(self):
        """How many it has."""
        return int(self.parameters["processors"])

    @property
    def slowness(self):
        """How many times as long an instruction takes as on most."""
        return int(self.parameters["plain_ps"]) / USUAL_PS

    @property
    def has_aes(self):
        """Does it have instructions for AES?"""
        return "-aes" not in self.parameters["cpu"].split(",")

    def as_json(self):
        """For the report: all that tells it from another machine."""
        return {"name": self.name, "about": self.about,
                "parameters": self.parameters}


def names():
    """All machines that have a file here."""
    return sorted(os.listdir(MACHINES))


def parse(name, text):
    """A machine's file: comments, then name=value."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    about = " ".join(line.lstrip("# ") for line in lines if line[0] == "#")
    return Machine(name, about, dict(line.split("=", 1) for line in lines
                                     if line[0] != "#"))


def _check(machine):
    """Raise an error for values that cannot be."""
    for key, value in machine.parameters.items():
        if key not in WORDS and not (value.isascii() and value.isdigit()
                                     and int(value)):
            raise ValueError(f"{machine.name}: {key}={value} is not a whole "
                             "number above 0; a colon is between parameters")
    if machine.processors % int(machine.parameters["sockets"]):
        raise ValueError(f"{machine.name}: its processors cannot be divided "
                         "among its sockets")


def load(name):
    """A machine by its name, which may be followed by parameters that are
    other ones: laptop:wake_ns=500"""
    base, *changes = name.split(":")
    if base not in names():
        raise ValueError(f"there is no machine {base!r}: the machines are "
                         f"{', '.join(names())}")
    with open(os.path.join(MACHINES, base), encoding="ascii") as file:
        found = parse(name, file.read())
    for change in changes:
        key, _, value = change.partition("=")
        if key not in found.parameters:
            raise ValueError(f"{name}: {key!r} is no parameter of a machine, "
                             f"which are {', '.join(found.parameters)}")
        found.parameters[key] = value
    _check(found)
    return found


def variants(machine):
    """The machine, and it with one parameter changed, as names."""
    if ":" in machine.name:
        raise ValueError(f"{machine.name} is a variant itself: name "
                         f"{machine.name.split(':')[0]}")
    usual = machine.parameters
    return [machine.name,
            *(f"{machine.name}:wake_ns={ns}" for ns in WAKE_NS),
            *(f"{machine.name}:{key}={round(int(usual[key]) * times)}"
              for key, times in TIMES)]


def split(text):
    """The machines of a list, as load() has them. Values may have commas:
    what follows one, and is no machine's name, belongs to the value before
    it, as in small,laptop:cpu=max,-aes:wake_ns=500."""
    found = []
    for word in text.split(","):
        if found and ":" in found[-1] and word.split(":")[0] not in names():
            found[-1] += f",{word}"
        else:
            found.append(word)
    return [load(name) for name in found]


if __name__ == "__main__":
    arguments = sys.argv[1:]
    has_variants = arguments[:1] == ["--variants"]
    try:
        for one in split(",".join(arguments[has_variants:])):
            print("\n".join(variants(one) if has_variants else [one.name]))
    except ValueError as error:
        sys.exit(str(error))
