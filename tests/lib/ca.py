# SPDX-License-Identifier: GPL-2.0-only
"""What every guest-side test of crypt-async shares.

A test file declares its test points with the decorator `test`, and ends with
`main()`, which loads the module, runs the points in order, prints TAP, takes
down every device that is left and looks at the kernel's log:

    @ca.test("a device can be read")
    def readable():
        with ca.Loop(ca.MIB) as lower:
            ...
            ca.equal(disk.read(0, 512), bytes(512), "the first sector")

    if __name__ == "__main__":
        ca.main()

A point passes when it checked something (`check`, `equal`, `same`, `fails`)
and raised nothing. Everything random comes from one seed, printed at the
start: CA_SEED=n repeats a run, with CA_TURN=n if there is a share() in it.
tests/run sets both by the commit; by hand each run has another seed.
CA_TARGET=crypt runs the file against dm-crypt, which shows whether a failure
is the module's or the test's. CA_FAULTS=n has n of 1000 allocations of the
module fail, on a kernel with fault injection: a table or message that is
refused for that is tried again, and a point ends where a program says that it
got no memory.
Arguments select test points by a part of their description.
"""

import contextlib
import errno as errno_names
import os
import random
import shlex
import signal
import subprocess
import sys
import time
import traceback

import dm as mappings
import faults
from blockio import Disk
from calls import call
from dm import Mapping, list_versions
from klog import KernelLog
from reference import encrypt, decrypt, iv_numbers
from scratch import (Loop, NullBlk, cleanup, end_udev, has_udev, modprobe,
                     module_loaded)

__all__ = ["Disk", "KernelLog", "Loop", "Mapping", "NullBlk", "check",
           "decrypt", "diag", "encrypt", "end_udev", "equal", "fails",
           "iv_numbers", "klog_mark", "klog_since", "list_versions", "main",
           "modprobe", "module_loaded", "same", "skip", "test"]

KIB = 1 << 10
MIB = 1 << 20
SECTOR = 512

CRYPT_ASYNC, DM_CRYPT = "crypt-async", "crypt"          # targets
TARGET = os.environ.get("CA_TARGET", CRYPT_ASYNC)       # the one to test
MODULE = "dm_crypt_async" if TARGET != DM_CRYPT else "dm_crypt"
MODULE_FILE = os.environ.get("CA_MODULE", "/vm/modules/dm_crypt_async.ko")
PARAMETERS = f"/sys/module/{MODULE}/parameters"
RELEASE = os.environ.get("RELEASE", "trixie")
RELEASES = ("bookworm", "trixie", "trixie-backports")           # see share()

seed = int(os.environ.get("CA_SEED") or int.from_bytes(os.urandom(4)))
rng = random.Random(seed)
permille = int(os.environ.get("CA_FAULTS") or 0)
klog = None
_tests = []
_checks = 0


class Failed(Exception):
    """A check that did not hold."""


class NoMemory(Exception):
    """A test point that ended early, see CA_FAULTS."""


class Skip(Exception):
    """A test point that cannot run here, with the reason."""


# --- declaring and checking -----------------------------------------------

def test(description, cases=(None,), parts=1):
    """Declare a test point, or one for each of cases (passed as argument).

    In a run of everything the three releases share out the points of a file
    that have three parts: each runs on one of them. Of those with six, half
    are run, each on one, of those with twelve a quarter; with the next
    CA_TURN= others are.
    """
    assert parts in (1, 3, 6, 12)

    def declare(function):
        for case in cases:
            _tests.append((description, case, function, parts))
        return function
    return declare


def klog_mark():
    """The present end of the kernel's log."""
    return klog.mark()


def klog_since(mark):
    """The lines logged after a mark."""
    return klog.since(mark)


@contextlib.contextmanager
def expect_warning(words):
    """The kernel warns once meanwhile, with these words, and so it should:
    neither this test nor the guest fails for it."""
    mark = klog.mark()
    _log("a warning is expected from here on")
    try:
        yield
        lines = klog.since(mark)
        warnings = [line for line in lines if "WARNING:" in line]
        equal(len(warnings), 1, f"warnings: {warnings}")
        check(any(words in line for line in lines),
              f"the log has no {words!r}")
        klog.forget_trace(mark)
    finally:
        _log("no warning is expected any more")


