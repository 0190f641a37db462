# SPDX-License-Identifier: GPL-2.0-only
"""The commands in the documents, and what runs each of them: all are in one of
the tables here. A document that gets another command needs another row;
tests/unit/documents says so."""

import glob
import os
import re

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                   "..", "..", "..")

# By tests/functional/94-documents, as they stand there, in the documents'
# order. Its shell knows NAME, $dev, sudo, and which crypt-async is meant.
GUEST = {
    "make",
    "sudo modprobe dm-mod",
    "sudo insmod dm_crypt_async.ko",
    "sudo crypt-async adopt NAME",
    "sudo crypt-async release NAME",
    "key=$(openssl rand -hex 64)",
    'dmsetup create secret --table "0 $(blockdev --getsz "$dev") '
    'crypt-async aes-xts-plain64 $key 0 $dev 0"',
    "openssl rand 64 | keyctl padd logon my:key @u",
    'dmsetup create large --table "0 $(blockdev --getsz "$dev") '
    'crypt-async aes-xts-plain64 :64:logon:my:key 0 $dev 0 1 '
    'sector_size:4096"',
    "dmsetup message secret 0 tune fragment_kib=64 cpus=0-3",
    "crypt-async status NAME",
    "crypt-async status --json",
    "crypt-async status --openmetrics",
    "crypt-async top NAME",
    "sudo crypt-async top NAME",
    "sudo crypt-async status NAME",
    "dmsetup status NAME",
    "crypt-async tune NAME cpus=0-3",
    "crypt-async tune NAME fragment_kib=64",
    "crypt-async tune NAME inline_kib=0",
    "crypt-async tune NAME page_limit=16384",
    "crypt-async tune NAME reset",
    "crypt-async tune NAME cpus=0-3 --persistent",
    "crypt-async doctor",
    "sudo crypt-async doctor",
}

