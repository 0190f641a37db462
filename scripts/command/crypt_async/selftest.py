# SPDX-License-Identifier: GPL-2.0-only
"""selftest: each crypto driver of this machine, on a disk in memory, against
the generic C implementation of the same cipher."""

import contextlib
import dataclasses
import errno
import json
import os
import re
import secrets
import subprocess

from . import drivers, hardware, interrupts, leftovers
from .common import (DEVICE, MEMORY, MODULE, USAGE, Problem, is_loaded,
                     load_module, read, say)
from .exercise import MIB, exercise
from .mapping import own_target
from .vanishing import (Disk, Through, Vanishing, guarded, is_abandoned,
                        with_tags)
from .verdict import Progress, line

AREA = 4 * MIB          # of the disk that is encrypted
TAGS = 4 * MIB          # more of it, for tags and what dm-integrity has
MEMORY_NEEDED = 256     # MiB that are available
LITTLE = "tune fragment_kib=16 page_limit=1"    # taken to its reserve
SIZES = (64, 32, 48, 24, 16)    # of keys, for a cipher that is not known
GOOD = ("ok", "reference", "skipped")


@dataclasses.dataclass
class How:
    """What the user asked for."""
    drivers: list
    rounds: int = 1
    json: bool = False


@dataclasses.dataclass(frozen=True)
class Case:
    """How a driver is used."""
    unit: int
    key: int
    memory: str = "usual"


def cases(cipher):
    """Small units with each size of a key, and large ones; with little
    memory, and without that."""
    first, *others = cipher.keys
    return [Case(512, first), Case(4096, first, "little"),
            *(Case(512, size, "little") for size in others)]


class Silent(Exception):
    """A driver does not answer: nothing more can be done."""


