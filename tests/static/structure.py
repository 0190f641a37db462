# SPDX-License-Identifier: GPL-2.0-only
"""usage: structure.py [--top DIR] [--dot | --draw]

Checks how the module's files depend on each other, and prints what is wrong:

- A file includes the own header of each name that it uses, directly, and no
  own header of which it uses nothing. x.c includes x.h, if there is one. Names
  are those that cross files: ca_..., CA_..., trace_ca_..., struct dm_crypt_io
  and struct convert_context. In a header, "struct x;" is enough for pointers.
  A member of a structure is a use of its header, and asks for no include. If
  another header that is included has one of that name, too, what is before it
  has to be of a structure of this header.
  compat.h is included by Kbuild, and left out.
- Calls between .c files form no circle. A call is a function's name and "(";
  a function's address, such as that of a completion, is none. Calls in a
  static inline function or a macro of x.h are those of each .c file that uses
  it, also through others of this kind, and x.c's.
- Braces match in each file: the rest would be taken for something else.
- docs/structure.svg shows the files and calls of these sources.

--dot prints the picture for dot, --draw has dot make docs/structure.svg of it.
"""

import argparse
import dataclasses
import glob
import os
import re
import subprocess
import sys
import textwrap

HERE = os.path.dirname(os.path.realpath(__file__))
PICTURE = "docs/structure.svg"
EXEMPT = "src/compat.h"
TYPES = {"dm_crypt_io", "convert_context"}
CROSSES = re.compile(r"(__)?(trace_)?ca_|CA_")
GUARD = re.compile(r"CA_\w+_H$")
# A member of a structure, by what comes behind its name.
MEMBER = re.compile(r"(\w+)\s*(?:\[[^]]*\]\s*)*(?:;|,|:\s*\d)|\*\s*(\w+)\s*\)")


@dataclasses.dataclass
class File:
    """A source file."""

    path: str
    purpose: str = ""
    includes: set = dataclasses.field(default_factory=set)
    words: set = dataclasses.field(default_factory=set)
    fields: set = dataclasses.field(default_factory=set)    # ->x and .x
    pairs: set = dataclasses.field(default_factory=set)     # y of y->x, and x
    types: dict = dataclasses.field(default_factory=dict)   # {y: structures}
    calls: set = dataclasses.field(default_factory=set)
    declares: set = dataclasses.field(default_factory=set)
    members: set = dataclasses.field(default_factory=set)   # of its structures
    forward: set = dataclasses.field(default_factory=set)   # struct x;
    defines: set = dataclasses.field(default_factory=set)   # not static
    data: set = dataclasses.field(default_factory=set)      # likewise
    inlines: dict = dataclasses.field(default_factory=dict)  # a header's, and
    macros: set = dataclasses.field(default_factory=set)    # what they call
    depth: int = 0                                          # at the end

    def uses(self):
        """Names that cross files, and that an include has to explain."""
        return {word for word in self.words if crosses(word)} - self.forward


def crosses(name):
    """Does this name cross files?"""
    return name in TYPES or bool(CROSSES.match(name)) \
        and not GUARD.match(name)


# --- reading --------------------------------------------------------------

def strip(text):
    """Without comments, and with empty strings."""
    def instead(match):
        return " " if match[0].startswith("/") else match[0][0] * 2
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
                  r"|'(?:\\.|[^'\\\n])*'", instead, text, flags=re.DOTALL)


def purpose(text):
    """The first sentence of the first comment but for the licence."""
    for match in re.finditer(r"/\*(.*?)\*/", text, re.DOTALL):
        said = re.sub(r"^[ \t]*\*+", "", match[1], flags=re.MULTILINE)
        said = re.split(r"\n\s*\n", said.strip(" *\t\n"))[0]
        if not said.startswith("SPDX"):
            return re.split(r"\.(?:\s|$)", " ".join(said.split()))[0] \
                .rstrip(":")
    return ""


def name_of(statement):
    """What a declaration at file level declares: the function before the
    first parenthesis, else the word before [, = or the end."""
    text = re.sub(r"\b__\w+(\s*\(\([^)]*\)\)|\s*\([^)]*\))?", " ", statement)
    found = re.search(r"(\w+)\s*\(", text.split("=")[0]) or \
        re.search(r"(\w+)\s*(\[|=|$)", text.strip())
    return found[1] if found else ""


