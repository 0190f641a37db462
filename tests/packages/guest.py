# SPDX-License-Identifier: GPL-2.0-only
"""In a guest whose root has the packages installed: the module that DKMS built
and signed is loaded and used, settings come back by udev's rule, doctor is
content, the package's autopkgtests pass, and a kernel that
wants known signatures refuses the module.

usage: guest.py VERSION SIGNER
"""

import os
import re
import subprocess
import sys
import tempfile
import threading

import ca
import takeover

VERSION, SIGNER = sys.argv[1:]
del sys.argv[1:]
os.environ.pop("CRYPT_ASYNC_PRELOAD", None)     # the checkout's
NAME = "ca-package"
SIZE = 4 * ca.MIB


def crypt_async(*words, code=0):
    """The installed command; what it says."""
    done = ca.run("/usr/sbin/crypt-async", *words, fail=False)
    ca.equal(done.returncode, code, f"{words}: {done.stdout}")
    return done.stdout


def setting():
    """What the mapping has for inline_kib."""
    return re.search(r"inline_kib=(\d+)",
                     ca.run("dmsetup", "status", NAME).stdout)[1]


def create(target, *options):
    """Make the mapping as anybody would, and let udev's rules run."""
    lower = ca.Loop(SIZE)
    params = ca.crypt_params("aes-xts-plain64", ca.key(64), lower)
    ca.run("dmsetup", "create", NAME, *options, "--table",
           f"0 {SIZE // ca.SECTOR} {target} {params}")
    ca.run("udevadm", "settle", "-t", "30")


def remove():
    """Remove it."""
    ca.run("dmsetup", "remove", "--retry", NAME)


@ca.test("modprobe finds the module, which is what DKMS built and signed")
def module():
    ca.run("modprobe", "dm-crypt-async")
    with open("/sys/module/dm_crypt_async/version", encoding="ascii") as file:
        ca.equal(file.read().strip(), VERSION, "its version")
    ca.check("/updates/dkms/" in ca.run("modinfo", "-F", "filename",
                                        ca.MODULE).stdout, "where it is")
    ca.equal(ca.run("modinfo", "-F", "signer", ca.MODULE).stdout.strip(),
             SIGNER, "who signed it")


@ca.test("the command moves a mapping, which gets the settings it has kept")
def command():
    os.makedirs("/etc/crypt-async", exist_ok=True)
    with open("/etc/crypt-async/tune.conf", "w", encoding="ascii") as file:
        file.write(f"{NAME} inline_kib=8\n")
    ca.modprobe("dm-crypt")
    create(ca.DM_CRYPT, "--uuid", "CRYPT-PLAIN-package")
    try:
        with ca.Disk(f"/dev/mapper/{NAME}") as disk:
            disk.write(0, text := ca.data(ca.MIB))
        for words, target in (("adopt", ca.TARGET), ("release", ca.DM_CRYPT)):
            crypt_async(words, NAME)
            ca.run("udevadm", "settle", "-t", "30")
            ca.equal(ca.run("dmsetup", "table", NAME).stdout.split()[2],
                     target, "the target")
            if target == ca.TARGET:
                ca.equal(setting(), "8", "a setting")
            with ca.Disk(f"/dev/mapper/{NAME}") as disk:
                ca.same(disk.read(0, ca.MIB), text, "the data")
    finally:
        remove()


@ca.test("so does one that comes up, if it may be an encrypted one",
         [(), ("--uuid", "LVM-package")])
def settings(options):
    create(ca.TARGET, *options)
    try:
        ca.equal(setting() == "8", not options, f"a setting: {setting()}")
    finally:
        remove()


class Writer:
    """Somebody who writes files and reads them again all the time."""

    def __init__(self, directory):
        self.directory, self.problems, self.files = directory, [], 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            path = f"{self.directory}/{self.files % 10}"
            text = os.urandom(ca.rng.randrange(1, 200 * ca.KIB))
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.write(fd, text)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            if os.pread(fd, len(text) + 1, 0) != text:
                self.problems.append(path)
            os.close(fd)
            self.files += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()


