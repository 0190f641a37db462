# SPDX-License-Identifier: GPL-2.0-only
"""The command crypt-async as far as it needs no device mapper."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile

from crypt_async import (bench, bench_report, cryptsetup, interrupts, ioctl,
                         keys, main, move, report, top, tuning)
from crypt_async.mapping import Line
from made_up_report import facts
from points import end, equal, point

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
COMMAND = f"{TOP}/scripts/command/crypt-async"

BENCH = ("--ram", "--write", "--destroy-data", "--seconds", "--rounds",
         "--sector-size", "--report")
KEY = "0123456789abcdef" * 8
PARAMS = f"aes-xts-plain64 {KEY} 0 254:0 32768 1 allow_discards"
def crypt_async(*words):
    """(exit status, output, errors)"""
    done = subprocess.run([sys.executable, COMMAND, *words], text=True,
                          capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


@point
def help_fits():
    """--help fits a screen, and names every command."""
    code, text, _ = crypt_async("--help")
    equal(code, 0, "exit status")
    lines = text.splitlines()
    assert len(lines) <= 24, f"{len(lines)} lines"
    assert max(map(len, lines)) <= 100, max(lines, key=len)
    for command in main.COMMANDS:
        assert f"\n  {command}" in text, command


@point
def help_of_each():
    """Each command has a --help of its own, which fits a screen."""
    for command in main.COMMANDS:
        for words in ([command, "--help"], [command, "-h"]):
            code, text, errors = crypt_async(*words)
            equal((code, errors), (0, ""), words)
            assert text.startswith(f"usage: crypt-async {command}"), text
            assert "exit status" in text.lower(), text
            lines = text.splitlines()
            assert len(lines) <= 40, f"{words}: {len(lines)} lines"
            assert max(map(len, lines)) <= 100, max(lines, key=len)
    for command, options in (("bench", BENCH),
                             ("status", ("--json", "--openmetrics")),
                             ("doctor", ("--json",)), ("top", ("--json",)),
                             ("tune", ("--persistent", *report.SETTINGS))):
        _, text, _ = crypt_async(command, "--help")
        for option in options:
            assert option in text, f"{command}: {option}"
    _, ours, _ = crypt_async("open", "--help")
    _, all_of_them, _ = crypt_async("--help")
    assert ours != all_of_them, "it is of that command"


@point
def usage():
    """Wrong usage ends with 1, and says what would be right."""
    for words in (["fly"], [], ["adopt"], ["adopt", "--all", "x"],
                  ["adopt", "--fast", "x"], ["open", "x"], ["tune"],
                  ["tune", "x", "speed=1"], ["tune", "x"], ["top", "-n"],
                  ["close"], ["suspend"], ["resume"], ["cryptsetup"],
                  ["close", "--fast", "x"], ["resume", "-d", "F"],
                  ["top", "-n", "many"], ["top", "-n", "0"],
                  ["top", "-d", "-1"], ["top", "-d", "nan"],
                  ["status", "--xml"], ["status", "--js"], ["bench"],
                  ["status", "--json", "--openmetrics"],
                  ["bench", "--ram", "x"], ["bench", "x", "y"],
                  ["bench", "--ram", "--rounds", "many"],
                  ["enable-takeover", "now"], ["doctor", "--fix"]):
        code, out, errors = crypt_async(*words)
        equal(code, 1, f"{words}: {errors}")
        assert out or errors.startswith("crypt-async: "), f"{words}: {errors}"
        assert "Traceback" not in errors, errors


@point
def words():
    """What is behind -- or the two words of open is cryptsetup's."""
    seen = []
    old = move.move_each, move.load_module, move.open_volume
    others = cryptsetup.each, cryptsetup.resume, cryptsetup.cryptsetup
    move.move_each = move.open_volume = lambda *args: seen.append(args) or 0
    cryptsetup.each = cryptsetup.resume = cryptsetup.cryptsetup = \
        move.move_each
    move.load_module = lambda: None
    try:
        for given, wanted in (
                ("adopt a b", (["a", "b"], False,
                               move.Way("crypt-async", []))),
                ("adopt a -- --key-file F", (
                    ["a"], False,
                    move.Way("crypt-async", ["--key-file", "F"]))),
                ("release --all -- -d F", ([], True,
                                           move.Way("crypt", ["-d", "F"]))),
                ("open d n --readonly -d F", ("d", "n",
                                              ["--readonly", "-d", "F"])),
                ("open d n", ("d", "n", [])),
                ("open d n -- x", ("d", "n", ["--", "x"])),
                ("close a b", (["a", "b"], "close")),
                ("suspend a", (["a"], "luksSuspend")),
                ("resume a -d F", ("a", ["-d", "F"])),
                ("cryptsetup -q status a", (["-q", "status", "a"],))):
            equal(main.run(given.split()), 0, given)
            equal(seen.pop(), wanted, given)
    finally:
        move.move_each, move.load_module, move.open_volume = old
        cryptsetup.each, cryptsetup.resume, cryptsetup.cryptsetup = others