# By other tests: the file, and what it has that does it.
ELSEWHERE = {
    "make test": (".ci/run", "make test"),
    "make test RELEASES=trixie TESTS=10-known": ("tests/run", "${TESTS:-}"),
    "make test RELEASES=trixie TESTS=80-example":
        ("tests/run", "${RELEASES:-"),
    "make smoke": ("tests/run", "${TESTS:-}"),
    "make check": ("tests/run", "memory static power"),
    "make new-test NAME=80-example": ("tests/unit/documents", "tests/new"),
    "make bench": ("tests/functional/95-bench", "scripts/bench/guest"),
    "scripts/bench/bench --full":
        ("tests/bench/report", "scripts/bench/guest"),
    "scripts/bench/bench --full --part 3/8 --out build/bench-3":
        ("tests/bench/reduce.py", 'part='),
    "scripts/bench/bench --report build/bench-* --out build/all":
        ("tests/bench/report", "scripts/bench/report"),
    "scripts/bench/bench --simulated":
        ("tests/bench/repeated", 'scripts/bench/bench" --simulated'),
    "scripts/bench/bench --simulated --full --machine laptop,vm":
        ("tests/bench/simulated.py", 'machine.load("laptop")'),
    "scripts/bench/bench --help":
        ("tests/unit/documents", "scripts/bench/bench --help"),
    "scripts/lab/vm --release trixie -- tests/functional/80-example":
        ("tests/run", "scripts/lab/vm"),
    "crypt-async bench DEVICE":
        ("tests/functional/88-bench", 'lower.path, "--rounds"'),
    "crypt-async bench --ram":
        ("tests/functional/88-bench", 'running("--ram"'),
    "crypt-async bench DEVICE --write --destroy-data":
        ("tests/functional/88-bench", '"--write", "--destroy-data"'),
    "crypt-async bench DEVICE --json >report.json":
        ("tests/functional/88-bench", 'crypt_async("bench", "--json"'),
    "crypt-async selftest":
        ("tests/functional/82-selftest", "crypt_async(\"selftest\", *words"),
    "crypt-async selftest DRIVER":
        ("tests/functional/82-selftest", 'crypt_async("selftest", MOCK'),
    "crypt-async selftest --json >report.json":
        ("tests/functional/82-selftest", 'crypt_async("selftest", "--json"'),
    "trace-cmd record -e crypt_async sleep 5":
        ("tests/functional/89-trace", '"trace-cmd", "record"'),
    "trace-cmd report": ("tests/functional/89-trace", '"trace-cmd", "report"'),
    "scripts/command/bpf/latency.bt":
        ("tests/functional/89-trace", '"latency"'),
    "scripts/command/bpf/states.bt":
        ("tests/functional/89-trace", '"states"'),
    "scripts/command/bpf/who.bt":
        ("tests/functional/89-trace", '"who"'),
    "make test TESTS=73-under-load": ("tests/run", "${TESTS:-}"),
    "make test TESTS=74-power-cut": ("tests/run", "${TESTS:-}"),
    "make test TESTS=tests/power/": ("tests/run", "${TESTS:-}"),
    "make test TESTS=tests/boot/": ("tests/run", "${TESTS:-}"),
    "make test TESTS=75-failing": ("tests/run", "${TESTS:-}"),
    "CA_ALL=1 make test TESTS=functional/83-lower-device":
        ("tests/run", "${TESTS:-}"),
    "CA_ALL=1 make test TESTS=functional/79-fairness":
        ("tests/run", "${TESTS:-}"),
    "make test TESTS=76-other-machines": ("tests/run", "${TESTS:-}"),
    "make test TESTS=77-changes": ("tests/run", "${TESTS:-}"),
    "make test TESTS=memory/": ("tests/run", "${TESTS:-}"),
    "make test TESTS=tests/fuzz/": ("tests/run", "${TESTS:-}"),
    "make fuzz DURATION=3600": ("tests/fuzz/fuzz", "tests/fuzz/build"),
    "make test TESTS=51-hostile RELEASES=trixie": ("tests/run", "${TESTS:-}"),
    "scripts/lab/vm --release kasan --smp 1 --timeout 3600 -- env "
    "CA_INPUTS=10000 CA_SEED=1902 "
    "tests/functional/51-hostile-input":
        ("tests/functional/51-hostile-input", "CA_INPUTS"),
    "make release VERSION=0.3.0":
        ("tests/unit/make-release", 'scripts/packaging/release "$@"'),
    "make deb": ("tests/packages/install", "scripts/packaging/deb"),
    "make patch KERNEL=../linux":
        ("tests/packages/patch", "scripts/packaging/patch"),
    "git -C ../linux am -s $PWD/build/patch/dm-crypt-async-VERSION.patch":
        ("tests/packages/patch", "git apply --check"),
    "sudo apt install linux-headers-amd64 ./build/deb/*.deb":
        ("tests/tools/package", "dpkg --path-include"),
    "sudo apt install ./build/deb/*.deb":
        ("tests/tools/package", "dpkg --path-include"),
    "sudo apt purge crypt-async crypt-async-dkms":
        ("tests/tools/package", "dpkg --purge crypt-async crypt-async-dkms"),
    "sudo crypt-async release --all": ("tests/functional/85-command", "--all"),
    "sudo modprobe -r dm-crypt-async":
        ("scripts/command/crypt_async/ramdisk.py", '"modprobe", "-r", module'),
    "sudo dkms install dm-crypt-async/VERSION -k KERNEL":
        ("packaging/kernel-hook", "dkms install"),
    "sudo dkms add ./dm-crypt-async-dkms-VERSION.tar.gz":
        ("tests/packages/release", 'dkms add "/var/tmp/dm-crypt-async-dkms'),
    "sudo dkms autoinstall": ("tests/packages/release", "dkms autoinstall"),
    "modinfo -F signer dm_crypt_async":
        ("tests/packages/guest.py", '"modinfo", "-F", "signer"'),
    "sudo apt install mokutil": ("scripts/lab/packages", "mokutil\t"),
    "sudo mokutil --import /var/lib/dkms/mok.pub":
        ("tests/tools/use_secure_boot", '"mokutil", "--import", KEY'),
    "mokutil --test-key /var/lib/dkms/mok.pub":
        ("tests/tools/use_secure_boot", '"mokutil", "--test-key", KEY'),
    "crypt-async adopt home -- --key-file /root/key":
        ("tests/functional/85-command", '"--key-file"'),
    "crypt-async top home": ("tests/functional/85-command", '"top"'),
    "crypt-async tune home cpus=0-3 --persistent":
        ("tests/functional/85-command", '"--persistent"'),
    "crypt-async cryptsetup resize home":
        ("tests/functional/98-cryptsetup", 'through("resize", NAME)'),
    "crypt-async close home":
        ("tests/functional/98-cryptsetup", 'crypt_async("close", NAME)'),
    "crypt-async release --all": ("tests/functional/85-command", "--all"),
    "crypt-async close NAME":
        ("tests/functional/98-cryptsetup", 'crypt_async("close", NAME)'),
    "crypt-async suspend NAME":
        ("tests/functional/98-cryptsetup", 'crypt_async("suspend", NAME)'),
    "crypt-async resume NAME --key-file FILE":
        ("tests/functional/98-cryptsetup", 'crypt_async("resume", '),
    "crypt-async cryptsetup status NAME":
        ("tests/functional/98-cryptsetup", 'through("status", NAME)'),
    "crypt-async cryptsetup resize NAME":
        ("tests/functional/98-cryptsetup", 'through("resize", NAME)'),
    "crypt-async cryptsetup refresh --allow-discards NAME":
        ("tests/functional/98-cryptsetup", 'through("refresh", '),
    "sudo crypt-async takeover":
        ("tests/functional/67-live-takeover", 'COMMAND, "takeover"'),
    "sudo crypt-async takeover --undo":
        ("tests/functional/67-live-takeover", 'COMMAND, "takeover", "--undo"'),
    "sudo crypt-async upgrade":
        ("tests/functional/67-live-takeover", 'crypt_async("upgrade"'),
    "sudo crypt-async enable-takeover":
        ("tests/functional/65-enable-takeover", 'COMMAND, "enable-takeover"'),
    "sudo crypt-async disable-takeover":
        ("tests/functional/65-enable-takeover", 'COMMAND, "disable-takeover"'),
}