def _log(text):
    with open("/dev/kmsg", "w", encoding="ascii") as log:
        print("crypt-async tests:", text, file=log)


def skip(reason):
    """Leave this test point out, and say why."""
    raise Skip(reason)


def diag(text):
    """Print a TAP comment."""
    for line in str(text).splitlines() or [""]:
        print("#", line)
    sys.stdout.flush()


def check(condition, what):
    """Fail unless condition holds."""
    global _checks
    _checks += 1
    if not condition:
        raise Failed(what)


def equal(got, want, what):
    """Fail unless got == want."""
    check(got == want, f"{what}: got {got!r}, expected {want!r}")


def same(got, want, what):
    """Fail unless two byte strings are equal; name the first difference."""
    if len(got) == len(want) and bytes(got) == bytes(want):
        check(True, what)
        return
    equal(len(got), len(want), f"{what}: length")
    differ = [i for i in range(0, len(want), SECTOR)
              if got[i:i + SECTOR] != want[i:i + SECTOR]]
    at = differ[0]
    check(False,
          f"{what}: {len(differ)} of {-(-len(want) // SECTOR)} sectors differ,"
          f" first at byte {at}, last at byte {differ[-1]}\n"
          f"  got      {bytes(got[at:at + 32]).hex()}\n"
          f"  expected {bytes(want[at:at + 32]).hex()}")


def wait_until(condition, what, seconds=60):
    """Wait until condition() holds, for no longer than so many seconds."""
    end = time.monotonic() + seconds
    while True:
        is_late = time.monotonic() >= end       # before the last look
        if condition():
            break
        check(not is_late, what)
        time.sleep(0.02)
    check(True, what)


def fails(number, what, function, *args, **kwargs):
    """Fail unless the call raises an OSError with this errno (or one of a
    tuple of them). Returns the exception."""
    wanted = number if isinstance(number, tuple) else (number,)
    names = "/".join(errno_names.errorcode[n] for n in wanted)
    try:
        result = function(*args, **kwargs)
    except OSError as error:
        name = errno_names.errorcode.get(error.errno, error.errno)
        check(error.errno in wanted, f"{what}: {name} instead of {names}")
        return error
    check(False, f"{what}: gave {result!r} instead of {names}")
    return None


# --- random input ---------------------------------------------------------

def data(length):
    """Random bytes, the same for the same seed and test point."""
    return rng.randbytes(length)


def share(values, *case, parts=3):
    """What this release has of a long product, in a mixture that case changes:
    the three have all of it, half of it if there are six parts, a quarter of
    twelve, an eighth of 24, and other parts with the next CA_TURN=. With
    CA_ALL=1 each has the whole."""
    values = list(values)
    if "CA_ALL" in os.environ:
        return values
    random.Random(repr(case)).shuffle(values)
    turn = int(os.environ.get("CA_TURN") or 0)
    if RELEASE in RELEASES:
        turn += RELEASES.index(RELEASE) * parts // len(RELEASES)
    return values[turn % parts::parts]


def key(length):
    """A random key of this many bytes, in hexadecimal.

    No byte is zero and no two neighbours are equal, so that a part of it in a
    log cannot be anything else.
    """
    out, last = bytearray(), 0
    while len(out) < length:
        for byte in rng.randbytes(length + 8):
            if byte not in (0, last):
                out.append(byte)
                last = byte
    return out[:length].hex()


def split(length, unit, max_size=None):
    """Cut [0, length) in random pieces, multiples of unit: (start, size)."""
    max_size = (max_size or length) // unit
    start = 0
    while start < length:
        size = min(rng.randint(1, max_size) * unit, length - start)
        yield start, size
        start += size


# --- the table line -------------------------------------------------------

def crypt_params(cipher, hexkey, device, *, iv_offset=0, offset=0, options=()):
    """The arguments of a crypt or crypt-async table line."""
    words = [cipher, hexkey, str(iv_offset), str(device), str(offset)]
    if options:
        words += [str(len(options)), *options]
    return " ".join(words)


