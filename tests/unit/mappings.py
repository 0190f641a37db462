# SPDX-License-Identifier: GPL-2.0-only
"""The command on a device mapper that is made up: many mappings, long tables,
names of every kind."""

import contextlib
import ctypes
import io
import json
import os
import tempfile
import time

import made_up
from crypt_async import (common, doctor, ioctl, keys, leftovers, mapping, move,
                         names, ramdisk, report, temporary, tuning)
from points import end, equal, point

KEY = "0123456789abcdef" * 8
CRYPT = [(0, 32768, "crypt", f"aes-xts-plain64 {KEY} 0 254:0 0")]
ASYNC = [(0, 32768, "crypt-async", CRYPT[0][3])]
STATUS = " ".join(f"{key}=0" for key in (
    "driver", "fragments", "reads", "writes", "read_bytes", "written_bytes",
    "inline", "queued", "deferred", "parked", "resumed", "trimmed",
    "mem_waits", *report.FAULTS, "broken", "in_flight", "in_flight_max",
    "pages", "cached", *report.SETTINGS))
REFERRED = [(0, 32768, "crypt", CRYPT[0][3].replace(
    KEY, ":64:logon:cryptsetup:0-d0"))]
LUKS = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-v"
MANY = 2000


def dm():
    """A new device mapper, which the command talks to."""
    made = made_up.DeviceMapper()
    made.install()
    return made


def with_many():
    """One with many mappings of others beside one on either target."""
    made = dm()
    for number in range(MANY):
        made.make(f"docker-253:9-20447236-{number:064}",
                  [(0, 8, "error", "")])
    made.make("mine", CRYPT)
    made.make("moved", ASYNC, status=STATUS)
    return made


@contextlib.contextmanager
def patched(module, **others):
    """Some of a module's names are others for a while."""
    old = {name: getattr(module, name) for name in others}
    vars(module).update(others)
    try:
        yield
    finally:
        vars(module).update(old)


def quietly(function, *args):
    """Call it; what it returned and what it printed and said."""
    out, said = io.StringIO(), []
    with patched(move, say=said.append), patched(keys, say=said.append), \
            contextlib.redirect_stdout(out):
        result = function(*args)
    return result, out.getvalue() + "\n".join(said)


# The module is taken for loaded beside dm-crypt.
for each in (report, mapping):
    each.is_loaded = lambda name: True
mapping.parameter = lambda name: "N"


@point
def lists():
    """A list of mappings or a table of any size is read."""
    made = with_many()
    equal(len(ioctl.devices()), MANY + 2, "names")
    lines = [(8 * at, 8, "linear", f"254:0 {8 * at}") for at in range(3000)]
    made.make("fragmented", lines)
    found = mapping.Mapping("fragmented").table()
    equal([line.packed() for line in found], lines, "a long table")
    made.answers["latency"] = "x" * 100000
    equal(mapping.Mapping("mine").message("latency"), "x" * 100000,
          "a long answer")


@point
def passing():
    """What another run of the command has for a moment is left alone."""
    made = dm()
    made.make("mine", CRYPT)
    for name in ("crypt-async-key-0-1-2-zero", "crypt-async-check-0-1-2",
                 "crypt-async-bench-0-1-2", "crypt-async-selftest-1-1-2"):
        made.make(name, ASYNC, uuid=temporary.MARK + name)
    made.make("crypt-async-selftest-1-1-9", CRYPT)
    made.make("crypt-async-key-0-1-2", CRYPT,
              uuid=LUKS[:-1] + "crypt-async-key-0-1-2")
    made.make("crypt-async-key-0-3-4", CRYPT)
    equal([found.name for found, _ in mapping.encrypted()],
          ["crypt-async-key-0-3-4", "crypt-async-selftest-1-1-9", "mine"],
          "all but what is ours")


def dead(kind, number="7", last=""):
    """The name of a mapping of a run that is over."""
    return f"{kind}{number}-4194305-9{last}"