def blocks(text):
    """(what comes before, what is within braces or None) at file level."""
    depth, start, begin = 0, 0, 0
    for match in re.finditer(r"[{};]", text):
        at, char = match.start(), match[0]
        if char == "{":
            if not depth:
                begin = at
            depth += 1
        elif char == "}":
            depth -= 1
            if not depth and re.search(r"\)\s*$", text[start:begin]):
                yield text[start:begin], text[begin + 1:at]     # a function
                start = at + 1
        elif not depth:
            if begin >= start and "{" in text[start:at]:
                yield text[start:begin], text[begin + 1:at]
            else:
                yield text[start:at], None
            start = at + 1


def declare(file, before, within):
    """Note what a statement at file level declares."""
    before = before.strip()
    kind = re.match(r"(?:typedef\s+)?(struct|union|enum)\s+(\w+)$", before)
    macro = re.match(r"(TRACE|DECLARE|DEFINE)_\w+\s*\(\s*(.*)", before,
                     re.DOTALL)
    if macro and macro[1] == "TRACE":
        if before.startswith("TRACE_EVENT"):
            event = re.match(r"\w+", macro[2])[0]
            file.declares |= {f"trace_{event}", f"trace_{event}_enabled"}
    elif macro:
        file.declares |= set(re.findall(r"\w+", macro[2])[-1:])
    elif within is None and kind:
        file.forward.add(kind[2])
    elif within is not None and kind:
        file.declares.add(kind[2])
        if kind[1] == "enum":
            file.declares |= set(re.findall(r"(?:^|,)\s*(\w+)", within))
        else:
            file.members |= {one or other for one, other
                             in MEMBER.findall(within)}
    elif re.match(r"enum\b", before) and within is not None:
        file.declares |= set(re.findall(r"(?:^|,)\s*(\w+)", within))
    elif before:
        name = name_of(before)
        file.declares.add(name)
        if within is not None and before.endswith(")"):
            file.inlines[name] = within
        if re.search(r"\b(static|extern|typedef)\b", before):
            return
        if within is not None and before.endswith(")"):
            file.defines.add(name)
        elif "(" not in before.split("=")[0] and crosses(name):
            file.data.add(name)


def calls_in(text):
    """What is called there: names before a parenthesis."""
    return set(re.findall(r"\b([A-Za-z_]\w*)\s*\(", text))


def read(top, path):
    """Take a file apart."""
    with open(os.path.join(top, path), encoding="utf-8") as source:
        text = source.read()
    file = File(path, purpose(text))
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE):
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        file.includes.add(beside if os.path.exists(os.path.join(top, beside))
                          else os.path.normpath(name))
    text = strip(re.sub(r"\\\n", " ", text))
    text = re.sub(r"^\s*#\s*(include|error|ifn?def|undef)\b.*", "", text,
                  flags=re.MULTILINE)
    file.words = set(re.findall(r"\b[A-Za-z_]\w*", text))
    file.fields = set(re.findall(r"(?:->|\.)\s*(\w+)", text))
    file.pairs = set(re.findall(r"(\w+)(?:\[[^]]*\])?\s*(?:->|\.)\s*"
                                r"(?=(\w+))", text))
    for kind, name in re.findall(r"\bstruct\s+(\w+)\s+\*?\s*(\w+)", text):
        file.types.setdefault(name, set()).add(kind)
    file.calls = calls_in(text)
    file.inlines = dict(re.findall(
        r"^\s*#\s*define\s+(\w+)(?:\([^)]*\))?(.*)", text, re.MULTILINE))
    file.macros = set(file.inlines)
    file.declares |= file.macros
    text = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    file.depth = text.count("{") - text.count("}")
    for before, within in blocks(text):
        declare(file, before, within)
    file.declares = {name for name in file.declares if crosses(name)}
    return file


def read_all(top):
    """{path: File} of the module, and what is wrong with Kbuild."""
    with open(f"{top}/Kbuild", encoding="utf-8") as source:
        built = set(re.findall(r"^\w+-y\s*[:+]=\s*(.*)\.o$", source.read(),
                               re.MULTILINE))
    paths = [os.path.relpath(path, top) for pattern in ("*.[ch]", "src/*.[ch]")
             for path in sorted(glob.glob(f"{top}/{pattern}"))]
    paths = [path for path in paths if not path.endswith(".mod.c")]
    there = {path[:-2] for path in paths if path.endswith(".c")}
    wrong = [f"Kbuild: no {stem}.o" for stem in sorted(there - built)]
    wrong += [f"Kbuild: there is no {stem}.c"
              for stem in sorted(built - there)]
    return {path: read(top, path) for path in paths if path != EXEMPT}, wrong