def unit_options(unit, large=False):
    """The options that select a unit size and how IVs count."""
    options = [] if unit == SECTOR else [f"sector_size:{unit}"]
    return options + (["iv_large_sectors"] if large else [])


# --- the module -----------------------------------------------------------

def load_module(parameters=""):
    """Load the module under test, as insmod would."""
    if TARGET == DM_CRYPT:
        modprobe("dm-crypt")
        return
    modprobe("dm-mod")
    load_file(MODULE_FILE, parameters)
    if permille:
        faults.follow()


def only_ours():
    """For a file that cannot run against dm-crypt."""
    if TARGET == DM_CRYPT:
        print("1..0 # SKIP dm-crypt has nothing of this")
        sys.exit(0)


def load_file(path, parameters=""):
    """Load a module from a file."""
    with open(path, "rb") as file:
        call("finit_module", file.fileno(), parameters.encode(), 0)


def delete_module(name):
    """Unload a module; EAGAIN when something uses it."""
    call("delete_module", name.encode(), os.O_NONBLOCK)


def unload_module():
    """Unload the module under test; EAGAIN when something uses it."""
    delete_module(MODULE)


def module_references():
    """How many users the module has."""
    with open(f"/sys/module/{MODULE}/refcnt", encoding="ascii") as file:
        return int(file.read())


def get_parameter(name):
    """The value of a module parameter."""
    with open(f"{PARAMETERS}/{name}", encoding="ascii") as file:
        return file.read().strip()


