# SPDX-License-Identifier: GPL-2.0-only
"""What the command's doctor makes of a machine that is made up."""

import contextlib
import os
import tempfile
import types

from crypt_async import boot, doctor, move, pinned, takeover
from crypt_async.mapping import Line
from points import end, equal, point

KEY = "0123456789abcdef" * 8
PARAMS = f"aes-xts-plain64 {KEY} 0 254:0 32768 1 allow_discards"
FLAGS = ["no_read_workqueue", "no_write_workqueue", "same_cpu_crypt"]
CRYPTTAB = """\
# name source key options
home UUID=0123 none luks,discard,no-read-workqueue,no-write-workqueue
  data	/dev/vdb	/key	same-cpu-crypt,nofail
swap /dev/vdc /dev/urandom swap
short /dev/vdd
"""


@point
def dkms():
    """What doctor makes of DKMS's answers."""
    there = f"dm-crypt-async/0.1.0, {doctor.RELEASE}, x86_64: installed"
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as directory:
        for answer, advice in (
                (there, None),
                ("dm-crypt-async/0.0.9: added\n" + there, None),
                ("dm-crypt-async/0.1.0: added", "dkms install "
                 f"dm-crypt-async/0.1.0 -k {doctor.RELEASE};"),
                ("dm-crypt-async/0.1.0, 5.10.0-1, x86_64: installed",
                 "dkms install dm-crypt-async/0.1.0 -k"),
                (there.replace("installed", "built"), "dkms install"),
                ("", "install the package crypt-async-dkms")):
            with open(f"{directory}/dkms", "w", encoding="ascii") as file:
                file.write(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
            os.chmod(f"{directory}/dkms", 0o755)
            os.environ["PATH"] = f"{directory}:{path}"
            doctor._findings.clear()
            doctor._dkms()
            os.environ["PATH"] = path
            (fine, _, said), = doctor._findings
            equal(fine, advice is None, answer)
            assert fine or advice in said, f"{answer}: {said}"


@point
def headers():
    """Which package doctor names for the headers: the kernel's own, and the
    one that follows it, on whatever machine."""
    old = doctor.RELEASE
    for release, follows in (
            ("6.12.1+deb13-amd64", ", or linux-headers-amd64 for every"),
            ("6.12.1+deb13-arm64-16k", ", or linux-headers-arm64-16k for"),
            ("6.1.0-50-s390x", ", or linux-headers-s390x for every kernel"),
            ("6.12.1", "")):
        doctor.RELEASE = release
        doctor._findings.clear()
        doctor._headers()
        (_, _, said), = doctor._findings
        assert said.startswith(f"apt install linux-headers-{release}{follows}")
        equal(", or" in said, bool(follows), said)
    doctor.RELEASE = old


@point
def driver():
    """The module that doctor names for AES instructions is this machine's."""
    old = doctor.read, doctor.os
    crypto = "name : xts(aes)\ndriver : xts(ecb(aes-generic))\npriority : 100"
    for machine, flags, module in (
            ("x86_64", "flags : fpu aes avx", "aesni_intel"),
            ("aarch64", "Features : fp aes pmull", "aes_ce_blk"),
            ("aarch64", "Features : fp pmull", None),
            ("aarch64", "Features : fp aes\n", "aes_ce_blk"),
            ("s390x", "features : esan3 aes", None)):
        doctor.read = {"/proc/crypto": crypto, "/proc/cpuinfo": flags}.get
        doctor.os = types.SimpleNamespace(
            uname=lambda machine=machine: types.SimpleNamespace(
                machine=machine))
        doctor._findings.clear()
        doctor._driver()
        doctor.read, doctor.os = old
        (fine, _, said), = doctor._findings
        equal(fine, module is None, (machine, flags))
        assert fine or f"modprobe {module}, " in said, said


@point
def built_in():
    """Where dm-crypt is built in, takeover is refused and doctor says why."""
    old = vars(takeover)["LISTS"], doctor.TAKEOVER, takeover.TAKEOVER
    with tempfile.TemporaryDirectory() as directory:
        takeover.LISTS = directory
        doctor.TAKEOVER = takeover.TAKEOVER = f"{directory}/takeover.conf"
        try:
            for lines, is_there in (
                    ("kernel/drivers/md/dm-mod.ko\n", False),
                    ("kernel/drivers/md/dm-mod.ko\n"
                     "kernel/drivers/md/dm-crypt.ko\n", True)):
                with open(f"{directory}/modules.builtin", "w",
                          encoding="ascii") as file:
                    file.write(lines)
                for is_enabled in (False, True):
                    if is_enabled:
                        with open(takeover.TAKEOVER, "w",
                                  encoding="ascii") as file:
                            file.write(takeover.TEXT)
                    doctor._findings.clear()
                    doctor._targets()
                    said = [each for each in doctor._findings
                            if "built into" in each[1]]
                    equal(len(said), is_there, doctor._findings)
                    if said:
                        equal(said[0][0], not is_enabled, said)
                        assert "adopt" in said[0][1], said
                try:
                    takeover.enable()
                    raise AssertionError("enabled")
                except takeover.Problem as problem:
                    said = str(problem)
                equal("built into" in said, is_there, said)
                assert not is_there or "crypt-async adopt" in said, said
                os.unlink(takeover.TAKEOVER)
        finally:
            takeover.LISTS, doctor.TAKEOVER, takeover.TAKEOVER = old


@contextlib.contextmanager
def parameter(value):
    """obey_no_workqueue of a module that is made up."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(value + "\n")
        file.flush()
        old, pinned.OBEY = pinned.OBEY, file.name
        try:
            yield
        finally:
            pinned.OBEY = old


@point
def hints():
    """Flags without a workqueue count only where the module obeys them."""
    words = ["no-read-workqueue", "no_write_workqueue", "same-cpu-crypt"]
    for value, found in (("Y", FLAGS), ("N", FLAGS[2:])):
        with parameter(value):
            equal(pinned._known(words), found, value)
    old, pinned.OBEY = pinned.OBEY, "/nonexistent"
    equal(pinned._known(words), FLAGS[2:], "no module")
    pinned.OBEY = old


@point
@parameter("Y")
def flags():
    """Flags that keep work on one processor are found wherever they are."""
    line = Line(0, 8, "crypt", PARAMS.replace(
        "1 allow_discards", "4 allow_discards no_read_workqueue "
        "sector_size:4096 same_cpu_crypt"))
    equal(pinned.in_table([line]), [FLAGS[0], FLAGS[2]], "in a table")
    equal(pinned.in_table([Line(0, 8, "crypt", PARAMS),
                           Line(8, 8, "linear", "254:0 0")]), [], "none")
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(CRYPTTAB)
        file.flush()
        old, pinned.CRYPTTAB = pinned.CRYPTTAB, file.name
        found = list(pinned.in_crypttab())
        pinned.CRYPTTAB = "/nonexistent"
        equal(list(pinned.in_crypttab()), [], "no crypttab")
        pinned.CRYPTTAB = old
    equal(found, [("home", "/dev/disk/by-uuid/0123", FLAGS[:2]),
                  ("data", "/dev/vdb", FLAGS[2:]), ("swap", "/dev/vdc", []),
                  ("short", "/dev/vdd", [])], "in crypttab")
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/cryptsetup", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n[ \"$2\" != /no ] || { echo no >&2; "
                       "exit 1; }\necho '{\"config\": {\"flags\": "
                       "[\"allow-discards\", \"no-write-workqueue\"]}}'\n")
        os.chmod(f"{directory}/cryptsetup", 0o755)
        os.environ["PATH"] = f"{directory}:{path}"
        equal(pinned.in_header("/yes"), FLAGS[1:2], "in a header")
        equal(pinned.in_header("/no"), [], "in no header")
        os.environ["PATH"] = "/nonexistent"
        equal(pinned.in_header("/yes"), [], "no cryptsetup")
        os.environ["PATH"] = path


@point
@parameter("Y")
def flags_named():
    """doctor names them, and takes those for wrong that hold the module up."""
    class Mapping:
        """Of a volume."""
        shown, uuid = "home", "CRYPT-LUKS2-0-home"
    params = PARAMS.replace("1 allow", "2 same_cpu_crypt allow")
    old = {name: getattr(pinned, name) for name in (
        "in_crypttab", "in_header", "encrypted", "luks_path", "stands_in")}
    pinned.in_crypttab = lambda: [("home", "/dev/vdb", FLAGS[:1])]
    pinned.in_header = lambda path: {"/dev/vda": FLAGS[1:2]}.get(path, [])
    pinned.luks_path = lambda *_: "/dev/vda"
    try:
        for target, taken, wrong in (("crypt", False, 0),
                                     ("crypt-async", False, 2),
                                     ("crypt", True, 3)):
            pinned.encrypted = lambda target=target: [
                (Mapping, [Line(0, 8, target, params)])]
            pinned.stands_in = lambda taken=taken: taken
            doctor._findings.clear()
            doctor._flags()
            equal(len(doctor._findings), 3, doctor._findings)
            equal(sum(not each[0] for each in doctor._findings), wrong,
                  doctor._findings)
            for text, flag in (("table", FLAGS[2]), ("header", FLAGS[1]),
                               ("/etc/crypttab", FLAGS[0])):
                assert any(text in each[1] and flag in each[1]
                           for each in doctor._findings), doctor._findings
    finally:
        vars(pinned).update(old)


MOUNTINFO = """\
21 1 253:2 / / rw,relatime - ext4 /dev/mapper/vg-root rw
22 21 8:1 / /boot rw - ext4 /dev/sda1 rw
23 21 0:40 / /usr rw - btrfs {disk} rw
26 21 0:41 / /boot rw - fuse /dev/null rw
24 21 253:9 / /home rw - ext4 /dev/mapper/home rw
25 21 253:3 /grub /boot/grub rw shared:1 - ext4 /dev/dm-3 rw
"""


@contextlib.contextmanager
def machine():
    """A made-up one: root is on 253:2 (LVM), on 253:0 and 253:1; /usr is a
    btrfs on 253:4; /boot/grub on 253:3."""
    with tempfile.TemporaryDirectory() as directory:
        for upper, lower in (("253:2", "253:0"), ("253:2", "253:1"),
                             ("253:9", "253:8")):
            where = f"{directory}/dev/block/{upper}/slaves/dm-{lower[4:]}"
            os.makedirs(where)
            with open(f"{where}/dev", "w", encoding="ascii") as file:
                file.write(lower + "\n")
        with open(f"{directory}/mountinfo", "w", encoding="ascii") as file:
            file.write(MOUNTINFO.format(disk=f"{directory}/disk"))
        with open(f"{directory}/grub-probe", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n")
        os.chmod(f"{directory}/grub-probe", 0o755)
        old = boot.SYSFS, boot.MOUNTINFO, boot.device, os.environ["PATH"]
        boot.SYSFS, boot.MOUNTINFO = directory, f"{directory}/mountinfo"
        boot.device = lambda path: os.makedev(253, 4) \
            if path == f"{directory}/disk" else old[2](path)
        os.environ["PATH"] = f"{directory}:{old[3]}"
        try:
            yield directory
        finally:
            boot.SYSFS, boot.MOUNTINFO, boot.device, os.environ["PATH"] = old


class Volume:
    """A mapping, by its minor number."""
    shown = "v 1"

    alone, left_table = contextlib.nullcontext, bool

    def __init__(self, minor, uuid="CRYPT-LUKS2-0-v"):
        self.dev, self.uuid = os.makedev(253, minor), uuid


@point
def grub_looks():
    """What update-grub looks at is found, through LVM and btrfs."""
    with machine() as directory:
        for minor, wanted in ((0, ["/"]), (1, ["/"]), (2, ["/"]), (8, []),
                              (3, ["/boot/grub"]), (4, ["/usr"]), (5, [])):
            equal(boot.grub_paths(Volume(minor)), wanted, minor)
        equal(boot.grub_paths(Volume(0, "CRYPT-LUKS1-0-v")), [], "not LUKS2")
        equal(boot.grub_paths(Volume(0, "")), [], "of dmsetup")
        os.unlink(f"{directory}/grub-probe")
        equal(boot.grub_paths(Volume(0)), [], "no GRUB")


def grub_findings(line):
    """What doctor says of a mapping with this line."""
    old, doctor.encrypted = doctor.encrypted, lambda: [(Volume(0), [line])]
    doctor._findings.clear()
    try:
        doctor._grub()
    finally:
        doctor.encrypted = old
    return list(doctor._findings)


@point
def grub_said():
    """adopt says before anything else that update-grub will fail; doctor says
    so afterwards, and what ends it."""
    line, said = Line(0, 8, "crypt", PARAMS), []
    old = {name: getattr(move, name) for name in (
        "say", "stands_in", "_why_not", "_switch", "keep_private", "keys")}
    Volume.table = lambda self: [line]
    move.stands_in = lambda: False
    move.say = said.append
    move._why_not = lambda *_: said.append("looked")
    move._switch = lambda *_: said.append("switched") or 0.0
    move.keep_private = lambda: None
    move.keys = types.SimpleNamespace(
        table_with_keys=lambda mapping: mapping.table())
    try:
        with machine():
            move.move(Volume(0), move.Way("crypt-async"))
            at = next(at for at, text in enumerate(said)
                      if "update-grub" in text)
            assert at < said.index("switched"), said
            assert "crypt-async release 'v 1'" in said[at], said[at]
            for minor, target in ((8, "crypt-async"), (0, "crypt")):
                line = Line(0, 8, {"crypt": "crypt-async"}.get(
                    target, "crypt"), PARAMS)
                said.clear()
                move.move(Volume(minor), move.Way(target))
                assert not any("update-grub" in text for text in said), said
            for target, wrong in (("crypt-async", 1), ("crypt", 0)):
                line = Line(0, 8, target, PARAMS)
                equal(len(grub_findings(line)), wrong, target)
            (fine, text, advice), = grub_findings(
                Line(0, 8, "crypt-async", PARAMS))
            assert not fine and "update-grub" in text and "/" in text, text
            assert "crypt-async release 'v 1'" in advice, advice
    finally:
        vars(move).update(old)


end()
