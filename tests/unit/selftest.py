# SPDX-License-Identifier: GPL-2.0-only
"""selftest: lists of drivers that are made up, requests on memory in place of
a mapping, and what is told."""

import contextlib
import dataclasses
import errno
import io
import os
import random
import signal
import time
import types

from crypt_async import drivers, exercise, selftest, vanishing
from made_up_report import COUNTED, report
from points import end, equal, point

XTS, CBC = drivers.CIPHERS[:2]
KIB = 1 << 10

# Made up as the kernel writes it, with names from its sources.
ENTRY = """\
name         : {0}
driver       : {1}
module       : {2}
priority     : {3}
refcnt       : 1
selftest     : passed
internal     : {4}
type         : {5}
async        : {6}
blocksize    : 16
"""


def text(*rows):
    """A text such as /proc/crypto's."""
    return "\n".join(ENTRY.format(*row) for row in rows)


ARM = text(
    ("xts(aes)", "xts-aes-ce", "aes_ce_blk", 300, "no", "skcipher", "no"),
    ("xts(aes)", "xts-aes-neonbs", "aes_neon_bs", 250, "no", "skcipher",
     "no"),
    ("xts(aes)", "xts-aes-caam", "caam_jr", 3000, "no", "skcipher", "yes"),
    ("xts(ecb(aes-generic))", "not-this", "xts", 1, "no", "skcipher", "no"),
    ("essiv(cbc(aes),sha256)", "essiv-cbc-aes-sha256-ce", "aes_ce_blk", 301,
     "no", "skcipher", "no"),
    ("xts(aes)", "xts(ecb(aes-generic))", "kernel", 100, "no", "skcipher",
     "no"),
    ("ecb(aes)", "ecb-aes-ce", "aes_ce_blk", 300, "no", "skcipher", "no"),
    ("ecb(aes)", "ecb-aes-hw", "hw", 300, "no", "skcipher", "no"))
SERVER = text(
    ("xts(aes)", "qat_aes_xts", "intel_qat", 100, "no", "skcipher", "yes"),
    ("xts(aes)", "xts-aes-ccp", "ccp_crypto", 300, "no", "skcipher", "yes"),
    ("__xts(aes)", "__xts-aes-aesni", "aesni_intel", 401, "yes", "skcipher",
     "no"),
    ("__xts(aes)", "cryptd(__xts-aes-aesni)", "cryptd", 451, "yes",
     "skcipher", "yes"),
    ("xts(aes)", "xts-aes-aesni", "aesni_intel", 401, "no", "skcipher",
     "yes"),
    ("authenc(hmac(sha256),cbc(aes))", "qat_aes_cbc_hmac_sha256",
     "intel_qat", 100, "no", "aead", "yes"),
    ("cbc(aes)", "cbc(ecb(aes-generic))", "kernel", 100, "no", "lskcipher",
     "no"))


@point
def parsed():
    """Drivers of other machines are found, internal ones and others not."""
    def names(text_, cipher):
        return [entry.driver for entry in
                drivers.of_cipher(list(drivers.parse(text_)), cipher)]

    equal(names(ARM, XTS), ["xts-aes-caam", "xts-aes-ce", "xts-aes-neonbs",
                            "xts(ecb(aes-generic))"], "on ARM")
    equal(names(SERVER, XTS), ["xts-aes-aesni", "xts-aes-ccp",
                               "qat_aes_xts"], "on a server")
    equal(names(SERVER, CBC), ["cbc(ecb(aes-generic))"], "of cbc")
    gcm, = (each for each in drivers.CIPHERS if each.name == "gcm(aes)")
    equal(names(text(("gcm(aes)", "gcm-aes-ce", "ghash_ce", 300, "no", "aead",
                      "no"), ("gcm(aes)", "x", "y", 1, "no", "skcipher",
                              "no")), gcm), ["gcm-aes-ce"], "with tags")
    caam = drivers.named(list(drivers.parse(ARM)), "xts-aes-caam")
    equal((caam.module, caam.priority, caam.is_async, caam.selftest),
          ("caam_jr", 3000, True, "passed"), "its fields")
    for odd in ("", "\n\n", "name : x", "driver: y\n\nname: z", "no colon",
                ENTRY.format("xts(aes)", "d", "m", "high", "no", "", "")):
        drivers.of_cipher(list(drivers.parse(odd)), XTS)


@point
def wrapped():
    """What wraps a cipher and does not change it is seen through."""
    for name, inner in (("cryptd(xts(aes))", "xts(aes)"),
                        ("chaos(cryptd(xts(aes)))", "xts(aes)"),
                        ("cts(cbc(aes))", "cts(cbc(aes))"),
                        ("cryptd", "cryptd")):
        equal(drivers.within(name), inner, name)