@point
def action_of_cryptsetup():
    """Its action is found behind options with and without values."""
    text = subprocess.run(["cryptsetup", "--help"], text=True, check=True,
                          capture_output=True).stdout
    for given, wanted in (
            ("reencrypt /dev/x", ["reencrypt"]),
            ("-q --key-file F reencrypt x", ["reencrypt"]),
            ("--key-file=F -d F reencrypt", ["reencrypt"]),
            ("-dF -c=x reencrypt", ["reencrypt"]),
            ("-qd F reencrypt", ["reencrypt"]),
            ("-qdF reencrypt", ["reencrypt"]),
            ("-- reencrypt x", ["reencrypt"]),
            ("--debug -- reencrypt x", ["reencrypt"]),
            ("--key-file reencrypt open x y", ["open"]),
            ("-d reencrypt open x y", ["open"]),
            ("-qd reencrypt open x y", ["open"]),
            ("open reencrypt reencrypt", ["open"]),
            ("--no-such-option reencrypt x", ["reencrypt", "x"]),
            ("--no-such-option F reencrypt", ["F", "reencrypt"]),
            ("-q --no-such --key-file F reencrypt",
             ["--key-file", "F", "reencrypt"]),
            ("-qX F reencrypt", ["F", "reencrypt"]), ("-Xd y", ["y"]),
            ("--encrypt --header F reencrypt x", ["reencrypt"]),
            ("--version", []), ("-d", []), ("", [])):
        equal(cryptsetup.actions(given.split(), text), wanted, given)


def forked_on_fake(text, function):
    """Call a function in a process of its own, on a cryptsetup that is a
    Python program; its exit status."""
    with tempfile.TemporaryDirectory() as directory:
        fake = f"{directory}/cryptsetup"
        with open(fake, "w", encoding="ascii") as file:
            file.write(f"#!{sys.executable}\n{text}")
        os.chmod(fake, 0o755)
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            code = 99
            # Other points have held them in this process.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            try:
                os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"
                program = cryptsetup.Cryptsetup.__new__(cryptsetup.Cryptsetup)
                program.environment = dict(os.environ)
                code = function(program)
            except BaseException as error:  # pylint: disable=W0718
                code = main._ended(error)
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@point
def cryptsetup_and_signals():
    """What cryptsetup gets to hear is not held from it."""
    # Not sh, which lets go of signals by itself.
    fake = ("import signal, sys\n"
            "sys.exit(bool(signal.pthread_sigmask(signal.SIG_BLOCK, ())))")

    def become(program):
        interrupts.hold()
        program.become(["close"])

    def run(program):
        interrupts.hold()
        return program.run("close")
    equal(forked_on_fake(fake, become), 0, "become")
    equal(forked_on_fake(fake, run), 0, "run")


@point
def cryptsetup_is_not_killed():
    """Ctrl-C while it closes one: it ends what it does, and no other is
    begun."""
    fake = ("import os, signal, sys, time\n"
            "os.kill(os.getppid(), signal.SIGINT)\n"
            "time.sleep(0.3)\n"
            "open(os.environ['CA_DONE'], 'a').write(sys.argv[-1])")

    class Known:
        """A mapping that is there."""
        def __init__(self, name):
            self.name = self.shown = name

        def alone(self):
            """Nobody else is at work on it."""
            return contextlib.nullcontext()

        def left_table(self):
            """It has no other table."""
            return False

    def close(program):
        cryptsetup._known = Known
        cryptsetup._prepared = lambda: program
        main.need_root = lambda: None
        os.environ["CA_DONE"] = program.environment["CA_DONE"] = done.name
        return main.run(["close", "a", "b"])
    with tempfile.NamedTemporaryFile("r") as done:
        equal(forked_on_fake(fake, close), 130, "the exit status")
        equal(done.read(), "a", "what was closed")


