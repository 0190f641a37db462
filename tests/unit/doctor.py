# SPDX-License-Identifier: GPL-2.0-only
"""What the command's doctor makes of a machine that is made up."""

import os
import tempfile

from crypt_async import doctor, pinned, takeover
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


@point
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


end()