@point
def in_c():
    """The generic implementation is known by its name, on any kernel."""
    for name, answer in (
            ("aes-generic", True), ("xts(ecb(aes-lib))", True),
            ("adiantum(xchacha12-generic,aes-lib)", True),
            ("adiantum(xchacha12-simd,aes-lib)", False),
            ("generic-gcm-aesni", False), ("xts-aes-lib", True),
            ("gcm_base(ctr(aes-generic),ghash-clmulni)", False),
            ("xts(ecb-aes-ce)", False)):
        equal(drivers.is_generic(name), answer, name)
    lib = text(("xts(aes)", "xts-aes-lib", "kernel", 100, "no", "skcipher",
                "no"), ("xts(aes)", "cryptd(xts-aes-lib)", "cryptd", 150,
                        "no", "skcipher", "yes"))
    equal(drivers.generics(list(drivers.parse(lib)), XTS)[0], "xts-aes-lib",
          "the library's")
    newer = text(("aes", "aes-lib", "kernel", 100, "no", "cipher", "no"),
                 ("aes", "aes-hw", "hw", 300, "no", "cipher", "no"))
    equal(drivers.generics(list(drivers.parse(newer)), XTS)[:2],
          ["xts(ecb(aes-lib))", "xts(aes-lib)"], "of a newer kernel")
    equal(drivers.generics(list(drivers.parse(ARM)), XTS)[0],
          "xts(ecb(aes-generic))", "on ARM")


@point
def chosen():
    """Which are tried: all but the generic one, or those that are named."""
    def of(text_, wanted=(), cryptd=False):
        return selftest.candidates(
            list(drivers.parse(text_)), XTS, "xts(ecb(aes-generic))", wanted,
            cryptd)

    equal(of(ARM), ["xts-aes-caam", "xts-aes-ce", "xts-aes-neonbs",
                    "xts(ecb-aes-hw)"], "on ARM")
    equal(of(SERVER, cryptd=True)[-1], "cryptd(xts(ecb(aes-generic)))",
          "cryptd")
    equal(of(SERVER, ["qat_aes_xts"]), ["qat_aes_xts"], "by name")
    for cipher in drivers.CIPHERS:
        equal(len(selftest.cases(cipher)), len(cipher.keys) + 1,
              f"cases of {cipher.name}")


@point
def cut():
    """The requests cover everything once, at any unit."""
    for seed in range(50):
        for unit in (512, 4096):
            parts = exercise.pieces(3 << 20, unit, random.Random(seed))
            at = 0
            for start, length in sorted(parts):
                equal(start, at, "where one begins")
                assert 0 < length <= exercise.LARGEST and not length % unit
                at += length
            equal(at, 3 << 20, "where all end")
            assert seed or any(s % 4096 for s, _ in parts) == (unit == 512)


@point
def differences():
    """The first byte that differs is found, wherever it is."""
    data = bytes(20 * KIB)
    equal(exercise.first_difference(data, data), None, "none")
    for at in (0, 1, 4095, 4096, 12345, len(data) - 1):
        other = bytearray(data)
        other[at] = 1
        equal(exercise.first_difference(data, bytes(other)), at, "one byte")
    equal(exercise.first_difference(data, data[:5000]), 5000, "shorter")


class Memory:
    """In place of a disk and a mapping, of a cipher that changes nothing."""

    def __init__(self, size, wrong=None):
        self.size, self.wrong = size, wrong
        self.file = os.memfd_create("selftest")
        os.ftruncate(self.file, size)

    def fill(self, data):
        """As Disk has it."""
        os.pwrite(self.file, data, 0)

    def bytes(self):
        """As Disk has it, with a byte that is wrong."""
        data = bytearray(os.pread(self.file, self.size, 0))
        if self.wrong is not None:
            data[self.wrong] ^= 1
        return bytes(data)


def exercised_on(mapped, disk, plain, written=None):
    """What comes of it."""
    theirs, ours = os.pipe()
    os.close(theirs)
    found = exercise.exercise(mapped, disk, plain, written or plain, 512,
                              seed=1, shut=[ours], progress=lambda: None)
    os.close(ours)
    return found


def exercised(disk, plain, written):
    """The same where both are one."""
    return exercised_on(disk, disk, plain, written)