# By a person, and why.
BY_HAND = {
    "make demo": "it boots a guest for a minute and a half, and is a test "
        "itself: its exit status says whether all held",
    "make debug-kernel": "it builds a kernel for a quarter of an hour",
    "make debug-kernel KIND=kasan": "likewise",
    "make debug-kernel KIND=kcsan": "likewise",
    "make debug-kernel KIND=coverage": "likewise",
    "make coverage": "it takes an hour, on a kernel that make test does not "
        "build",
    "make coverage TESTS=52-no-memory": "likewise",
    "make test RELEASES=kcsan TESTS=80-async":
        "on a kernel that make test does not build",
    "make release-test": "it takes days; tests/unit/release has it run a "
        "made-up list",
    'CA_FAULTS=2 make test RELEASES=coverage '
    'TESTS="05- 10- 20- 22- 23- 24- 26- 30- 31- 40- 60- 61- 62- 70- 72- 73- '
    '75- 76- 77- 80- 81- 85- 86- 87- 89- 90- 93-"': "likewise",
    'make test RELEASES=kcsan TESTS="05- 22- 30- 60- 61- 62- 70- 72- 73- '
    '75- 77- 80- 90- 93- storm"': "likewise",
    "make test RELEASES=debug TESTS=52-no-memory": "likewise",
    "make stress": "it takes an hour; make test has a minute of it",
    "make soak": "it takes an hour, or years",
    "perf trace -e 'crypt_async:*' -a sleep 5":
        "perf has a package for each kernel; 89-trace looks for the events",
    "sudo systemctl enable --now crypt-async-metrics.timer": "guests run no "
        "systemd; tests/unit/metrics has systemd look at the timer",
    "sudo reboot": "tests/boot/encrypted-root boots again and again",
    "journalctl -k -g device-mapper": "guests have no journal; 86-inside "
        "looks at what is logged",
    "sudo rbd map pool/secret": "it needs a Ceph cluster",
    "sudo rbd unmap pool/secret": "likewise",
    **dict.fromkeys((f"sudo targetcli /{words}" for words in (
        "backstores/block create secret /dev/vdb",
        "iscsi create iqn.2026-01.org.example:secret",
        "iscsi/iqn.2026-01.org.example:secret/tpg1/luns create "
        "/backstores/block/secret",
        "iscsi/iqn.2026-01.org.example:secret/tpg1/acls create "
        "iqn.2026-01.org.example:here")),
        "it needs D-Bus, which guests do not have; 76-other-machines makes "
        "such a target without it"),
}


