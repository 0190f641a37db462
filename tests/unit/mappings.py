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
from crypt_async import (common, ioctl, keys, mapping, move, names, report,
                         tuning, verify)
from points import end, equal, point

KEY = "0123456789abcdef" * 8
CRYPT = [(0, 32768, "crypt", f"aes-xts-plain64 {KEY} 0 254:0 0")]
ASYNC = [(0, 32768, "crypt-async", CRYPT[0][3])]
STATUS = " ".join(f"{key}=0" for key in (
    "driver", "fragments", "reads", "writes", "read_bytes", "written_bytes",
    "inline", "queued", "deferred", "parked", "resumed", "trimmed",
    "mem_waits", *report.FAULTS, "broken", "in_flight", "in_flight_max",
    "pages", "cached", *report.SETTINGS))
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
    made.make("crypt-async-key-0-1", CRYPT)
    made.make("crypt-async-check-0-1", ASYNC)
    equal([found.name for found, _ in mapping.encrypted()], ["mine"], "all")


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
    first, second = (verify.name_for(each) for each in found)
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
        with patched(move, _switch=switch, load_module=lambda: None,
                     keep_private=lambda: None,
                     _key_again=lambda found, lines, error, options: options):
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
def flags_named():
    """adopt names flags that keep work on one processor."""
    options = "3 allow_discards no_read_workqueue same_cpu_crypt"
    for params, is_named in ((f"{CRYPT[0][3]} {options}", True),
                             (f"{CRYPT[0][3]} 1 allow_discards", False)):
        for target, function in (("crypt", move.adopt),
                                 ("crypt-async", move.release)):
            made = dm()
            made.make("v", [(0, 32768, target, params)])
            with patched(move, _switch=lambda *_: None,
                         load_module=lambda: None,
                         keep_private=lambda: None), \
                    patched(move.keys,
                            table_with_keys=lambda each: each.table()):
                code, said = quietly(function, ["v"], False, ())
            equal(code, 0, said)
            equal("no_read_workqueue, same_cpu_crypt" in said,
                  is_named and function is move.adopt, said)


REFERRED = [(0, 32768, "crypt", CRYPT[0][3].replace(
    KEY, ":64:logon:cryptsetup:0-d0"))]
LUKS = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-v"


def cryptsetup(made, metadata, opens=True):
    """One that is made up, and how it was called."""
    calls = []

    def run(*words, **_how):
        calls.append(words)
        if "--dump-json-metadata" in words:
            return json.dumps(metadata)
        if "--dump-volume-key" in words:
            return "MK dump:\t" + " ".join(
                KEY[at:at + 2] for at in range(0, 128, 2)) + "\n"
        if words[1] == "open":
            if not opens:
                raise common.Problem("cryptsetup failed", common.PERMISSION)
            made.make(words[-1], CRYPT)
        elif words[1] == "close":
            del made.made[words[2].encode()]
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
        (opened, closed), seen = volume_key(metadata, *options)
        equal(opened[:2], ("cryptsetup", "open"), options)
        for word in ("--disable-keyring", "--readonly", *options):
            assert word in opened, f"{word} in {opened}"
        equal(opened.count("--header"), 1, "a header")
        equal(opened[opened.index("--header") + 1], "/dev/lower", "which")
        equal(closed, ("cryptsetup", "close", opened[-1]), "closed")
        equal([table for _, table in seen], [[(0, 65536, "zero", "")]],
              "on what")
    for metadata, how, said in (
            (token, {"opens": False}, "cryptsetup failed"),
            ({**token, "segments": {"0": {"integrity": {}}}}, {},
             "authenticated")):
        try:
            volume_key(metadata, "--token-only", **how)
            raise AssertionError(said)
        except common.Problem as problem:
            assert said in str(problem), str(problem)


end()
