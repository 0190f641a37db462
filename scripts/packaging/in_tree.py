# SPDX-License-Identifier: GPL-2.0-only
"""usage: in_tree.py SOURCES KERNEL AUTHOR

Writes the module into a kernel tree: drivers/md/dm-crypt-async/, its page in
Documentation/, and what the tree's lists need to know of it. SOURCES is the
checkout; KERNEL has of the tree what is read here; AUTHOR is the name and
address for MAINTAINERS. Run by scripts/packaging/patch in the root
kernel-patch.

The files of src/ lie beside dm-crypt-async.c there. src/compat.h is resolved
for this kernel:

- unifdef takes out what is for other versions.
- A macro that is left, and a function that only returns a member of a
  structure or does nothing, is written out where it is used, the function by
  spatch. packaging/kernel/compat.cocci has what takes more than that.
- Other functions are no differences between kernels any more. They go into
  helpers.h, which is included by the files that use them.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

DRIVER = "drivers/md/dm-crypt-async"
GUIDE = "Documentation/admin-guide/device-mapper"
HELPERS = "helpers.h"
# Left out, since packaging/kernel/compat.cocci resolves their uses: files of
# src/ (without .c, .h), and functions of src/compat.h.
DROPPED = ("zoned_redirect",)
REPLACED = r"ca_shrinker_\w+|dm_audit_log_\w+"
# The callback's type has been the newest for all kernels from 6.3 on.
COMPLETION = {"CA_COMPLETION": "", "ca_completion": " fn"}
# What src/compat.h includes or declares for other files.
HEADERS = {r"hex2bin": "<linux/hex.h>",
           r"[gp][eu]t_unaligned_\w+": "<linux/unaligned.h>",
           r"dm_audit_log_\w+": '"../dm-audit.h"'}
LICENCE = "/* SPDX-License-Identifier: GPL-2.0-only */\n"
FUNCTION = re.compile(
    r"(?:/\*(?:[^*]|\*(?!/))*\*/\n)?"
    r"^static inline [\w \t*\n]*?(\w+)\(([^{]*?)\)\n\{\n(.*?)^\}\n\n?",
    re.DOTALL | re.MULTILINE)
MACRO = re.compile(
    r"(?:/\*(?:[^*]|\*(?!/))*\*/\n)?"
    r"#define[ \t]+(\w+)(\(\w+\))?[ \t]*(.*)\n\n?")


def read(path):
    """A file's text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    """Write a file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def run(*command, codes=(0,), text=None):
    """What a program prints."""
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE,
                          encoding="utf-8", check=False)
    if done.returncode not in codes:
        sys.exit(f"{command[0]} ended with {done.returncode}")
    return done.stdout


def spatch(rules, *options):
    """Apply semantic patches to the driver's files."""
    sources = sorted(glob.glob("*.[ch]"))
    run("spatch", "--very-quiet", "--in-place", "--no-includes",
        "--include-headers", "--max-width", "100", *options, "--cocci-file",
        rules, *sources)


# --- versions -------------------------------------------------------------

def number(*parts):
    """A version as the kernel counts it."""
    major, minor, patch = map(int, parts)
    return (major << 16) + (minor << 8) + min(patch, 255)