@point
def compared():
    """A byte that is wrong is found, written or read, and nothing else."""
    plain = os.urandom(2 << 20)
    found = exercised(Memory(len(plain)), plain, plain)
    equal((found["trouble"], found["bytes"], found["ended"]),
          (None, 3 * len(plain), True), "all is right")
    found = exercised(Memory(len(plain), wrong=777777), plain, plain)
    equal(found["trouble"], {"kind": "wrong", "at": 777777, "what": "write"},
          "written")
    other = bytearray(plain)
    other[123456] ^= 1
    found = exercised(Memory(len(plain)), plain, bytes(other))
    equal(found["trouble"], {"kind": "wrong", "at": 123456, "what": "write"},
          "not what the generic one writes")
    # What is read is what this one wrote, unless it is changed meanwhile.
    disk = Memory(len(plain))
    disk.bytes, disk.fill = lambda: bytes(other), \
        lambda data: os.pwrite(disk.file, bytes(other), 0)
    found = exercised(disk, plain, bytes(other))
    equal(found["trouble"], {"kind": "wrong", "at": 123456, "what": "read"},
          "read")


@point
def through():
    """The disk is looked at through another mapping, where there are tags."""
    memory = Memory(1 << 20)
    disk, data = vanishing.Through(memory, memory.size), os.urandom(1 << 20)
    disk.fill(data)
    equal(disk.bytes(), data, "what was filled in")

    def unreadable():
        error = OSError(errno.EILSEQ, "")
        error.at = 65536
        raise error

    disk.bytes = unreadable
    found = exercised_on(memory, disk, data)
    equal(found["trouble"], {"kind": "wrong", "at": 65536, "what": "write"},
          "a tag that does not match")