@point
def removes_leftovers():
    """What runs that are over have left is found, in an order in which it can
    be removed, and nothing of others."""
    made = dm()
    live = temporary.name_for(temporary.CHECK, 7)
    again = f"{temporary.BENCH}0-{os.getpid()}-1"   # another process's number
    key, zero = dead(temporary.KEY), dead(temporary.KEY, last=temporary.ZERO)
    tags, upper = dead(temporary.SELFTEST, "9"), dead(temporary.SELFTEST,
                                                      "10")
    for name in (live, again, zero, tags, upper):
        made.make(name, ASYNC, uuid=temporary.MARK + name)
    luks = LUKS[:-1]
    below = os.makedev(253, made.made[zero.encode()].minor)
    made.make(key, CRYPT, uuid=luks + key, lower=(below,))
    half = dead(temporary.KEY, "8")
    made.make(half, uuid=luks + half)
    for name, uuid, lower in (
            (dead(temporary.CHECK), "", ()),
            (dead(temporary.SELFTEST), "", ()),
            (dead(temporary.CHECK, "6"), "my-own", ()),
            (dead(temporary.KEY, "5"), luks + dead(temporary.KEY, "5"),
             (os.makedev(8, 0),)),
            ("crypt-async-check-mine", "", ())):
        made.make(name, CRYPT, uuid=uuid, lower=lower)
    found = [each.name for each in temporary.leftovers(
        mapping.all_mappings())]
    equal(sorted(found), sorted([again, zero, key, half, tags, upper]),
          "which")
    assert found.index(key) < found.index(zero), found
    assert found.index(upper) < found.index(tags), found
    with patched(doctor, encrypted=lambda: ()):
        doctor._findings.clear()
        doctor._leftovers()
    said = [text.split()[0] for _, text, advice in doctor._findings
            if "selftest removes it" in advice]
    equal(said, found, "what doctor names")
    equal(leftovers.remove(), len(found), "how many")
    equal([name.decode() for name in made.made if name.decode() in found], [],
          "removed")
    equal(len(made.made), 6, "others")


@point
def ram_disks():
    """A RAM disk is taken for left only while it is the one that was left."""
    with tempfile.TemporaryDirectory() as directory:
        path, sizes = f"{directory}/ram-disk", ramdisk._PARAMETERS
        own = "{} {}".format(*temporary.this_run())

        def read(name):
            return common.read(name) if name == path else \
                sizes[os.path.basename(name)]

        def told(text, loaded):
            if text is not None:
                with open(path, "w", encoding="ascii") as file:
                    file.write(text)
            with patched(ramdisk, OWNER=path, read=read,
                         is_loaded=lambda _: loaded):
                return ramdisk.is_left(), os.path.exists(path)

        equal(told("4194305 9\n", True), (True, True), "of one that is over")
        equal(told("4194305 9\n", False), (False, False), "unloaded since")
        equal(told(None, True), (False, False), "another one, of the user's")
        equal(told(own, False), (False, True), "of one that begins")
        equal(told(own, True), (False, True), "of one that runs")
        for text in ("", "x y", "4194305", "4194305 9 9", "\0\0", "1 2\n3"):
            equal(told(text, True), (False, True), f"damaged: {text!r}")


@point
def second_tables():
    """A table that a killed run has loaded is dropped before another move,
    doctor names it; those of others stay."""
    shown = [(0, 32768, "crypt", CRYPT[0][3].replace(KEY, "0" * 128))]
    for loaded, is_ours in ((ASYNC, True), (shown, True), (None, False),
                            ([(0, 8, "linear", "254:0 0")], False),
                            ([(0, 8, *ASYNC[0][2:])], False)):
        made = dm()
        made.make("my disk".replace(" ", r"\x20"), CRYPT, loaded=loaded)
        found, = mapping.all_mappings()
        equal(found.left_table(), is_ours, loaded)
        doctor._findings.clear()
        doctor._leftovers()
        equal([advice for _, _, advice in doctor._findings
               if "dmsetup clear 'my disk';" in advice] != [], is_ours,
              "doctor")
        ioctl.lock(0)
        doctor._findings.clear()
        doctor._leftovers()
        equal(doctor._findings, [], "while a run is at work on it")
        ioctl.unlock(0)
        quietly(leftovers.tidy, found)
        equal(made.made[rb"my\x20disk"].loaded, None if is_ours else loaded,
              "what is loaded")