def files():
    """The documents."""
    return [*sorted(glob.glob(f"{TOP}/*.md")),
            *sorted(glob.glob(f"{TOP}/docs/**/*.md", recursive=True))]


def pages():
    """The manual pages."""
    return sorted(glob.glob(f"{TOP}/docs/*.[1-8]"))


def blocks(text):
    """Lines of commands: those fenced as sh, and those that are indented like
    code; of a manual page, its examples."""
    if text.startswith('.\\"'):
        for block in re.findall(r"^\.EX\n(.*?)^\.EE$", text,
                                re.MULTILINE | re.DOTALL):
            yield from block.replace("\\-", "-").splitlines()
        return
    fence, before, indented = None, "", False
    for line in text.splitlines():
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
            indented = False
        elif fence is not None:
            if fence == "sh":
                yield line
        else:
            indented = line.startswith("    ") and (indented or not before)
            if indented:
                yield line[4:]
        before = line.strip()


def commands(text):
    """The commands, without comments."""
    found = re.sub(r"\\\n\s*", "", "\n".join(blocks(text))).splitlines()
    found = [re.sub(r"(^|\s+)#.*", "", line).strip() for line in found]
    return [line for line in found if line]


def read(path):
    """A file's text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def shown(text):
    """What a document says that one sees: the lines of its fenced blocks that
    name no language, as patterns. Three dots stand for anything."""
    found = re.findall(r"^```\n(.*?)^```$|^```\w+\n.*?^```$", text,
                       re.MULTILINE | re.DOTALL)
    return ["^" + ".*".join(map(re.escape, line.split("…"))) + "$"
            for block in found for line in block.splitlines()]


def section(title):
    """The commands of a section of docs/howto/storage.md, block by block."""
    text = read(f"{TOP}/docs/howto/storage.md")
    text = re.split(f"^#+ {title}$", text, maxsplit=1, flags=re.MULTILINE)[1]
    text = re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return [commands(f"```sh\n{block}```") for block in
            re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]


def script(lines, names):
    """Commands for bash, as root in a guest, with names instead of others."""
    text = "\n".join(lines)
    for there, here in names.items():
        text = text.replace(there, here)
    return "set -e -o pipefail\nsudo() { \"$@\"; }\n" + text


# By tests/functional/76-other-machines, all that these sections have.
MACHINES = {command
            for title in ("NVMe over TCP", "iSCSI", "NBD", "RAID1")
            for block in section(title) for command in block
            if "targetcli" not in command}
# By tests/functional/94-documents, all that the tutorial has, as written.
TUTORIAL = {*commands(read(f"{TOP}/docs/tutorial.md"))}
BY_HAND |= dict.fromkeys(
    commands(read(f"{TOP}/docs/howto/test-suites.md")),
    "the suites come from the network, and take hours")
ALL = {*GUEST, *MACHINES, *TUTORIAL, *ELSEWHERE, *BY_HAND}
