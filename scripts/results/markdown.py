# SPDX-License-Identifier: GPL-2.0-only
"""What all pages have in common: records, and tables."""

import glob
import json
import re

BEGIN, END = "<!-- {}: scripts/results/pages -->", "<!-- end -->"


def records(pattern):
    """Records by their files' names, {path: what is in it}."""
    found = {}
    for path in sorted(glob.glob(pattern)):
        with open(path, encoding="utf-8") as file:
            found[path] = json.load(file)
    return found


def escape(text):
    """A word as it is in a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(heads, rows):
    """A table, a line each; rows have as many words as heads."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(map(escape, line)) + " |" for line in lines]


def ratio(value, digits=2):
    """A ratio, or what is there in its place."""
    return "–" if value is None else f"{value:.{digits}f}"


def text(title, *parts):
    """A page of paragraphs and tables, each a list of lines."""
    note = ["Made by `scripts/results/pages` from the records in `results/`; "
            "`make check` fails if it is not", "what they give. Do not edit "
            "it."]
    blocks = [[f"# {title}"], note, *(part for part in parts if part)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def block(name, lines):
    """A part of a document that is not made here otherwise."""
    return [BEGIN.format(name), *lines, END]


def insert(document, made):
    """A document with a block in its place; the same if it has none."""
    return re.sub(f"{re.escape(made[0])}.*?{re.escape(END)}",
                  lambda _: "\n".join(made), document, count=1, flags=re.S)
