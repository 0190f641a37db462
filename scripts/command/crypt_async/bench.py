# SPDX-License-Identifier: GPL-2.0-only
"""bench: the lower device, dm-crypt and crypt-async beside each other, on this
machine. What is measured and how it is reduced is `make bench`'s."""

import contextlib
import dataclasses
import errno
import json
import os
import random
import secrets
import shlex
import shutil
import stat
import sys
import threading
import time

from . import bench_report, hardware, interrupts, ioctl, leftovers, verify
from .bench_report import MAPPED, MIN_SIZE
from .common import (BUSY, MODULE, USAGE, Problem, is_loaded,
                     load_module, run, say)
from .mapping import Kernel, Mapping, stands_in
from .measure import page, table
from .measure.cells import CIPHERS, DEFAULT, DEFINED, MIB, RAW
from .measure.fio import in_lots, run_fio
from .measure.reduce import by_kernel
from .ramdisk import ram_disk, unload
from .temporary import BENCH, name_for, temporary

CIPHER = CIPHERS["aes-xts"]
PER_RUN = 0.3               # seconds between runs: fio starts and ends a job


@dataclasses.dataclass
class How:
    """What the user asked for."""
    device: str | None
    write: bool = False
    destroy: bool = False
    seconds: float = 0.5
    rounds: int = 5
    unit: int = 4096
    report: str = "crypt-async-bench.html"
    json: bool = False

    @property
    def cells(self):
        """The kinds of work, as they are on this machine."""
        name = os.path.basename(os.path.realpath(self.device or "RAM disk"))
        return [dataclasses.replace(cell, device=name, unit=self.unit,
                                    cpus=os.cpu_count())
                for cell in bench_report.work(self.write)]

    @property
    def expected(self):
        """The seconds that a round takes."""
        return (len(self.cells) * (len(MAPPED) + 1)
                * (self.seconds + PER_RUN))


# --- may it be done? ------------------------------------------------------

def _check(how):
    """Refuse before anything is loaded or measured."""
    if not shutil.which("fio"):
        raise Problem("fio is not installed: apt install fio", USAGE)
    if stands_in():
        raise Problem("the target crypt is this module here, so that there "
                      "is no dm-crypt to compare with: crypt-async "
                      "takeover --undo", USAGE)
    if how.seconds <= 0 or how.rounds < 1 or \
            how.unit not in bench_report.UNITS:
        raise Problem("more than 0 seconds, at least 1 round, and "
                      "--sector-size 512 or 4096", USAGE)
    where = os.path.dirname(os.path.abspath(how.report))
    if not os.access(where, os.W_OK) or os.path.isdir(how.report):
        raise Problem(f"{how.report} cannot be written: use --report FILE",
                      USAGE)
    if how.device:
        _check_device(how)