@point
def cryptsetup_with_library():
    """cryptsetup is asked whether the library is in it, and told of no other
    one than that."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["make", "-s", "-C", TOP, "preload",
                        f"PRELOAD_OUT={directory}"], check=True)
        library = f"{directory}/{cryptsetup.LIBRARY}"
        old = os.environ.get(cryptsetup.WHERE)
        try:
            os.environ[cryptsetup.WHERE] = library
            program = cryptsetup.Cryptsetup()
            assert "Usage: cryptsetup" in program.help, program.help
            for before in "", "/lib/x.so":
                os.environ["LD_PRELOAD"] = before
                said = subprocess.run(
                    ["sh", "-c", "env"], check=True, text=True,
                    env=cryptsetup.Cryptsetup().environment,
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
                equal([line for line in said.splitlines()
                       if line.startswith(("LD_PRE", cryptsetup.BEFORE))],
                      [f"LD_PRELOAD={before}"] if before else [],
                      "what a program starts others with")
            for wrong in ("nothing", ""):
                with open(library, "w", encoding="ascii") as file:
                    file.write(wrong)
                try:
                    cryptsetup.Cryptsetup()
                    raise AssertionError("a library that is none")
                except main.Problem as problem:
                    assert "does not load" in str(problem), problem
        finally:
            os.environ.pop(cryptsetup.WHERE)
            os.environ.pop("LD_PRELOAD", None)
            if old:
                os.environ[cryptsetup.WHERE] = old


@point
def older_module():
    """A module that does not tell keys is named before cryptsetup runs."""
    old = (cryptsetup.parameter, cryptsetup.is_loaded,
           cryptsetup.load_module, cryptsetup.Cryptsetup)
    cryptsetup.is_loaded = lambda _module: True
    cryptsetup.load_module = cryptsetup.Cryptsetup = lambda: None
    try:
        for shown in "N", "Y", None:
            cryptsetup.parameter = {"show_keys": shown}.get
            try:
                cryptsetup._prepared()
                equal(shown, None, "show_keys")
            except main.Problem as problem:
                assert shown and "is older" in str(problem), problem
    finally:
        (cryptsetup.parameter, cryptsetup.is_loaded, cryptsetup.load_module,
         cryptsetup.Cryptsetup) = old


@point
def any_order():
    """Options may stand anywhere among the words."""
    seen = []
    old = report.status, top.top, tuning.tune
    report.status = top.top = tuning.tune = lambda *args: seen.append(args)
    try:
        for given, wanted in (
                ("status a --json b", (["a", "b"], True)),
                ("status --json a", (["a"], True)),
                ("status", ([], False)),
                ("top a -n 3 b -d 0.5", (["a", "b"], 3, 0.5, False)),
                ("tune x --persistent cpus=1 inline_kib=4",
                 ("x", ["cpus=1", "inline_kib=4"], True)),
                ("tune --persistent x reset", ("x", ["reset"], True)),
                ("tune x reset", ("x", ["reset"], False))):
            main.run(given.split())
            equal(seen.pop(), wanted, given)
    finally:
        report.status, top.top, tuning.tune = old


@point
def no_traceback():
    """Nothing ends in a traceback, unless it is asked for."""
    def ends(error, debug):
        text = io.StringIO()
        old = main.run, os.environ.pop("CRYPT_ASYNC_DEBUG", None)

        def run(_words):
            raise error
        main.run = run
        if debug:
            os.environ["CRYPT_ASYNC_DEBUG"] = "1"
        try:
            with contextlib.redirect_stderr(text):
                return main.main(), text.getvalue()
        finally:
            main.run = old[0]
            os.environ.pop("CRYPT_ASYNC_DEBUG", None)
    for error, wanted, said in (
            (main.Problem("it is so", 5), 5, "it is so"),
            (OSError(6, "No such device", "/dev/x"), 4, "/dev/x: No such"),
            (PermissionError(13, "Permission denied", "/dev/x"), 2, "/dev/x"),
            (KeyError("x"), 70, "KeyError"), (StopIteration(), 70, "StopIt"),
            (UnicodeDecodeError("utf-8", b"x", 0, 1, "y"), 70, "Unicode"),
            (MemoryError(), 3, "memory"), (KeyboardInterrupt(), 130, ""),
            (interrupts.Ended(15), 143, "ended")):
        code, text = ends(error, False)
        equal(code, wanted, f"{error!r}: {text}")
        assert said in text and "Traceback" not in text, text
        assert wanted != 70 or "CRYPT_ASYNC_DEBUG=1" in text, text
        code, text = ends(error, True)
        equal(code, wanted, f"{error!r}, debugged")
        assert "Traceback" in text, text
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([sys.executable, COMMAND, "--help"], text=True,
                              stdout=full, stderr=subprocess.PIPE,
                              check=False)
    equal(done.returncode, 4, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} {COMMAND} --help | true; "
         "echo ${PIPESTATUS[0]}"], text=True, capture_output=True,
        check=False)
    equal((done.stdout, done.stderr), ("141\n", ""), "a closed pipe")


@point
def as_json():
    """doctor --json is what it prints otherwise."""
    code, text, _ = crypt_async("doctor", "--json")
    found = json.loads(text)
    equal(code, 0 if all(each["ok"] for each in found) else 4, "exit status")
    plain = crypt_async("doctor")[1]
    for each in found:
        equal(sorted(each), ["advice", "ok", "text"], "keys")
        assert each["text"] in plain, each
        equal(each["ok"], each["advice"] is None, each)


@point
def manual():
    """The manual page has every command, option and setting."""
    with open(f"{TOP}/docs/crypt-async.8", encoding="utf-8") as file:
        page = file.read().replace("\\-", "-")
    for word in (*main.COMMANDS, *report.SETTINGS, "--all", "--json",
                 "--openmetrics", "--persistent", "--help",
                 "CRYPT_ASYNC_DEBUG", "70",
                 "--apply", "reset", tuning.KEPT, top.LOCK, *BENCH):
        assert word in page, word
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "FILES",
                    "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
        assert f".SH {section}\n" in page, section


@point
def completion():
    """bash completes commands, options, settings and names of mappings."""
    script = f"{TOP}/scripts/command/completion/crypt-async"

    def offered(*words, last="''"):
        text = (f". {script}; COMP_WORDS=({' '.join(words)} \"$1\"); "
                f"COMP_CWORD={len(words)}; _crypt_async; "
                "printf '%s\n' \"${COMPREPLY[@]}\"")
        return subprocess.run(["bash", "-c", text, "bash", last.strip("'")],
                              text=True, check=True, capture_output=True,
                              env={**os.environ, "CRYPT_ASYNC_SYSFS": sysfs}
                              ).stdout.splitlines()
    with tempfile.TemporaryDirectory() as sysfs:
        for number, (name, uuid) in enumerate((
                ("home", "CRYPT-LUKS2-0-home"), (r"my\x20disk", ""),
                ("vg-root", "LVM-0"),
                ("crypt-async-check-0-1-2", "CRYPT-ASYNC-TEMP-x"),
                ("crypt-async-key-0-1-2",
                 "CRYPT-LUKS2-0-crypt-async-key-0-1-2"),
                ("crypt-async-key-mine", "CRYPT-LUKS2-0-mine"),
                (r"gr\xc3\xb6\xc3\x9fe", "CRYPT-P"))):
            os.makedirs(f"{sysfs}/block/dm-{number}/dm")
            for file, value in (("name", name), ("uuid", uuid)):
                with open(f"{sysfs}/block/dm-{number}/dm/{file}", "w",
                          encoding="utf-8") as attribute:
                    attribute.write(value + "\n")
        equal(set(offered("crypt-async")), {*main.COMMANDS, "--help"},
              "commands")
        equal({word.rstrip("=") for word in
               offered("crypt-async", "tune", "x")},
              {*report.SETTINGS, "reset", "--persistent", "--help"},
              "settings")
        equal(set(offered("crypt-async", "bench")), {*BENCH, "--json",
                                                     "--help"}, "of bench")
        mappings = {"home", r"my\ disk", "größe", "crypt-async-key-mine"}
        for command, options in (
                ("adopt", {"--all"}), ("release", {"--all"}),
                ("status", {"--json", "--openmetrics"}), ("tune", set()),
                ("close", set()), ("suspend", set()), ("resume", set()),
                ("top", {"-n", "-d", "--json"})):
            equal(set(offered("crypt-async", command)),
                  {*mappings, *options, "--help"}, command)
        equal(offered("crypt-async", "adopt", last=r"my\ d"), [r"my\ disk"],
              "what has been begun")
        equal(offered("crypt-async", "doctor", last="--j"), ["--json"],
              "of doctor")


@point
def lines():
    """A table's line keeps everything but its target when it is moved."""
    line = Line(0, 2048, "crypt", PARAMS)
    equal(line.moved("crypt-async"), (0, 2048, "crypt-async", PARAMS), "moved")
    equal(line.keyring, None, "a key in digits")
    word = ":64:logon:cryptsetup:some name:x"
    line = Line(0, 8, "crypt-async", PARAMS.replace(KEY, word.split()[0]))
    equal(line.keyring, (64, "logon", "cryptsetup:some"), "in a keyring")
    equal(Line(0, 8, "linear", "254:0 0").moved("crypt-async"),
          (0, 8, "linear", "254:0 0"), "another target's")
    equal(line.moved("crypt", KEY)[3], PARAMS, "with another key")


