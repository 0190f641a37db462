# SPDX-License-Identifier: GPL-2.0-only
"""The check of the module's structure, on made-up sources: a target, which
calls io, which calls pages."""

import contextlib
import io
import os
import sys
import tempfile

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
sys.path.insert(0, f"{TOP}/tests/static")
import structure  # noqa: E402

SOURCES = {
    "Kbuild": """
obj-m := x.o
x-y := target.o
x-y += src/io.o
x-y += src/pages.o
""",
    "target.c": """
/* The target. */
#include "src/io.h"
static int map(struct bio *bio)
{
	return ca_io_map(bio);
}
""",
    "src/io.h": """
#ifndef CA_IO_H
#define CA_IO_H
struct ca_page;
struct ca_io {
	struct ca_page *page;
	int state, left[CA_IO_MAX];
};
#define CA_IO_MAX 8
int ca_io_map(struct bio *bio);
void ca_io_end(struct ca_io *io);
#endif
""",
    "src/io.c": """
/*
 * Bios, from map to end. Not ca_table of table.h.
 */
#include "io.h"
#include <linux/bio.h>
#include "pages.h"
int ca_io_map(struct bio *bio)
{
	pr_info("ca_table");
	return ca_page_get(bio, ca_io_end);
}
void ca_io_end(struct ca_io *io) { ca_page_put(io->page); }
""",
    "src/pages.h": """
struct ca_page { int number; };
enum ca_kind { CA_BIG = 1, CA_SMALL };
struct ca_page *ca_page_get(struct bio *bio, void (*end)(void *io));
void ca_page_put(struct ca_page *page);
""",
    "src/pages.c": """
/* Pages. */
#include "pages.h"
struct ca_page *ca_page_get(struct bio *bio, void (*end)(void *io))
{
	return CA_BIG;
}
void ca_page_put(struct ca_page *page) { }
""",
    "src/table.h": """
#define ca_table(x) ((x)->rows)
struct ca_row { int at; };
""",
}
_results = []
print("1..18", flush=True)


def point(function):
    """A test point, with the first line of its docstring as its name."""
    try:
        function()
        _results.append(True)
    except AssertionError as error:
        _results.append(False)
        print("#", str(error).replace("\n", "\n# "))
    print("ok" if _results[-1] else "not ok", len(_results), "-",
          function.__doc__.splitlines()[0].rstrip("."))


def changed(path, old, new):
    """The sources with something else in one file, and the old picture."""
    text = SOURCES.get(path, "")
    assert old in text, f"{path} has no {old}"
    return {**SOURCES, path: text.replace(old, new, 1) if old else new}


def run(top, *options):
    """(status, output) of the check."""
    argv, output = sys.argv, io.StringIO()
    sys.argv = ["structure.py", "--top", top, *options]
    try:
        with contextlib.redirect_stdout(output):
            return structure.main(), output.getvalue()
    finally:
        sys.argv = argv


def lay_out(top, sources):
    """Write the sources."""
    for path, text in sources.items():
        os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
        with open(f"{top}/{path}", "w", encoding="ascii") as file:
            file.write(text)


def findings(sources, drawn=None):
    """What the check says of sources, with the picture of others or of
    themselves."""
    with tempfile.TemporaryDirectory() as top:
        os.mkdir(f"{top}/docs")
        lay_out(top, drawn or sources)
        assert run(top, "--draw") == (0, "")
        lay_out(top, sources)
        status, output = run(top)
        assert status == bool(output), f"status {status}"
        return output


def finds(sources, *wanted, drawn=None):
    """Fail unless the check says this, line by line."""
    got = findings(sources, drawn).splitlines()
    assert got == list(wanted), "\n".join(["got:", *got])


@point
def in_order():
    """Nothing is found where nothing is wrong."""
    finds(SOURCES)


@point
def missing():
    """A missing include."""
    finds(changed("src/io.c", '#include "pages.h"\n', ""),
          "src/io.c: does not include src/pages.h, which has ca_page_get, "
          "ca_page_put")


@point
def indirect():
    """An include through another file is none."""
    finds(changed("target.c", "return ca", "ca_page_put(0); return ca"),
          "target.c: does not include src/pages.h, which has ca_page_put")


@point
def by_value():
    """A forward declaration is needed for a pointer in a header."""
    finds(changed("src/io.h", "struct ca_page;\n", ""),
          "src/io.h: does not include src/pages.h, which has ca_page")


@point
def constant():
    """An enum's constant, and a macro's name, are names."""
    finds(changed("target.c", "return ca", "ca_table(CA_SMALL); return ca"),
          "target.c: does not include src/pages.h, which has CA_SMALL",
          "target.c: does not include src/table.h, which has ca_table")


@point
def unused():
    """An include of which nothing is used."""
    finds(changed("src/io.c", '"pages.h"\n',
                  '"pages.h"\n#include "table.h"\n'),
          "src/io.c: uses nothing of src/table.h")


@point
def member():
    """A structure's member is a use."""
    finds(changed("src/io.c", '"pages.h"\n', '"pages.h"\n#include "table.h"\n'
                  "static int row(void *x) { return x->row.at; }\n"))


@point
def same_member():
    """A member that another header's structure has, too, is none."""
    of_both = changed("src/table.h", "int at;", "int state;")
    of_both["src/io.c"] = SOURCES["src/io.c"].replace(
        "ca_page_put(", "x->state = 1; ca_page_put(")
    of_both["src/pages.h"] += "struct ca_set { int state; };\n"
    with_table = {**of_both, "src/io.c":
                  '#include "table.h"\n' + of_both["src/io.c"]}
    finds(with_table, "src/io.c: uses nothing of src/table.h")