@point
def whose():
    """A line is this module's by its name, or by a status with a driver."""
    for target in ("crypt", "crypt-async", "linear"):
        for status, names_it in (
                ("", False), ("driver=xts", True), ("a=1", False),
                ("a=1 driver=xts fragments=2", True), ("driver", False),
                ("mydriver=xts", False)):
            made, is_ours = dm(), target == "crypt-async" or \
                target == "crypt" and names_it
            made.make("v", [(0, 8, "linear", "254:0 0"),
                            (8, 8, target, CRYPT[0][3])],
                      status=["driver=xts", status])
            found = mapping.Mapping("v")
            first, line = found.table()
            equal((first.is_ours, first.home), (False, "linear"), "another's")
            equal((line.is_ours, line.home),
                  (is_ours, "crypt-async" if is_ours else target),
                  f"{target}, {status!r}")
            equal(len(found.status()), target != "linear" and names_it,
                  f"lines with a status: {target}, {status!r}")


@point
def not_loaded():
    """Without the module, a status is not asked for."""
    made = dm()
    made.make("v", CRYPT, status="driver=xts")
    with patched(mapping, is_loaded=lambda name: False):
        line, = mapping.Mapping("v").table()
    equal(line.is_ours, False, "it cannot be")
    equal(made.calls[ioctl.TABLE_STATUS], 1, "how often it was asked")


@point
def goes_away():
    """A mapping goes, or its table changes, before its status is read."""
    made = dm()
    made.make("v", CRYPT * 2, status="driver=xts")
    found, answer = mapping.Mapping("v"), made._do

    def shorter(command, *args):
        result = answer(command, *args)
        if command == ioctl.TABLE_STATUS:
            made.made[b"v"].table = made.made[b"v"].table[:1]
        return result

    def gone(command, *args):
        result = answer(command, *args)
        if command == ioctl.TABLE_STATUS:
            made.made.clear()
        return result
    made._do = shorter
    equal([line.is_ours for line in found.table()], [True, False], "shorter")
    made._do = gone
    equal(list(mapping.encrypted()), [], "gone")


@point
def names_of_target():
    """What each value of replace_dm_crypt means for tables, old and new."""
    ours = mapping.Line(*ASYNC[0])
    shown = mapping.Line(*CRYPT[0])
    shown.is_ours = True
    for value, stands_in, own, looks in (
            ("N", False, "crypt-async", False),
            ("Y", True, "crypt-async", False),
            ("only", True, "crypt", True),
            ("shown", False, "crypt-async", True),
            (None, False, "crypt-async", False)):
        with patched(mapping, parameter=lambda name, value=value: value):
            equal((mapping.stands_in(), mapping.own_target(),
                   mapping.looks_like_crypt()), (stands_in, own, looks), value)
            equal(shown.again(), CRYPT[0] if stands_in else ASYNC[0],
                  f"{value}: ours, shown as crypt")
            equal(mapping.Line(*CRYPT[0]).again(), CRYPT[0],
                  f"{value}: dm-crypt's")
    equal(ours.again(), ASYNC[0], "under its own name")
    equal(mapping.Line(0, 8, "linear", "254:0 0").again(),
          (0, 8, "linear", "254:0 0"), "another target's")