@point
def tables():
    """What is packed for the kernel can be unpacked."""
    table = [(0, 8, "linear", "254:0 0"), (8, 2048, "crypt", PARAMS)]

    class Answer:
        """As if the kernel gave it back: offsets from the first line."""
        targets, data = 2, ioctl.pack_table(table)
    equal(next(ioctl.unpack_table(Answer)), table[0], "the first line")
    equal(len(Answer.data) % 8, 0, "alignment")


@point
def kept():
    """Settings that are kept: merged, replaced, dropped by reset."""
    with tempfile.TemporaryDirectory() as directory:
        tuning.KEPT = f"{directory}/crypt-async/tune.conf"
        for name, words in (("a", ["cpus=0-3"]), ("b", ["page_limit=9"]),
                            ("a", ["inline_kib=4", "cpus=1"])):
            tuning._keep(name, words)
        equal(tuning._kept("a"), ["cpus=1", "inline_kib=4"], "kept")
        tuning._keep("a", ["reset"])
        equal(tuning._kept("a"), [], "after a reset")
        equal(tuning._kept("b"), ["page_limit=9"], "of another one")


@point
def uuids():
    """A mapping's UUID says which LUKS2 volume it is of."""
    class Mapping:
        """Of a volume."""
        uuid = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-home"
    equal(keys.luks_uuid(Mapping), "01234567-89ab-cdef-0123-456789abcdef",
          "LUKS2")
    Mapping.uuid = "CRYPT-PLAIN-home"
    equal(keys.luks_uuid(Mapping), None, "plain")