@point
def unfinished():
    """Requests that nobody did are not taken for right."""
    def raised(*_):
        raise MemoryError("too little")

    def killed(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    disk, made = Memory(1 << 20), report()["drivers"][3]
    for owner, name, instead, said in (
            (exercise.Round, "_work", raised, "MemoryError: too little"),
            (exercise.Round, "_work", lambda *_: None, "ended early"),
            (exercise, "_phases", raised, "MemoryError: too little"),
            (exercise, "_phases", killed, "was killed")):
        before = getattr(owner, name)
        setattr(owner, name, instead)
        try:
            found = exercised(disk, bytes(disk.size), bytes(disk.size))
        finally:
            setattr(owner, name, before)
        equal(found["trouble"]["kind"], "failed", f"{name}: what it is")
        made["cases"][0]["trouble"] = found["trouble"]
        text_ = selftest.line({**made, "result": "failed"})
        assert said in text_ and "run it again" in text_, text_
        assert "blacklist" not in text_ and "do not use" not in text_, text_


@point
def silence():
    """What does not answer is left after a while."""
    disk = Memory(1 << 20)
    exercise.SILENCE, before = 1, exercise.SILENCE
    run, exercise.Round.run = exercise.Round.run, \
        lambda *_: time.sleep(60)
    try:
        found = exercised(disk, bytes(disk.size), bytes(disk.size))
    finally:
        exercise.SILENCE, exercise.Round.run = before, run
    equal((found["trouble"]["kind"], found["ended"]), ("silent", True),
          "what it is")


@point
def interrupted():
    """Interrupted, what cannot be ended is not waited for; the rest is."""
    def interrupt():
        raise KeyboardInterrupt

    told, disk = [], Memory(1 << 20)
    reap, run = exercise._reap, exercise.Round.run
    before = exercise.abandon
    exercise.abandon = lambda: told.append("abandoned")
    exercise.Round.run = lambda *_: time.sleep(60)

    def end(answers):
        """Interrupt it at once; `answers` are _reap's."""
        told.clear()

        def reaped(pid):
            if answers and (answer := answers.pop(0)) is not True:
                if answer is False:
                    reap(pid)
                    return False
                raise answer
            return reap(pid)

        exercise._reap, begun = reaped, time.monotonic()
        try:
            exercise.exercise(disk, disk, bytes(disk.size), bytes(disk.size),
                              512, seed=1, shut=[], progress=interrupt)
            raise AssertionError("it goes on")
        except KeyboardInterrupt:
            pass
        assert time.monotonic() - begun < 30, "it is waited for"
        return list(told)

    try:
        equal(end([]), [], "a process that ends")
        equal(end([False]), ["abandoned"], "one that stays")
        equal(end([KeyboardInterrupt()]), [], "interrupted while it ends")
        equal(end([KeyboardInterrupt(), False]), ["abandoned"],
              "interrupted while it stays")
    finally:
        exercise._reap, exercise.Round.run = reap, run
        exercise.abandon = before
    try:
        os.waitpid(-1, os.WNOHANG)
        raise AssertionError("a process is left")
    except ChildProcessError:
        pass


@point
def lines():
    """A line for each driver says what was reached, what not, what to do."""
    made = report()["drivers"]
    said = [selftest.line(each) for each in made]
    assert said[0].startswith("reference xts(ecb(aes-generic))"), said[0]
    assert "36 MiB in 180 requests" in said[1] and "21 times" in said[1], said
    assert "never short" in said[1], said[1]
    assert said[2].startswith("skipped") and said[2].endswith("none"), said[2]
    for word in ("WRONG", "first wrong byte at 1 of what it read",
                 "units of 512 bytes", "its module, hw", "report it"):
        assert word in said[3], said[3]
    made[1]["cases"][0]["counters"]["parked"] = 0
    only = {**made[1], "cases": made[1]["cases"][:1]}
    assert "never full" in selftest.line(only), selftest.line(only)
    assert "xts(sm4): none" in selftest.line({"cipher": "xts(sm4)",
                                              "why": "none"})


@point
def refused():
    """A driver that is refused is skipped; refused for one key, it failed."""
    def taken(refuses):
        def run(_name, _cipher, each):
            if each in refuses:
                raise OSError(errno.ENOENT, "none")
            return {**dataclasses.asdict(each), "ios": 60, "bytes": 12 << 20,
                    "overtaken": 0, "ended": True, "trouble": None,
                    "counters": dict(COUNTED)}

        return selftest._try(types.SimpleNamespace(run=run), "xts-aes-hw",
                             XTS, 1)

    all_of_them = selftest.cases(XTS)
    equal(taken([])["result"], "ok", "none is refused")
    equal(taken(all_of_them)["result"], "skipped", "all are")
    made = taken(all_of_them[2:])
    equal((made["result"], len(made["cases"])), ("failed", 3), "one is")
    assert "does not give it for disks" in selftest.line(made)


@point
def incomparable():
    """A cipher whose generic implementation fails is skipped; the run goes
    on."""
    def fails(*_):
        raise OSError(errno.EIO, "no good")

    trials = types.SimpleNamespace(
        name_of=lambda *_: "xts-aes-hw", compare_with=fails,
        generic=lambda _: "xts(ecb(aes-generic))")
    found, = selftest._try_cipher(trials, XTS, selftest.How([]), False)
    equal(found["cipher"], XTS.name, "of which")
    said = selftest.line(found)
    assert said.startswith("skipped") and "no good" in said, said


@point
def unloaded():
    """The modules that it had loaded are unloaded, and no others."""
    there, done = {"loop"}, []

    def run(words, **_):
        done.append(words[-1])

    before = {name: getattr(selftest, name) for name in (
        "is_loaded", "load_module", "subprocess")}
    vars(selftest).update(
        is_loaded=there.__contains__, load_module=lambda: None,
        subprocess=types.SimpleNamespace(run=run, DEVNULL=None))
    try:
        with selftest._modules():
            there |= {selftest.MODULE, "dm_integrity", "dm_bufio"}
    finally:
        vars(selftest).update(before)
    equal(done, [selftest.MODULE, "dm_integrity"], "which")


@point
def status():
    """0 only if what was asked for was tried, and all of it was right."""
    made = report()["drivers"]
    reference, right, skipped, wrong = made
    said = []
    before, selftest.say = selftest.say, said.append

    def ended(names, found, is_cut=False):
        said.clear()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = selftest._end(selftest.How(names), found, is_cut)
        equal("drivers wrote" in out.getvalue(), not code, "the last line")
        return code, len(said)

    try:
        for names, found, wanted in (
                ([], [reference, right, skipped], (0, 0)),
                ([], [reference, right, wrong], (4, 0)),
                (["xts-aes-hw"], [reference, right], (0, 0)),
                (["xts-aes-none"], [reference, skipped], (4, 1)),
                (["xts-aes-hw", "xts-aes-none"], made[:3], (4, 1)),
                ([reference["driver"]], [reference], (4, 1)),
                (["xts-aes-hw"], [{"cipher": "xts(aes)", "why": "none"}],
                 (4, 1))):
            equal(ended(names, found), wanted, f"{names}: {said}")
        equal(ended([], [reference, right], is_cut=True), (4, 0), "cut short")
        equal(ended(["xts-aes-hw", "b"], [reference, right], is_cut=True),
              (4, 1), "cut short before one")
    finally:
        selftest.say = before


@point
def little_memory():
    """A machine without memory to spare is told so."""
    read, selftest.read = selftest.read, lambda _: "MemAvailable:  1000 kB"
    try:
        selftest._check_memory()
        raise AssertionError("it goes on")
    except selftest.Problem as problem:
        assert "memory" in str(problem) and problem.code == 3
    finally:
        selftest.read = read


end()