# --- includes -------------------------------------------------------------

def own_header(path):
    """x.h of x.c."""
    return path[:-1] + "h" if path.endswith(".c") else None


def check_includes(files):
    """What is included too little or too much."""
    where, wrong = {}, []
    for path, file in files.items():
        for name in sorted(file.declares) if path.endswith(".h") else ():
            if name in where:
                wrong.append(f"{path}: {name} is in {where[name]}, too")
            where.setdefault(name, path)
    for path, file in files.items():
        own, uses = own_header(path), file.uses()
        is_trace = path.endswith("/trace.c")
        # The bodies of the tracepoints are compiled in trace.c, which includes
        # what they need; trace.h, which is included everywhere, does not.
        if is_trace:
            uses |= files[own].uses() if own in files else set()
        elif path.endswith("/trace.h"):
            continue
        if own in files and own not in file.includes:
            wrong.append(f"{path}: does not include its own {own}")
        wanted = {}
        for name in sorted(uses - file.declares):
            wanted.setdefault(where.get(name), []).append(name)
        for header, names in wanted.items():
            if header not in (None, own, path) \
                    and header not in file.includes:
                wrong.append(f"{path}: does not include {header}, which has "
                             f"{', '.join(names)}")
        included = file.includes & set(files)
        for header in sorted(included - {own} - set(wanted)):
            others = set() if is_trace else {
                name for other in included - {header}
                for name in files[other].members}
            if not file.fields & files[header].members - others \
                    and not has_member(files, file, files[header]):
                wrong.append(f"{path}: uses nothing of {header}")
    return wrong


def has_member(files, file, header):
    """Is there a member of a structure of this header, as far as the name of
    what is before it tells?"""
    types = [file.types, *(other.types for path, other in files.items()
                           if path.endswith(".h"))]
    return any(known.get(name, set()) & header.declares
               for name, member in file.pairs if member in header.members
               for known in types)


# --- calls ----------------------------------------------------------------

def expanded(text_calls, words, bodies, macros):
    """These calls and, of what is inline or a macro, what it calls."""
    found, todo = set(), [*text_calls, *words & macros]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            body = bodies.get(name, "")
            todo += calls_in(body)
            todo += set(re.findall(r"\w+", body)) & macros
    return found


def call_graph(files):
    """{.c file: {.c file that it calls: names}}"""
    sources = [path for path in files if path.endswith(".c")]
    headers = [file for path, file in files.items() if path.endswith(".h")]
    owner = {name: path for path in sources for name in files[path].defines}
    bodies = {name: body for file in headers
              for name, body in file.inlines.items()}
    macros = set().union(*(file.macros for file in headers))
    graph = {path: {} for path in sources}
    for path in sources:
        file, own = files[path], files.get(own_header(path))
        calls = file.calls | set(own.inlines if own else ())
        for name in expanded(calls, file.words, bodies, macros) & set(owner):
            if owner[name] != path:
                graph[path].setdefault(owner[name], set()).add(name)
    return graph


def table_graph(files, graph):
    """The same, with what is defined in a file and used in another: tables of
    operations. What calls show already is left out, and what calls forbid."""
    owner = {name: path for path in graph for name in files[path].data}
    both = {path: dict(others) for path, others in graph.items()}
    for path in graph:
        for name in sorted(files[path].words & set(owner)):
            other = owner[name]
            if path not in {other, *reached(both, other)} \
                    and other not in reached(both, path):
                both[path][other] = {name}
    return both


def reached(graph, start):
    """All that can be reached from a file by calls."""
    found, todo = set(), [start]
    while todo:
        for path in graph[todo.pop()]:
            if path not in found:
                found.add(path)
                todo.append(path)
    return found


def check_circles(graph):
    """Files that call each other, directly or through others."""
    reach = {path: reached(graph, path) for path in graph}
    rest, wrong = set(graph), []
    while rest:
        path = min(rest)
        circle = sorted(other for other in reach[path]
                        if path in reach[other])
        if circle:
            calls = [f"{one} calls {other}: {', '.join(sorted(names))}"
                     for one in circle for other, names
                     in sorted(graph[one].items()) if other in circle]
            wrong.append("\n  ".join(["a circle of calls:", *calls]))
        rest -= {path, *circle}
    return wrong