@point
def typed_member():
    """But it is one if its structure's name is that of such a structure."""
    of_both = changed("src/table.h", "int at;", "int state;")
    of_both["src/io.h"] = SOURCES["src/io.h"].replace(
        "int state,", "struct ca_row row;\nint state,").replace(
        "struct ca_page;\n", 'struct ca_page;\n#include "table.h"\n')
    of_both["src/io.c"] = '#include "table.h"\n' + SOURCES["src/io.c"].replace(
        "ca_page_put(", "io->row.state = 1; ca_page_put(")
    finds(of_both)


@point
def own():
    """A file's own header, included or not."""
    finds(changed("src/pages.c", '#include "pages.h"\n', ""),
          "src/pages.c: does not include its own src/pages.h")


@point
def twice():
    """A name that two headers have."""
    finds(changed("src/table.h", "ca_row", "ca_page"),
          "src/table.h: ca_page is in src/pages.h, too")


@point
def trace():
    """trace.c includes what the tracepoints need, and trace.h does not."""
    event = "TRACE_EVENT(ca_move, TP_PROTO(struct ca_io *io), x(io->at));\n"
    sources = {**SOURCES, "src/trace.h": event,
               "src/trace.c": '/* Trace. */\n#include "trace.h"\n',
               "Kbuild": SOURCES["Kbuild"] + "x-y += src/trace.o\n"}
    sources["src/io.c"] += '#include "trace.h"\nint f() { trace_ca_move(0); }'
    finds(sources, "src/trace.c: does not include src/io.h, which has ca_io")
    sources["src/trace.c"] += '#include "io.h"\n'
    finds(sources)


@point
def circle():
    """A circle of calls, and which they are; a callback is none."""
    found = findings(changed(
        "src/pages.c", '#include "pages.h"',
        '#include "pages.h"\n#include "io.h"\n'
        "static void up(void) { ca_io_end(0); }"))
    assert found == ("a circle of calls:\n"
                     "  src/io.c calls src/pages.c: ca_page_get, ca_page_put\n"
                     "  src/pages.c calls src/io.c: ca_io_end\n"), found
    finds(changed("src/pages.c", '#include "pages.h"',
                  '#include "pages.h"\n#include "io.h"\n'
                  "static void up(void) { run(ca_io_end); }"))


@point
def inline():
    """A call in a header's inline function is the .c file's."""
    found = findings(changed(
        "src/pages.h", "enum", "static inline void ca_up(void)\n"
        '{ ca_io_end(0); }\n#include "io.h"\nenum'))
    assert found.startswith("a circle of calls:"), found


@point
def inline_elsewhere():
    """A call in an inline function is that of who uses it, also through more
    of them, and of nobody else."""
    up = {**SOURCES, "src/up.h":
          "static inline void ca_up(void) { ca_io_end(0); }\n"
          '#include "io.h"\n#define CA_UP() do { ca_up(); } while (0)\n'}
    up["src/pages.h"] += '#include "up.h"\nstruct x { int y; };\n' \
        "static inline void ca_more(void) { CA_UP(); }\n"
    up["target.c"] += '#include "src/up.h"\nvoid t(void) { CA_UP(); }\n'
    used = findings(up)
    assert "src/pages.c calls src/io.c: ca_io_end\n" in used, used
    up["src/pages.h"] = SOURCES["src/pages.h"]
    up["src/pages.c"] = SOURCES["src/pages.c"] + \
        '#include "up.h"\nint ca_up_at = sizeof(CA_UP);\n'
    used = findings(up)
    assert "src/pages.c calls src/io.c: ca_io_end\n" in used, used
    unused = changed("src/pages.c", '"pages.h"\n',
                     '"pages.h"\n#include "up.h"\n'
                     "int f(void) { return ca_small(); }\n")
    unused["src/up.h"] = up["src/up.h"] + \
        "static inline int ca_small(void) { return 1; }\n"
    finds(unused)


@point
def braces():
    """Braces that do not match."""
    found = findings(changed("src/pages.c", "CA_BIG;\n}", "CA_BIG;\n"))
    assert "src/pages.c: braces do not match\n" in found, found


@point
def stale():
    """A picture of other sources, or none; a call that others show."""
    direct = changed("target.c", "return ca", "ca_page_put(0); return ca")
    direct["target.c"] = '#include "src/pages.h"\n' + direct["target.c"]
    finds(direct, drawn=SOURCES)
    less = changed("target.c", "ca_io_map(bio)", "0")
    less["target.c"] = less["target.c"].replace('#include "src/io.h"', "")
    finds(SOURCES, "docs/structure.svg: target.c->io.c is not there",
          "make docs draws it", drawn=less)
    finds(less, "docs/structure.svg: target.c->io.c is too much",
          "make docs draws it", drawn=SOURCES)
    with tempfile.TemporaryDirectory() as top:
        lay_out(top, SOURCES)
        assert run(top) == (1, "docs/structure.svg is not there: make docs "
                            "draws it\n")


@point
def built():
    """A file that Kbuild does not have, and one that is not there."""
    finds(changed("Kbuild", "src/pages.o", "src/page.o"),
          "Kbuild: no src/pages.o", "Kbuild: there is no src/page.c")


sys.exit(not all(_results))