@ca.test("a new user: a mounted LUKS2 volume there, a look, and back")
def new_user():
    takeover.passphrase()
    lower, where = ca.Loop(32 * ca.MIB), "/tmp/ca-mounted"
    key = ("--", "--key-file", takeover.PASSPHRASE)
    takeover.cryptsetup("luksFormat", *takeover.QUICK, "--type", "luks2",
                        *takeover.PBKDF, lower.path)
    takeover.cryptsetup("open", *takeover.QUICK, lower.path, takeover.NAME)
    ca.run("mkfs.ext4", "-q", takeover.PATH)
    os.makedirs(where, exist_ok=True)
    ca.run("mount", takeover.PATH, where)
    try:
        with Writer(where) as writer:
            crypt_async("adopt", takeover.NAME, *key)
            said = crypt_async("cryptsetup", "status", takeover.NAME)
            ca.check("is active" in said, f"cryptsetup with the library of "
                     f"the package: {said}")
            looked = crypt_async("top", takeover.NAME, "-n", "2", "-d", "1")
            ca.check("write" in looked and "MiB/s" in looked, looked)
            crypt_async("release", takeover.NAME, *key)
        ca.equal(writer.problems, [], "files that had something else")
        ca.check(writer.files > 4, f"{writer.files} files")
    finally:
        ca.run("umount", where)
    ca.run("fsck.ext4", "-f", "-n", takeover.PATH)
    takeover.close()


@ca.test("doctor is content with headers, module, DKMS and Secure Boot")
def doctor():
    said = ca.run("/usr/sbin/crypt-async", "doctor", fail=False).stdout
    for words in ("headers of", "the module is loaded, version " + VERSION,
                  "DKMS has built it for this kernel", "no Secure Boot"):
        ca.check(any(line.startswith("ok") and words in line
                     for line in said.splitlines()), f"{words}: {said}")


def autopkgtests():
    """The names of the tests that come with the source package."""
    with open("packaging/debian/tests/control", encoding="ascii") as file:
        found = re.findall(r"^Tests: (.*)$", file.read(), re.MULTILINE)
    names = [name for names in found for name in names.split()]
    ca.check(len(names) > 1, f"autopkgtests: {names}")
    return names


@ca.test("an autopkgtest, as a distribution's machines run it, passes",
         autopkgtests())
def autopkgtest(name):
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [f"packaging/debian/tests/{name}"], check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | {"AUTOPKGTEST_TMP": directory})
    # One that cannot be run here ends with 77, and is no success.
    ca.equal(done.returncode, 0, done.stdout)


@ca.test("where signatures are enforced, an unknown key's module is refused")
def enforced():
    ca.delete_module(ca.MODULE)
    path = ca.run("modinfo", "-F", "filename", ca.MODULE).stdout.strip()
    unsigned = "/tmp/dm_crypt_async.ko"
    cat = "xz -dc" if path.endswith(".xz") else "cat"
    ca.run("sh", "-c", f"{cat} {path} > {unsigned}")
    ca.run("strip", "-g", unsigned)
    with open("/sys/module/module/parameters/sig_enforce", "w",
              encoding="ascii") as file:
        file.write("Y")
    for command, why in (
            (("modprobe", ca.MODULE), "module with unavailable key"),
            (("insmod", unsigned), "unsigned module")):
        mark = ca.klog_mark()
        done = ca.run(*command, fail=False)
        ca.check(done.returncode and "ejected" in done.stdout,
                 f"{command}: {done.stdout}")
        ca.check(any(f"Loading of {why} is rejected" in line
                     for line in ca.klog_since(mark)), f"{why}, in the log")
    said = crypt_async("adopt", "--all", code=4)
    ca.check("rejected" in said and "doctor" in said, said)
    ca.run("modprobe", "dm-crypt")


if __name__ == "__main__":
    ca.main(load=False, udev=True)