@point
def second_table_shown():
    """A killed run's second table is found beside one that is shown."""
    shown = [(0, 32768, made_up.SHOWN, CRYPT[0][3])]
    for used, loaded in ((CRYPT, shown), (shown, CRYPT), (shown, ASYNC)):
        made = dm()
        made.make("v", used, loaded=loaded)
        equal(mapping.Mapping("v").left_table(), True, "it is left")
    made.make("w", shown, loaded=[(0, 32768, "linear", "254:0 0")])
    equal(mapping.Mapping("w").left_table(), False, "of others")


@point
def one_at_a_time():
    """No two runs move the same mapping, others at the same time."""
    dm().make("v", CRYPT)
    found = mapping.Mapping("v")
    ioctl.lock(7)
    ioctl.lock(os.minor(found.dev))
    try:
        move.move(found, move.Way("crypt-async"))
        raise AssertionError("it is moved")
    except common.Problem as problem:
        equal(problem.code, common.BUSY, str(problem))


@point
def quick():
    """2000 mappings of others cost a second at most, and no call too many."""
    made = with_many()
    began = time.process_time()
    result, said = quietly(report.status, [], False)
    took = time.process_time() - began
    print(f"# status beside {MANY}: {took:.3f} s, "
          f"{sum(made.calls.values())} calls")
    equal(result, 0, "status")
    assert "moved" in said and "mine" not in said, said
    assert took < 1, f"{took} s"
    assert sum(made.calls.values()) < MANY + 20, made.calls
    for what, words in (("status NAME", (report.status, ["moved"], False)),
                        ("why not", (move._why_not, mapping.Mapping("mine"),
                                     mapping.Mapping("mine").table(),
                                     common.CRYPT_ASYNC)),
                        ("tune", (tuning.tune, "moved", ["reset"], False))):
        made.calls.clear()
        quietly(*words)
        assert sum(made.calls.values()) < 8, f"{what}: {made.calls}"


@point
def others():
    """A mapping of another subsystem is not asked for its table."""
    made = dm()
    made.make("moved", ASYNC, uuid="CRYPT-LUKS2-x-moved", status=STATUS)
    made.make("bare", ASYNC, status=STATUS)
    made.make("named", ASYNC, uuid="my-own", status=STATUS)
    for number in range(50):
        made.make(f"vg-{number}", [(0, 8, "linear", "254:0 0")],
                  uuid=f"LVM-{number:064}")
        made.make(f"mpath{number}", [(0, 8, "linear", "254:0 0")],
                  uuid=f"mpath-{number}")
        made.make(f"mpath{number}-part1", [(0, 8, "linear", "254:0 0")],
                  uuid=f"part1-mpath-{number}")
    equal([found.name for found in report.mappings_on_module()],
          ["bare", "moved", "named"], "on the module")
    assert sum(made.calls.values()) <= 4, made.calls


# Of every kind that cryptsetup takes, and some that only the kernel does.
NAMES = ("plain", "my disk", "größe", "data#1", "#1", "a:b+c=d@e", "-dash",
         "it's", 'say "x"', "a\\b", "50%", "tab\there", "n" * 127)


def libdevmapper():
    """What libdevmapper makes of a name for the kernel, None of what it
    refuses. As it asks the kernel for its version before it makes a task, the
    task is made of zeros here, and looked at: the second word is the name,
    the third one is what the kernel gets, if that differs."""
    library = ctypes.CDLL("libdevmapper.so.1.02.1")

    def mangle(name):
        task = (ctypes.c_char_p * 4096)()
        if library.dm_task_set_name(task, name):
            return task[2] or task[1]
        return None
    return mangle


@point
def mangled():
    """Names are mangled as libdevmapper does, and back."""
    theirs = libdevmapper()
    for name in (*NAMES, r"my\x20disk", r"x\x2", r"\xzz", *(
            f"a{chr(code)}b" for code in range(1, 256) if code != 47)):
        data = name.encode()
        if (wanted := theirs(data)) is None:
            print(f"# libdevmapper refuses {name!r}")
            continue
        equal(names.mangle(name), wanted.decode(), name)
        if "\\x" not in name:
            equal(names.unmangle(wanted.decode()), name, "and back")
    equal(names.mangle(b"\xff".decode(errors="surrogateescape")),
          theirs(b"\xff").decode(), "no UTF-8")
    equal(names.shown(r"my\x20disk"), "my disk", "as it is shown")
    for name in (r"a\x0ab", r"a\xffb", r"a\x1b[31m"):
        equal(names.shown(name), name, "what would disturb a terminal")