class Trials:
    """What all trials share: the disk, the data, keys, and what the data
    looks like as the generic implementations write it."""

    def __init__(self, disk, pipe, progress):
        self.disk, self._pipe, self._progress = disk, pipe, progress
        self.plain = os.urandom(AREA)
        self._keys, self._written, self._generic = {}, {}, None

    def _lower(self, cipher, case):
        """The disk, with room for tags if the cipher has any, while it is
        used: its device number."""
        if cipher.tag:
            return with_tags(self.disk, AREA, cipher.tag, case.unit)
        return contextlib.nullcontext(self.disk.devno)

    def _mapped(self, lower, driver, cipher, case):
        key = self._keys.setdefault((cipher.name, case.key),
                                    secrets.token_hex(case.key))
        options = []
        if case.unit != 512:
            options.append(f"sector_size:{case.unit}")
        if cipher.tag:
            options.append(f"integrity:{cipher.tag}:aead")
        words = [f"capi:{driver}-plain64", key, "0", lower, "0"]
        if options:
            words += [str(len(options)), *options]
        return Vanishing([(0, AREA // 512, own_target(), " ".join(words))])

    def name_of(self, driver, cipher, key):
        """The name that the kernel has for a driver, or a cipher's best, if
        it gives it for a disk."""
        case = Case(512, key)
        with self._lower(cipher, case) as lower, \
                self._mapped(lower, driver, cipher, case) as mapped:
            return mapped.mapping().status()[0]["driver"]

    def generic(self, cipher):
        """The generic implementation; None if this kernel has none."""
        for name in drivers.generics(drivers.listed(), cipher):
            with contextlib.suppress(OSError):
                return self.name_of(name, cipher, cipher.keys[0])
        return None

    def compare_with(self, generic, cipher):
        """Have the generic implementation write the data, for all cases.
        (With tags, it reads and writes while a driver is tried.)"""
        self._generic, self._written = generic, {}
        if cipher.tag:
            return
        for case in cases(cipher):
            with self._mapped(self.disk.devno, generic, cipher,
                              case) as mapped:
                Through(mapped, AREA).fill(self.plain)
                self._written[case] = self.disk.bytes()

    def run(self, driver, cipher, case):
        """Try a driver in a case: what was done, and what was wrong."""
        with contextlib.ExitStack() as stack:
            lower = stack.enter_context(self._lower(cipher, case))
            if cipher.tag:
                disk = Through(stack.enter_context(self._mapped(
                    lower, self._generic, cipher, case)), AREA)
                wanted = self.plain
            else:
                disk, wanted = self.disk, self._written[case]
            mapped = stack.enter_context(
                self._mapped(lower, driver, cipher, case))
            if case.memory == "little":
                mapped.mapping().message(LITTLE)
            found = exercise(
                mapped, disk, self.plain, wanted, case.unit,
                seed=secrets.randbits(32), shut=[self._pipe],
                progress=self._progress)
            status = mapped.mapping().status()[0]
        return {**dataclasses.asdict(case), **found, "counters": {
            name: status.get(name, 0) for name in hardware.COUNTERS}}


# --- which drivers --------------------------------------------------------

def _derived(entries, cipher):
    """A mode made by a template of the drivers of ecb, of those modules that
    have no such mode of their own."""
    match = re.fullmatch(r"(xts|lrw)\((.*)\)", cipher.name)
    if not match:
        return []
    mode, inner = match.groups()
    own = {entry.module for entry in drivers.of_cipher(entries, cipher)
           if "(" not in entry.driver}
    ecb = drivers.Cipher(f"ecb({inner})", (), ())
    return [f"{mode}({entry.driver})"
            for entry in drivers.of_cipher(entries, ecb)
            if entry.module not in own]


def candidates(entries, cipher, generic, wanted, with_cryptd):
    """The names of a cipher's drivers to be tried, those that were asked for
    or all but the generic one."""
    found = [entry.driver for entry in drivers.of_cipher(entries, cipher)]
    found += _derived(entries, cipher)
    if with_cryptd and not any(map(_is_cryptd, found)):
        found.append(f"cryptd({generic})")
    return [name for name in dict.fromkeys(found)
            if name != generic and (not wanted or name in wanted)]


def _is_cryptd(driver):
    return driver.startswith("cryptd(")


def _cipher_of(trials, driver):
    """The cipher of a driver that the user named. The kernel makes what has
    brackets in its name when it is asked for it."""
    for size, tag in ((0, 0), *((size, 0) for size in SIZES), (32, 16),
                      (16, 16)):
        if size:
            any_cipher = drivers.Cipher("", (size,), (), tag)
            with contextlib.suppress(OSError):
                trials.name_of(driver, any_cipher, size)
        entry = drivers.named(drivers.listed(), driver)
        if entry:
            break
    else:
        raise Problem(f"{driver}: this kernel has no such driver for a disk: "
                      "/proc/crypto has names", USAGE)
    for cipher in drivers.CIPHERS:
        if cipher.name == entry.cipher:
            return cipher
    raise Problem(f"{driver} is of {entry.name}, which is not tried: "
                  + ", ".join(c.name for c in drivers.CIPHERS) + " are",
                  USAGE)


# --- trying them ----------------------------------------------------------

def _refused(error):
    """Why the kernel does not take a driver for a disk."""
    if error.errno == errno.ENOENT:
        return ("the Crypto API does not give it for disks (it may allocate "
                "memory for each request), or has it no more")
    return f"refused: {getattr(error, 'said', error.strerror)}"


def _describe(name, cipher, result, **more):
    """A driver's part of the report."""
    entry = drivers.named(drivers.listed(), name) \
        or drivers.Driver(cipher.name, name)
    return {"driver": name, "cipher": cipher.name, "module": entry.module,
            "async": entry.is_async, "priority": entry.priority,
            "kernel_selftest": entry.selftest, "result": result,
            "cases": [], **more}


def _not_taken(case, error):
    """What came of a case that the kernel refuses, of a driver that it took
    for others."""
    return {**dataclasses.asdict(case), "ended": True, "ios": 0, "bytes": 0,
            "overtaken": 0, "counters": dict.fromkeys(hardware.COUNTERS, 0),
            "trouble": {"kind": "failed", "at": 0, "what": "table",
                        "error": _refused(error)}}


def _try(trials, name, cipher, rounds):
    """Try a driver in all cases, until something is wrong."""
    done, result = [], "ok"
    for case in cases(cipher) * rounds:
        try:
            found = trials.run(name, cipher, case)
        except OSError as error:
            if not done:
                return _describe(name, cipher, "skipped",
                                 why=_refused(error))
            found = _not_taken(case, error)
        ended = found.pop("ended")
        done.append(found)
        trouble = found.pop("trouble")
        if not trouble and found["counters"]["state_errors"]:
            trouble = {"kind": "failed", "at": 0, "what": "test",
                       "error": "the module found its own state wrong"}
        if trouble:
            result = trouble["kind"]
            found["trouble"] = trouble
            break
    described = _describe(name, cipher, result, cases=done)
    if not ended:
        raise Silent(described)
    return described


def _try_cipher(trials, cipher, how, with_cryptd):
    """Yield what came of each driver of a cipher."""
    try:
        trials.name_of(cipher.name, cipher, cipher.keys[0])
    except OSError as error:
        yield {"cipher": cipher.name, "why": "this kernel has none"
               if error.errno == errno.ENOENT else _refused(error)}
        return
    generic = trials.generic(cipher)
    if not generic:
        yield {"cipher": cipher.name, "why":
               "this kernel has no generic implementation to compare with"}
        return
    try:
        trials.compare_with(generic, cipher)
    except OSError as error:
        yield {"cipher": cipher.name, "why":
               f"{generic}, to compare with: {_refused(error)}"}
        return
    yield _describe(generic, cipher, "reference")
    names = candidates(drivers.listed(), cipher, generic, how.drivers,
                       with_cryptd)
    for name in names:
        yield _try(trials, name, cipher, how.rounds)


# --- all of it ------------------------------------------------------------

def _check_memory():
    match = re.search(r"^MemAvailable:\s+(\d+)", read("/proc/meminfo") or "",
                      re.MULTILINE)
    if match and int(match[1]) >> 10 < MEMORY_NEEDED:
        raise Problem(f"less than {MEMORY_NEEDED} MiB of memory are "
                      "available: end something else first", MEMORY)


@contextlib.contextmanager
def _modules():
    """Those that were loaded for this and that nobody uses now are unloaded,
    with those that they alone use; the kernel's ciphers stay, as after any
    use of them."""
    loaded = [name for name in (MODULE, "dm_integrity", "loop")
              if not is_loaded(name)]
    try:
        load_module()
        yield
    finally:
        for name in filter(is_loaded, loaded):
            subprocess.run(["modprobe", "-r", "-q", name], check=False,
                           stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def _trials(progress):
    """The trials, with a disk and a guard for as long as they take."""
    with guarded() as pipe:
        disk = Disk(AREA, TAGS)
        try:
            yield Trials(disk, pipe, progress)
        finally:
            disk.close()


def _all(how, trials, progress, tell):
    """Try everything; what came of it is told, one after the other."""
    ciphers = drivers.CIPHERS
    if how.drivers:
        named = [_cipher_of(trials, name) for name in how.drivers]
        ciphers = [cipher for cipher in ciphers if cipher in named]
    for number, cipher in enumerate(ciphers):
        progress.what = f"{cipher.name}, {number + 1} of {len(ciphers)}"
        progress()
        for found in _try_cipher(trials, cipher, how,
                                 not number and not how.drivers):
            tell(found)


def _missed(how, tried):
    """Yield a sentence for each driver that was named and not tried."""
    for name in dict.fromkeys(how.drivers):
        found = [each for each in tried if each["driver"] == name]
        if any(each["result"] == "reference" for each in found):
            yield (f"{name} is not tried: it is what the others are compared "
                   "with")
        elif not any(each["cases"] for each in found):
            yield f"{name} was not tried"


def _end(how, found, is_cut):
    """Print the report, or a last line; return the exit status. `is_cut`: the
    run ended before every driver was tried."""
    tried = [each for each in found if "driver" in each]
    is_bad = is_cut or any(each["result"] not in GOOD for each in tried)
    for text in _missed(how, tried):
        say(text)
        is_bad = True
    if how.json:
        print(json.dumps(hardware.report(found, AREA, how.rounds), indent=1))
    elif not is_bad:
        count = sum(each["result"] == "ok" for each in tried)
        print(f"{count} drivers wrote and read what the generic ones do; not "
              f"tried: {', '.join(hardware.NOT_TRIED)}")
    return DEVICE if is_bad else 0


def selftest(how):
    """crypt-async selftest"""
    if how.rounds < 1:
        raise Problem("at least 1 round", USAGE)
    interrupts.clean_up_first()
    _check_memory()
    found, progress, is_cut = [], Progress(), False

    def tell(each):
        found.append(each)
        progress.clear()
        if not how.json:
            print(line(each), flush=True)

    with _modules():
        if left := leftovers.remove():
            say(f"removed {left} mappings that an earlier run left")
        try:
            with _trials(progress) as trials:
                _all(how, trials, progress, tell)
        except Silent as silent:
            tell(silent.args[0])
            is_cut = True
            say("the process that tried this driver does not end: the rest "
                "was not tried")
        finally:
            progress.clear()
            if is_abandoned():
                say("what is left goes away when the driver answers, or with "
                    "the next boot")
    return _end(how, found, is_cut)