def version_code(kernel):
    """The version of a tree."""
    makefile = read(f"{kernel}/Makefile")
    return number(*(re.search(rf"^{name} = (\d+)$", makefile, re.M)[1]
                    for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")))


def features(sources, kernel):
    """What src/features.mk finds in the tree's headers."""
    path = f"{sources}/src/features.mk"
    return run("make", "-s", "-f", "-", text=f"srctree := {kernel}\n"
               f"include {path}\nall:\n\t@echo $(ccflags-y)\n").split()


def defined(sources, kernel, text):
    """For unifdef: what the tree has of that for which a file asks."""
    found = features(sources, kernel)
    for name in set(re.findall(r"\bCA_HAS_\w+", text)):
        yield f"-{'D' if f'-D{name}' in found else 'U'}{name}"
    headers = "".join(read(path) for path
                      in glob.glob(f"{kernel}/include/linux/*.h"))
    for name in set(re.findall(r"^#ifn?def (REQ_\w+|DM_TARGET_\w+)$", text,
                               re.M)):
        has = re.search(rf"^#define {name}\b", headers, re.M)
        yield f"-{'D' if has else 'U'}{name}"


def resolve(sources, kernel, text):
    """A source file without what is for other kernels, or for user space."""
    text = re.sub(r"KERNEL_VERSION\((\d+), (\d+), (\d+)\)",
                  lambda match: str(number(*match.groups())), text)
    return run("unifdef", "-B", "-DCA_WRITES_AFTER_MAP=0", "-D__KERNEL__",
               f"-DLINUX_VERSION_CODE={version_code(kernel)}",
               *defined(sources, kernel, text), codes=(0, 1), text=text)


# --- src/compat.h ---------------------------------------------------------

def write_out_macros(text):
    """Write the macros of compat.h out. Return: compat.h without them."""
    for name, value in COMPLETION.items():
        text = re.sub(rf"^#define {name}\(fn\)(?:.*\\\n)*.*\n",
                      f"#define {name}(fn){value}\n", text, flags=re.M)
    for whole, name, argument, value in [
            (match[0], *match.groups()) for match in MACRO.finditer(text)]:
        if not argument and not value:
            continue
        text = text.replace(whole, "")
        for path in glob.glob("*.[ch]"):
            source = read(path)
            if argument and value:
                word = argument[1:-1]
                source = re.sub(
                    rf"\b{name}\((\w+)\)", lambda match, word=word,
                    value=value: re.sub(rf"\b{word}\b", match[1], value),
                    source)
            elif argument:
                source = re.sub(rf"^{name}\(\w+\)\n\n?", "", source,
                                flags=re.M)
            elif value == "0":
                source = re.sub(rf"\b{name} \| | \| {name}\b", "", source)
            source = re.sub(rf"\b{name}\b", value, source)
            write(f"./{path}", source)
    return text


def rule(name, parameters, body):
    """The semantic patch that writes a function out; None if it is more than
    a member of a structure, or nothing."""
    names = re.findall(r"(\w+)(?:,|$)", parameters)
    value = re.fullmatch(r"\s*return (\w+(?:->\w+)*);\s*", body)
    if body.strip() and not value:
        return None
    return "\n".join([
        "@@", f"expression {', '.join(names)};", "@@",
        f"- {name}({', '.join(names)})" + ("" if value else ";"),
        *([f"+ {value[1]}"] if value else []), "", ""])


def write_out_functions(text):
    """Write functions of compat.h out where they are used, as rule() has it.
    Return: compat.h without them."""
    rules = ""
    for match in FUNCTION.finditer(text):
        found = rule(*match.groups())
        if found:
            rules += found
            text = text.replace(match[0], "")
    if rules:
        write("./rules.cocci", rules)
        spatch("rules.cocci")
        os.remove("rules.cocci")
    return text


def include(source, header):
    """A source file that includes one more header, after those like it."""
    if f"#include {header}" in source:
        return source
    kind = header.split("/")[0] if header[0] == "<" else '"'
    lines = re.findall(rf"^#include {kind}.*\n", source, re.M) or \
        re.findall(r"^#include .*\n", source, re.M)
    before = [line for line in lines if line < f"#include {header}\n"]
    if before:
        return source.replace(before[-1], f"{before[-1]}#include {header}\n",
                              1)
    return source.replace(lines[0], f"#include {header}\n{lines[0]}", 1)


def add_includes(headers):
    """Have each file include the headers of what it uses."""
    for path in glob.glob("*.[ch]"):
        source = read(path)
        for names, header in headers.items():
            if header != f'"{path}"' and re.search(rf"\b(?:{names})\b",
                                                   source):
                source = include(source, header)
        write(f"./{path}", source)


def without_history(function):
    """A function whose comment does not tell which versions brought what:
    "6.9: title" and the rest of the paragraph."""
    found = re.match(r"(/\*.*?)(\s*\*/\n)", function, re.DOTALL)
    if not found:
        return function
    paragraphs = [re.sub(r"[\s*]+\d+\.\d+[\d., and]*: .*", "", paragraph,
                         flags=re.DOTALL)
                  for paragraph in found[1].split("\n *\n")]
    return "\n *\n".join(paragraphs) + found[2] + function[found.end():]


def write_helpers(text):
    """Make helpers.h of what is left of compat.h."""
    helpers = [without_history(match[0]) for match in FUNCTION.finditer(text)]
    if not helpers:
        return
    names = [match[1] for match in FUNCTION.finditer(text)]
    # The first of them are what its functions use, others are HEADERS.
    includes = re.search(r"#include <linux/version.h>\n((?:#include .*\n)+)",
                         text)[1]
    write(f"./{HELPERS}", "\n".join([
        f"{LICENCE}/* What several files do with bios and limits. */",
        "#ifndef CA_HELPERS_H", "#define CA_HELPERS_H", "", includes,
        "".join(helpers).rstrip("\n"), "", "#endif /* CA_HELPERS_H */", ""]))
    add_includes({"|".join(names): f'"{HELPERS}"'})


# --- the driver -----------------------------------------------------------

def write_sources(sources, kernel):
    """Write the sources, side by side, into the present directory."""
    for path in glob.glob(f"{sources}/*.[ch]") + glob.glob(
            f"{sources}/src/*.[ch]"):
        name = os.path.basename(path)
        if name.endswith(".mod.c") or name[:-2] in DROPPED:
            continue
        text = re.sub(r'\bsrc/(?=\w+\.[ch]\b)|(?<=^#include ")\.\./', "",
                      read(path), flags=re.M)
        text = re.sub(r"^[ \t]*/\* cppcheck-suppress .*\n", "", text,
                      flags=re.M)
        write(f"./{name}", resolve(sources, kernel, text))
    compat = read("compat.h")
    os.remove("compat.h")
    spatch(f"{sources}/packaging/kernel/compat.cocci")
    for path in glob.glob("*.[ch]"):
        write(f"./{path}", re.sub(rf"^ \* @(?:{'|'.join(DROPPED)}):.*\n", "",
                                  read(path), flags=re.M))
    for match in FUNCTION.finditer(compat):
        if re.fullmatch(REPLACED, match[1]):
            compat = compat.replace(match[0], "")
    compat = write_out_functions(write_out_macros(compat))
    add_includes(HEADERS)
    write_helpers(compat)
    kernels = f"{kernel}/scripts/coccinelle/api/kmalloc_objs.cocci"
    if os.path.exists(kernels):
        spatch(kernels, "-D", "patch")


def write_makefile(sources):
    """Make a Makefile of Kbuild."""
    parts = [name for name in re.findall(
        r"^\w+-y \+= src/(\w+)\.o$", read(f"{sources}/Kbuild"), re.M)
        if name not in DROPPED]
    write("./Makefile", "\n".join([
        "# SPDX-License-Identifier: GPL-2.0-only", "",
        "obj-$(CONFIG_DM_CRYPT_ASYNC) += dm_crypt_async.o", "",
        "dm_crypt_async-y := dm-crypt-async.o",
        *(f"dm_crypt_async-y += {name}.o" for name in parts), "",
        "# The tracepoints' header is found by its name alone.",
        "CFLAGS_trace.o += -I$(src)", ""]))


# --- the tree's lists -----------------------------------------------------

def change(path, pattern, replacement):
    """Change one place of a file, which must have it."""
    text, count = re.subn(pattern, replacement, read(path), count=1,
                          flags=re.M)
    if not count:
        sys.exit(f"{path} has no place for the driver")
    write(path, text)


def add_to_maintainers(path, entry):
    """Add an entry to MAINTAINERS, in order among those that begin with the
    same word: all of them are not in order."""
    text = read(path)
    title = entry.splitlines()[0]
    word = re.escape(title.split()[0])
    for match in re.finditer(rf"(?<=\n\n)({word} .*)\n(?=[A-Z]:\t)", text):
        if match[1] > title:
            write(path, f"{text[:match.start()]}{entry}\n"
                        f"{text[match.start():]}")
            return
    sys.exit(f"{path} has no place for the driver")


def write_page(sources, kernel):
    """Make the page of the manual one of the kernel's documentation."""
    page = run("pandoc", "-f", "man", "-t", "rst", "--columns", "79",
               f"{sources}/docs/dm-crypt-async.7")
    # The title has the name. Headings are not in capitals there.
    page = page[page.index("DESCRIPTION\n"):]
    page = re.sub(r"^([A-Z ]+)(?=\n=)", lambda match: match[1].capitalize(),
                  page, flags=re.M)
    # Terms that share an explanation are on one line, as reST wants it.
    page = re.sub(r"^(\S.*)\n(?=(?:\S.*\n)+ {3}\S)", r"\1, ", page,
                  flags=re.M)
    write(f"{kernel}/{GUIDE}/dm-crypt-async.rst",
          ".. SPDX-License-Identifier: GPL-2.0-only\n\n"
          "==============\ndm-crypt-async\n==============\n\n" + page)
    change(f"{kernel}/{GUIDE}/index.rst", r"^( *)dm-crypt\n",
           r"\g<0>\1dm-crypt-async\n")


def main():
    """All of it."""
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sources, kernel, author = sys.argv[1:]
    sources, kernel = os.path.abspath(sources), os.path.abspath(kernel)
    os.makedirs(f"{kernel}/{DRIVER}")
    os.chdir(f"{kernel}/{DRIVER}")
    write_sources(sources, kernel)
    write_makefile(sources)
    shutil.copy(f"{sources}/packaging/kernel/Kconfig", "Kconfig")
    change(f"{kernel}/drivers/md/Makefile",
           r"^obj-\$\(CONFIG_DM_CRYPT\).*\n",
           r"\g<0>obj-$(CONFIG_DM_CRYPT_ASYNC)\t+= dm-crypt-async/\n")
    change(f"{kernel}/drivers/md/Kconfig",
           r"^config DM_CRYPT\n(?:.*\n)*?(?=config )",
           r'\g<0>source "drivers/md/dm-crypt-async/Kconfig"\n\n')
    add_to_maintainers(
        f"{kernel}/MAINTAINERS",
        read(f"{sources}/packaging/kernel/MAINTAINERS")
        .replace("@AUTHOR@", author))
    write_page(sources, kernel)


if __name__ == "__main__":
    main()