@contextlib.contextmanager
def stat_of(number):
    """Each path is a block device of this number."""
    old, os.stat = os.stat, lambda path: os.stat_result(
        (0o60660, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number))
    try:
        yield
    finally:
        os.stat = old


@point
def found_by_name():
    """A mapping is found by each name, however the kernel has it, and by its
    nodes."""
    made, theirs = dm(), libdevmapper()
    for name in NAMES:
        made.make(theirs(name.encode()), CRYPT)
    made.make(b"raw name", CRYPT)           # as dmsetup --manglename none
    made.make(b"latin \xff", CRYPT)
    for name in (*NAMES, "raw name"):
        found = mapping.Mapping(name)
        equal(found.table()[0].target, "crypt", name)
        if "\t" not in name:
            equal(found.shown, name, "as it is shown")
        path = mapping.Mapping(f"/dev/mapper/{name}")
        equal(path.name, found.name, "by its path")
    mapping.Mapping(b"latin \xff".decode(errors="surrogateescape"))
    equal(mapping.Mapping(r"/dev/mapper/my\x20disk").shown, "my disk",
          "by the path that there is")
    for number, each in enumerate(made.made.values()):
        with stat_of(os.makedev(253, number)):
            found = mapping.Mapping(f"/dev/dm-{number}")
        equal(found.name, each.name.decode(errors="surrogateescape"), "node")
    for name in ("nothing", "/dev/mapper/nothing", "/dev/nothing", "/dev/null",
                 "/etc/hostname", "n" * 128, "/", ""):
        try:
            mapping.Mapping(name)
            raise AssertionError(f"{name!r} is a mapping")
        except common.Problem:
            pass
    with stat_of(os.makedev(8, 0)):
        try:
            mapping.Mapping("/dev/sda")
            raise AssertionError("/dev/sda is a mapping")
        except common.Problem as problem:
            assert "/dev/sda is not a mapping" in str(problem), str(problem)


@point
def settings():
    """Settings of a mapping with any name are kept and given back; lines of
    others stay as they are."""
    theirs = libdevmapper()
    with tempfile.TemporaryDirectory() as directory:
        tuning.KEPT = f"{directory}/tune.conf"
        for name in NAMES:
            made = dm()
            made.make(theirs(name.encode()), ASYNC)
            made.make("data", ASYNC)
            quietly(tuning.tune, name, ["inline_kib=8"], True)
            quietly(tuning.tune, name, ["fragment_kib=64"], True)
            made.sent.clear()
            equal(tuning.apply("data"), 0, "one without")
            equal(made.sent, [], f"data gets nothing of {name}")
            with stat_of(os.makedev(253, 0)):
                tuning.apply("/dev/dm-0")
            equal(made.sent, ["tune inline_kib=8 fragment_kib=64"], name)
        with open(tuning.KEPT, encoding="utf-8") as file:
            lines = file.read().splitlines()
        assert "plain inline_kib=8 fragment_kib=64" in lines, lines
        mine = ["", "# by hand", "data#1 inline_kib=4   # why", "  plain  a=1",
                r"old\x20one inline_kib=2", "'broken inline_kib=1"]
        with open(tuning.KEPT, "w", encoding="utf-8") as file:
            file.write("\n".join(mine))
        made = dm()
        for name in ("data", "data#1", "plain", r"old\x20one"):
            made.make(name, ASYNC)
        for name in ("data", "data#1", "plain", "old one"):
            tuning.apply(name)
        equal(made.sent, ["tune inline_kib=4", "tune a=1",
                          "tune inline_kib=2"], "written by hand")
        quietly(tuning.tune, "data", ["cpus=1"], True)
        quietly(tuning.tune, "plain", ["reset"], True)
        with open(tuning.KEPT, encoding="utf-8") as file:
            equal(file.read().splitlines(),
                  [*mine[:3], *mine[4:], "data cpus=1"], "the others' lines")