def set_parameter(name, value):
    """Set a module parameter at run time."""
    with open(f"{PARAMETERS}/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


@contextlib.contextmanager
def parameters(**values):
    """Set module parameters for a while; dm-crypt has none."""
    if TARGET == DM_CRYPT:
        values = {}
    before = {name: get_parameter(name) for name in values}
    for name, value in values.items():
        set_parameter(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            set_parameter(name, value)


def kernel():
    """The running kernel's version, as (major, minor)."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor.split("-")[0])


def dm_crypt_version():
    """The version of dm-crypt, as (major, minor, patch)."""
    modprobe("dm-crypt")
    return list_versions()[DM_CRYPT]


# --- running --------------------------------------------------------------

def how_to_repeat(*arguments):
    """The command for the host that repeats this run, with the program's
    arguments if others are given."""
    settings = {name: value for name, value in os.environ.items()
                if name.startswith("CA_")} | {"CA_SEED": seed}
    smp = [] if os.cpu_count() == 2 else ["--smp", str(os.cpu_count())]
    return "to repeat: " + shlex.join([
        "scripts/lab/vm", "--release", RELEASE, *smp, "--", "env",
        *(f"{name}={value}" for name, value in sorted(settings.items())),
        sys.argv[0], *map(str, arguments or sys.argv[1:])])


def _describe(description, case):
    if case is None:
        return description
    words = case if isinstance(case, tuple) else (case,)
    return f"{description}: {', '.join(str(word) for word in words)}"


def _reason(error):
    if isinstance(error, Failed):
        where = traceback.extract_tb(error.__traceback__)
        outside = [f for f in where if not f.filename.endswith("lib/ca.py")]
        return f"{error}\n  at " + "\n  at ".join(
            f"line {f.lineno}: {f.line}" for f in outside[-2:])
    return "".join(traceback.format_exception(error)).rstrip()


def _run_one(case, function):
    """Run a test point and take down what it left. Returns what failed."""
    global _checks
    _checks = 0
    mark, ended_early = klog.mark(), None
    try:
        with _faults():
            function(*([] if case is None else [case]))
        if not _checks:
            raise Failed("nothing was checked")
    except NoMemory as error:
        ended_early = error
    finally:
        cleanup()
    alarms = klog.alarms(mark)
    if alarms:
        raise Failed("the kernel's log has:\n  " + "\n  ".join(alarms))
    if ended_early:
        raise ended_early


@contextlib.contextmanager
def _faults():
    """Have the module's allocations fail, if CA_FAULTS says so. That this is
    why something was refused is not for the test to judge."""
    if not permille:
        yield
        return
    faults.inject(permille)
    mappings.patient = True
    try:
        yield
    except Exception as error:
        if not _is_no_memory(error):
            raise
        raise NoMemory from error
    finally:
        mappings.patient = False
        failed = faults.inject(0)
        diag(f"{failed} allocations failed")


def _is_no_memory(error):
    if isinstance(error, OSError):
        return error.errno == errno_names.ENOMEM
    # As equal(), fails(), commands and the command's own code have it; not
    # where ENOMEM was expected.
    return any(words in str(error)
               for words in ("got 'ENOMEM'", "ENOMEM instead of",
                             os.strerror(errno_names.ENOMEM)))


def _result(number, description, run):
    """Run one point, print its line. Returns True if it did not fail."""
    start = time.monotonic()
    try:
        run()
    except Skip as reason:
        print(f"ok {number} - {description} # SKIP {reason}", flush=True)
        return True
    except NoMemory as end:
        print(f"ok {number} - {description} # ended early, no memory: "
              f"{str(end.__cause__).splitlines()[0]}", flush=True)
        return True
    except (Exception, KeyboardInterrupt) as error:
        print(f"not ok {number} - {description}", flush=True)
        diag(_reason(error))
        if isinstance(error, KeyboardInterrupt):
            raise
        return False
    print(f"ok {number} - {description}", flush=True)
    if time.monotonic() - start > 5:
        diag(f"{time.monotonic() - start:.0f} s")
    return True


def _module_released():
    """The last point of each file: nothing of it is left in the kernel."""
    cleanup()
    if module_loaded(MODULE):
        equal(module_references(), 0, "users of the module")
        if TARGET != DM_CRYPT:
            unload_module()
    check(not module_loaded(MODULE) or TARGET == DM_CRYPT,
          "the module is gone")


def _selected():
    words = sys.argv[1:]
    chosen = list(_tests)
    if "CA_SHARED" in os.environ and RELEASE in RELEASES:
        others = set()
        for parts in (3, 6, 12):
            shared = [at for at, point in enumerate(_tests)
                      if point[3] == parts]
            mine = share(shared, os.path.basename(sys.argv[0]), parts=parts)
            others |= set(shared) - set(mine)
        chosen = [point for at, point in enumerate(_tests)
                  if at not in others]
        if others:
            diag(f"{len(others)} points are left to other releases and runs")
    for description, case, function, _ in chosen:
        name = _describe(description, case)
        if not words or any(word in name for word in words):
            yield name, case, function


def _stop(_signal, _frame):
    raise KeyboardInterrupt


def main(load=True, udev=False):
    """Run the file's test points, print TAP, exit 0 if none failed. udev is
    for tests of its rules, in a guest in which no others ran before."""
    global klog, rng
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGTERM, _stop)
    klog = KernelLog()
    diag(f"{TARGET} on {os.uname().release}, CA_SEED={seed}")
    failed = number = 0
    if not udev:
        end_udev()
    elif not has_udev():
        raise Failed("udev has been ended in this guest")
    if load:
        load_module()
    try:
        for name, case, function in _selected():
            number += 1
            rng = random.Random(f"{seed} {name}")
            failed += not _result(
                number, name, lambda c=case, f=function: _run_one(c, f))
    except KeyboardInterrupt:   # the next file is to find nothing of it
        with contextlib.suppress(Exception):
            _module_released()
        raise
    number += 1
    failed += not _result(
        number, "nothing is left behind, the kernel's log is clean",
        lambda: _run_one(None, _module_released))
    print(f"1..{number}", flush=True)
    if failed and "CA_SEED" not in os.environ:      # so nobody else tells
        diag(how_to_repeat())
    sys.exit(1 if failed else 0)


def run(*command, fail=True, **kwargs):
    """Run a program; its output as text. Forks are slow in a guest."""
    done = subprocess.run([str(word) for word in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **kwargs)
    if fail and done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: exit status "
                     f"{done.returncode}\n{done.stdout}")
    return done