def _check_device(how):
    """It is a disk that nobody uses, and nothing on it is needed if it will
    be written to."""
    device = how.device
    if how.write and not how.destroy:
        raise Problem(f"--write destroys what is on {device}: add "
                      "--destroy-data if nothing of it is needed",
                      USAGE)
    if not stat.S_ISBLK(os.stat(device).st_mode):
        raise Problem(f"{device} is not a block device: losetup makes one of "
                      "a file")
    mode = os.O_RDWR if how.write else os.O_RDONLY
    try:
        file = os.open(device, mode | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise Problem(f"{device} is in use: mounted, open as a mapping, or "
                      "part of something else; lsblk shows what it is",
                      BUSY) from None
    size = os.lseek(file, 0, os.SEEK_END)
    os.close(file)
    if size < MIN_SIZE:
        raise Problem(f"{device} is smaller than {MIN_SIZE // MIB} MiB")
    if how.write:
        found = run("wipefs", "--no-act", "--noheadings", "--output", "TYPE",
                    device).split()
        if found:
            raise Problem(f"{device} holds {', '.join(found)}: if that is "
                          f"not needed, run wipefs --all {device} before")


# --- what it is done on ---------------------------------------------------

@contextlib.contextmanager
def _targets():
    """Both targets are there; who loaded them unloads them."""
    loaded = [name for name in (MODULE, "dm_crypt") if not is_loaded(name)]
    try:
        load_module()
        if DEFAULT not in ioctl.versions():
            run("modprobe", "dm-crypt")
        yield
    finally:
        for name in loaded:
            unload(name)


def _size(device):
    """Of a device, as far as it is used here."""
    with open(device, "rb") as file:
        return file.seek(0, os.SEEK_END) // MIB * MIB


def _sysfs(device):
    """Its directory there."""
    dev = os.stat(device).st_rdev
    return os.path.realpath(
        f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}")


def _table(name, device, unit, key):
    """The table of a contestant."""
    target, options = DEFINED[name]
    if unit != 512:
        options = [*options, f"sector_size:{unit}"]
    dev = os.stat(device).st_rdev
    words = [CIPHER.table, key, "0", f"{os.major(dev)}:{os.minor(dev)}", "0"]
    if options:
        words += [str(len(options)), *options]
    return [(0, _size(device) // 512, target, " ".join(words))]


@contextlib.contextmanager
def _contestants(how, device):
    """Map each contestant on the device, with one random key. Yield {name:
    path}, and the name of the crypto driver."""
    key = secrets.token_hex(CIPHER.key)
    tables = {name: _table(name, device, how.unit, key) for name in MAPPED}
    paths, kernel = {RAW: device}, Kernel()
    with contextlib.ExitStack() as stack:
        for number, (name, lines) in enumerate(tables.items()):
            mapped = name_for(BENCH, number)
            try:
                dev = stack.enter_context(temporary(
                    mapped, lines, readonly=not how.write))
            except OSError as error:
                raise Problem(f"{name} on {device}: {kernel.said()} "
                              f"({error.strerror})") from None
            paths[name] = f"/dev/dm-{os.minor(dev)}"
        crypt_async = Mapping(mapped)
        verify.same_data(crypt_async, tables[DEFAULT])
        yield paths, crypt_async.status()[0]["driver"]


# --- measuring ------------------------------------------------------------

class Progress:
    """A line for each round; on a terminal one line, with a bar that moves by
    the time that is expected."""

    _WIDTH = 30

    def __init__(self, how):
        self.rounds, self.expected = how.rounds, how.expected
        self.number, self.began = 0, time.monotonic()
        self._stop = threading.Event()
        self._thread = None
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._draw, daemon=True)

    def begin(self, number):
        """A round."""
        self.number, self.began = number, time.monotonic()
        if not self._thread:
            left = (self.rounds - number) * self.expected
            say(f"round {number + 1} of {self.rounds}; {left:.0f} s to go")
        elif not number:
            self._thread.start()

    def _draw(self):
        while not self._stop.wait(0.2):
            here = min((time.monotonic() - self.began) / self.expected, 1)
            done = (self.number + here) / self.rounds
            bar = "#" * int(done * self._WIDTH)
            left = (1 - done) * self.rounds * self.expected
            print(f"\r[{bar:{self._WIDTH}}] round {self.number + 1} of "
                  f"{self.rounds}, {left:3.0f} s to go ", end="",
                  file=sys.stderr, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._stop.set()
        if self._thread and self._thread.is_alive():
            self._thread.join()
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _measure(how, device, paths):
    """The figures of each cell, a round at a time. All cells are on the same
    device, so that the work is enough as a name."""
    cells, size = how.cells, _size(device)
    found = {cell: {"name": cell.work_name, "stack": cell.stack_name,
                    "work": cell.work_name, "ways": cell.ways,
                    "size": cell.size, "cipher_ns": [],
                    "rates": {name: [] for name in paths}} for cell in cells}
    options = [] if how.write else ["--readonly"]
    with Progress(how) as progress:
        for number in range(how.rounds):
            interrupts.check()
            progress.begin(number)
            order = in_lots(cells, paths)
            rates = run_fio([(cell, paths[name]) for cell, name in order],
                            how.seconds, size, options)
            for (cell, name), rate in zip(order, rates):
                if not rate:
                    raise Problem(f"{cell.work_name} on {name} did nothing in "
                                  f"{how.seconds} s: give it more --seconds")
                found[cell]["rates"][name].append(rate)
    return list(found.values())


def _told(how, device, facts, **measured):
    """What make bench has of a guest, of this machine, for the page; and what
    the report has of it."""
    words = "with writes" if how.write else "reads only: nothing was written"
    kind = (bench_report.kind(_sysfs(device)) if how.device
            else bench_report.RAM_DISK)
    return {"name": how.device or kind, "kernel": facts["kernel"],
            "release": "", "cpus": facts["cpus"], "form": "bench",
            "emulated": "TCG" in facts["cpu"],
            "rounds": how.rounds, "seconds": how.seconds,
            "command": shlex.join(sys.argv), "commit": facts["module"],
            "date": facts["date"], "notes": [words],
            "device": kind, "mib": _size(device) // MIB, "unit": how.unit,
            "writes": how.write, **measured}


def _show(how, facts, boot):
    """The table or the report, and the page."""
    kernels = by_kernel([boot])
    with open(how.report + ".new", "w", encoding="utf-8") as file:
        file.write(page.page(kernels, [boot]))
    os.replace(how.report + ".new", how.report)
    if how.json:
        print(json.dumps(bench_report.report(facts, boot, kernels[0]),
                         indent=1))
    else:
        print(f"Linux {boot['kernel']}, {boot['driver']}; {how.rounds} "
              f"rounds of {how.seconds} s")
        table.print_cells(kernels[0]["cells"])
        table.print_summary(kernels[0]["summary"])
    say(f"{how.report} shows it"
        + ("" if how.write else "; only reads were measured"))


def bench(how):
    """crypt-async bench"""
    _check(how)
    leftovers.remove()
    seed = random.randrange(bench_report.SEEDS)
    random.seed(seed)
    lower = contextlib.nullcontext(how.device) if how.device else ram_disk()
    with _targets(), lower as device, \
            _contestants(how, device) as (paths, driver):
        cells = _measure(how, device, paths)
        facts = hardware.facts(bench_report.TOOL, bench_report.SCHEMA)
        told = _told(how, device, facts, seed=seed, driver=driver,
                     cells=cells)
    _show(how, facts, told)
    return 0