# --- the picture ----------------------------------------------------------

def short(path):
    """A file's name in the picture."""
    return os.path.basename(path)


def edges(graph):
    """The picture's edges: without those that others together show, as long
    as there is no circle."""
    reach = {path: reached(graph, path) for path in graph}
    circles = any(path in reach[path] for path in graph)
    return {(path, other) for path in graph for other in graph[path]
            if circles or not any(other in reach[between]
                                  for between in graph[path])}


def levels(graph):
    """The files of each level: a file is below all that call it."""
    rest, found = dict.fromkeys(graph, 0), []
    for path in graph:
        for other in graph[path]:
            rest[other] += other != path
    while rest:
        least = min(rest.values())      # 0, but in a circle
        now = sorted(path for path in rest if rest[path] == least)
        for path in now:
            del rest[path]
        for path in now:
            for other in graph[path]:
                if other in rest:
                    rest[other] -= 1
        found.append(now)
    return found


def dot(files, graph):
    """The picture, as dot reads it."""
    both = table_graph(files, graph)
    lines = ["digraph structure {",
             '\tgraph [fontname="sans-serif", fontsize=12, ranksep=0.5,',
             '\t       nodesep=0.2, label="An arrow is a call, a dashed one a '
             'table of operations. Where A calls B and B calls C, an arrow '
             'from A to C is left out.\\lThe way up is a completion.\\l"];',
             '\tnode [fontname="sans-serif", fontsize=10, shape=box,',
             '\t      style="rounded,filled", fillcolor="#eef3fb"];',
             '\tedge [color="#555555", arrowsize=0.7];']
    for number, level in enumerate(levels(both)):
        lines.append(f"\t{{ rank=same;  // level {number}")
        for path in level:
            said = textwrap.wrap(files[path].purpose, 26, max_lines=4,
                                 placeholder=" …")
            text = "<br/>".join([f"<b>{short(path)}</b>",
                                 *map(escape, said)])
            lines.append(f'\t\t"{short(path)}" [label=<{text}>];')
        lines.append("\t}")
    for one, other in sorted(edges(both)):
        style = "" if other in graph[one] else " [style=dashed]"
        lines.append(f'\t"{short(one)}" -> "{short(other)}"{style};')
    return "\n".join([*lines, "}", ""])


def escape(text):
    """For a label like HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;") \
        .replace(">", "&gt;")


def draw(top, text):
    """Make the picture. Its title elements name its nodes and edges."""
    done = subprocess.run(["dot", "-Tsvg"], input=text, encoding="utf-8",
                          stdout=subprocess.PIPE, check=True)
    licence = "<!-- SPDX-License-Identifier: GPL-2.0-only -->\n"
    with open(f"{top}/{PICTURE}", "w", encoding="utf-8") as file:
        file.write(re.sub(r"(?<=\?>\n)", licence, done.stdout, count=1))


def check_picture(top, graph):
    """Has the picture these files and calls?"""
    try:
        with open(f"{top}/{PICTURE}", encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return [f"{PICTURE} is not there: make docs draws it"]
    there = set(re.findall(r'class="(?:node|edge)">\s*<title>(.*?)</title>',
                           text))
    there = {name.replace("&#45;", "-").replace("&gt;", ">") for name in there}
    wanted = {short(path) for path in graph}
    wanted |= {f"{short(one)}->{short(other)}" for one, other in edges(graph)}
    wrong = [f"{PICTURE}: {name} is not there" for name
             in sorted(wanted - there)]
    wrong += [f"{PICTURE}: {name} is too much" for name
              in sorted(there - wanted)]
    return wrong + (["make docs draws it"] if wrong else [])


def main():
    """All of it."""
    parser = argparse.ArgumentParser(usage=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--top", default=os.path.join(HERE, "..", ".."))
    parser.add_argument("--dot", action="store_true")
    parser.add_argument("--draw", action="store_true")
    how = parser.parse_args()
    files, wrong = read_all(how.top)
    graph = call_graph(files)
    if how.dot:
        print(dot(files, graph), end="")
        return 0
    if how.draw:
        draw(how.top, dot(files, graph))
        return 0
    wrong += [f"{path}: braces do not match" for path, file in files.items()
              if file.depth]
    wrong += check_includes(files) + check_circles(graph)
    wrong += check_picture(how.top, table_graph(files, graph))
    print("\n".join(wrong), end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