@point
def benchmark():
    """bench measures reads only, unless told otherwise."""
    how = bench.How("/dev/null")
    equal([cell.work_name for cell in how.cells if cell.reads != 1], [],
          "writes")
    names = [cell.name for cell in how.cells]
    equal(len(set(names)), len(names), "different names")
    assert all(" null aes-xts 4096 " in name for name in names), names
    minute = how.rounds * how.expected
    assert minute <= 90, f"{minute} s to read"
    how.write = True
    assert how.rounds * how.expected <= 180, "to read and write"
    equal(len(how.cells), 2 * len(names), "cells with writes")


@point
def benchmark_json():
    """bench --json is a report that the checker takes, with all rates."""
    how = bench.How(None, json=True, write=True, rounds=2)
    machine = facts(bench_report.TOOL)
    with tempfile.TemporaryDirectory() as directory:
        device = f"{directory}/disk"
        with open(device, "wb") as file:
            file.truncate(64 << 20)
        how.report = f"{directory}/page.html"
        cells = [{"name": cell.work_name, "stack": cell.stack_name,
                  "work": cell.work_name, "ways": cell.ways,
                  "size": cell.size, "cipher_ns": [],
                  "rates": {name: [2.0, 4.0] for name in
                            (bench.RAW, *bench.MAPPED)}}
                 for cell in how.cells]
        text = io.StringIO()
        with contextlib.redirect_stdout(text), \
                contextlib.redirect_stderr(io.StringIO()):
            bench._show(how, machine, bench._told(
                how, device, machine, seed=1, driver="xts-aes", cells=cells))
        found = json.loads(text.getvalue())
        equal(bench_report.problems(found), [], "the checker")
        equal([cell["rates"] for cell in found["cells"]],
              [cell["rates"] for cell in cells], "measured")
        equal({name: found[name] for name in machine}, machine, "machine")
        assert directory not in text.getvalue(), "it has a path"
        assert os.path.getsize(how.report), "the page"


end()