@point
def two_long_names():
    """Two mappings whose names begin alike are checked at the same time."""
    made = dm()
    found = []
    for last in "12":
        made.make("n" * 126 + last, CRYPT)
        found.append(mapping.Mapping("n" * 126 + last))
    first, second = (temporary.name_for(temporary.CHECK, os.minor(each.dev))
                     for each in found)
    assert first != second, first
    assert len(first) < 128, first



@point
def each_moved():
    """Options are for each volume of --all; a name that cannot be moved ends
    nothing, and the exit status tells."""
    for function, source, target in ((move.adopt, CRYPT, "crypt-async"),
                                     (move.release, ASYNC, "crypt")):
        made, moved = dm(), []
        for name in ("one", "two", "three"):
            made.make(name, source)
        made.make("linear", [(0, 8, "linear", "254:0 0")])
        made.make("vanishing", source)

        def switch(found, _lines, to, _table, again, made=made, moved=moved):
            if found.name == "two":
                raise common.Problem("two: no", common.PERMISSION)
            if found.name == "vanishing":
                del made.made[b"vanishing"]
                raise OSError(6, "No such device or address")
            moved.append((found.name, to, again(OSError(126, "no key"))))
            return 0.0
        with patched(move, _switch=switch, load_module=lambda: None,
                     keep_private=lambda: None,
                     _key_again=lambda found, lines, error, way: way.options):
            with patched(move.keys, table_with_keys=lambda each: each.table()):
                words = ["--key-file", "F"]
                code, said = quietly(function, [], True, words)
                equal(moved, [(name, target, words)
                              for name in ("one", "three")], "all")
                equal(code, common.PERMISSION, said)
                made.make("vanishing", source)
                moved.clear()
                code, said = quietly(function, [
                    "nothing", "one", "linear", "vanishing", "three"], False,
                    words)
                equal(moved, [(name, target, words)
                              for name in ("one", "three")], "by name")
                equal(code, common.DEVICE, said)
                for what in ("nothing: there is no", "linear is not an enc",
                             "vanishing: No such"):
                    assert what in said, f"{what}: {said}"


@point
def busy_ones():
    """What cryptsetup reencrypts is not moved, by whichever of the names that
    it has then, nor what somebody has loaded another table for."""
    for part in move.REENCRYPTING:
        made = dm()
        for name in ("v", f"v{part}", f"v{part}-data", f"w{part}"):
            made.make(name, CRYPT)
        for name, is_refused in (("v", True), (f"v{part}", True),
                                 (f"v{part}-data", False),
                                 (f"w{part}", False)):
            reason = move._why_not(mapping.Mapping(name), [mapping.Line(
                *CRYPT[0])], "crypt-async")
            equal(bool(reason) and "reencrypted" in reason, is_refused, name)
    made = dm()
    made.make("v", CRYPT)
    found = mapping.Mapping("v")
    equal(move._why_not(found, found.table(), "crypt-async"), None, "it may")
    made.made[b"v"].loaded = [(0, 32768, "linear", "254:0 0")]
    said = move._why_not(found, found.table(), "crypt-async")
    assert "another program has loaded" in said, said


@point
def flags_named():
    """adopt names flags that keep work on one processor."""
    options = "3 allow_discards no_read_workqueue same_cpu_crypt"
    for params, is_named in ((f"{CRYPT[0][3]} {options}", True),
                             (f"{CRYPT[0][3]} 1 allow_discards", False)):
        for target, function in (("crypt", move.adopt),
                                 ("crypt-async", move.release)):
            made = dm()
            made.make("v", [(0, 32768, target, params)])
            with patched(move, _switch=lambda *_: 0.0,
                         load_module=lambda: None,
                         keep_private=lambda: None), \
                    patched(move.keys,
                            table_with_keys=lambda each: each.table()):
                code, said = quietly(function, ["v"], False, ())
            equal(code, 0, said)
            equal(": same_cpu_crypt in its table:" in said,
                  is_named and function is move.adopt, said)


def cryptsetup(made, metadata, opens=True, dumps=True):
    """One that is made up, and how it was called."""
    calls = []

    def run(*words, **_how):
        calls.append(words)
        if "--dump-json-metadata" in words:
            return json.dumps(metadata)
        if "--dump-volume-key" in words:
            if not dumps:
                raise common.Problem("cryptsetup failed", common.PERMISSION)
            return "MK dump:\t" + " ".join(
                KEY[at:at + 2] for at in range(0, 128, 2)) + "\n"
        if words[1] == "open":
            if not opens:
                raise common.Problem("cryptsetup failed", common.PERMISSION)
            made.make(words[-1], CRYPT)
        return ""
    return run, calls


def volume_key(metadata, *options, **how):
    """The key of a volume, how it was asked for, and the tables that were
    made for that."""
    made = dm()
    made.make("v", REFERRED, uuid=LUKS)
    run, calls = cryptsetup(made, metadata, **how)
    try:
        with patched(keys, run=run, luks_device=lambda *_: "/dev/lower",
                     sectors=lambda _: 65536):
            key, _ = quietly(keys.volume_key, mapping.Mapping("v"), "254:0",
                             options)
    finally:
        equal(list(made.made), [b"v"], "nothing is left")
    equal(key.hex(), KEY, "the key")
    return [words for words in calls if "--dump-json-metadata" not in words], \
        made.seen


@point
def tokens():
    """The key of a volume that a token opens comes from a mapping that
    cryptsetup makes of its header, on a device without data."""
    plain = {"tokens": {}, "segments": {"0": {"type": "crypt"}}}
    token = {**plain, "tokens": {"0": {"type": "systemd-tpm2"}}}
    for metadata, options in ((plain, ()), (plain, ("--key-file", "F")),
                              (token, ("--key-file=F",)),
                              (token, ("-d", "F"))):
        calls, seen = volume_key(metadata, *options)
        equal(calls, [("cryptsetup", "luksDump", "--dump-volume-key",
                       "--batch-mode", *options, "/dev/lower")], options)
        equal(seen, [], "no mapping is made")
    for metadata, options in ((token, ()), (token, ("--token-only",)),
                              (plain, ("--token-id", "0")),
                              (token, ("--header", "/dev/lower")),
                              (plain, ("--token-type=systemd-tpm2",))):
        (opened,), seen = volume_key(metadata, *options)
        equal(opened[:2], ("cryptsetup", "open"), options)
        for word in ("--disable-keyring", "--readonly", *options):
            assert word in opened, f"{word} in {opened}"
        equal(opened.count("--header"), 1, "a header")
        equal(opened[opened.index("--header") + 1], "/dev/lower", "which")
        equal([table for _, table in seen], [[(0, 65536, "zero", "")]],
              "on what")
    calls, _ = volume_key(token, "--key-file", "F", "--header=/dev/lower",
                          dumps=False)
    equal([words[1] for words in calls], ["luksDump", "open"],
          "a file that does not open it")
    for word, is_there in (("--key-file", False), ("F", False),
                           ("--header=/dev/lower", True),
                           ("--token-only", True)):
        equal(word in calls[1], is_there, word)
    for metadata, how, said in (
            (token, {"opens": False}, "none of its tokens"),
            ({**token, "segments": {"0": {"integrity": {}}}}, {},
             "authenticated")):
        try:
            volume_key(metadata, "--token-only", **how)
            raise AssertionError(said)
        except common.Problem as problem:
            assert said in str(problem), str(problem)


end()
