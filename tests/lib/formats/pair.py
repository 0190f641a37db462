# SPDX-License-Identifier: GPL-2.0-only
"""A crypt-async device and a dm-crypt device on the same bytes: what one takes
the other takes, what one refuses the other refuses with the same errno, what
one writes the other reads."""

import errno
import os
import re

import ca
import keyring

REGION = 32 * ca.KIB

# What crypt-async refuses, with EINVAL, though dm-crypt may take it: what is
# written there cannot be read back.
DIFFERENT = [
    # No IV generator is named, for a cipher with IVs: the IV is undefined.
    re.compile(r"capi:(?!ecb|.*\(cipher_null|essiv)\w+\([^-]*"),
    # lmk finds its IV after decryption, which in other modes than cbc fails.
    re.compile(r"\w+(:\d+)?-(xts|ctr|lrw)-lmk"),
    re.compile(r"capi:(?!cbc|cts\(cbc|ecb).*-lmk"),
    re.compile(r"cipher_null(:\d+)?-cbc-lmk"),
]


class Pair:
    """A crypt-async device and a dm-crypt device on the same bytes, which get
    one table line after the other. Counts the combinations tried, accepted,
    and refused by both."""

    def __init__(self, region=REGION, lower=None):
        self.region = region
        self.lower = lower or ca.Loop(2 * region)
        self.crypt_async, self.dm_crypt = ca.Mapping(), ca.Mapping()
        self.tried = self.accepted = self.refused = self.on_purpose = 0
        self._last = self._text = None

    def __str__(self):
        return (f"{self.tried} combinations, {self.accepted} accepted, "
                f"{self.refused} refused alike, "
                f"{self.on_purpose} by crypt-async only")

    def load(self, cipher, length, source="hex", **line):
        """Give both the line, with a fresh key. Do both take it?"""
        self._last = cipher, ca.key(length) or "-", line
        return self._load_both(source)

    def again(self, source, length=4 * ca.KIB):
        """Give both the last line once more, the key from another source. If
        they take it, what was written last reads back."""
        if self._load_both(source):
            for mapping in (self.crypt_async, self.dm_crypt):
                with ca.Disk(mapping.path) as disk:
                    ca.same(disk.read(0, length), self._text[:length],
                            f"the key from {source}: {self._last}")

    def _load_both(self, source):
        cipher, key, line = self._last
        if source != "hex" and key != "-":
            key = keyring.reference(source, "ca:pair", key)
        params = ca.crypt_params(cipher, key, self.lower, **line)
        answers = (self._load(self.crypt_async, ca.TARGET, params),
                   self._load(self.dm_crypt, ca.DM_CRYPT, params))
        self.tried += 1
        self._compare(cipher, params, answers)
        if answers == (None, None):
            self.accepted += 1
            self.crypt_async.resume()
            self.dm_crypt.resume()
            return True
        self.crypt_async.clear()
        self.dm_crypt.clear()
        return False

    def _load(self, mapping, target, params):
        """The errno of a refusal, or None."""
        try:
            mapping.load([(0, self.region // ca.SECTOR, target, params)])
        except OSError as error:
            return error.errno
        return None

    def _compare(self, cipher, params, answers):
        names = [errno.errorcode.get(a, "accepted") for a in answers]
        if answers[1] is None and ca.TARGET != ca.DM_CRYPT and any(
                line.fullmatch(cipher) for line in DIFFERENT):
            ca.equal(names[0], "EINVAL", f"{params}: crypt-async, on purpose")
            self.on_purpose += 1
            return
        ca.equal(names[0], names[1], f"{params}: crypt-async and dm-crypt")
        self.refused += None not in answers

    def exchange(self, cipher, length, unit, large, iv_offset, offset,
                 source="hex", max_size=8 * ca.KIB):
        """Try one combination; both directions, if it is accepted, in pieces
        of at most so many bytes. Returns whether it is."""
        line = {"iv_offset": iv_offset, "offset": offset,
                "options": ca.unit_options(unit, large)}
        if not self.load(cipher, length, source, **line):
            return False
        what = f"{cipher}, {length} bytes of key, {line}"
        self.lower.wipe()
        there_and_back(self.dm_crypt, self.crypt_async, unit,
                       ca.data(self.region), f"{what}: crypt-async reads",
                       max_size)
        self._text = ca.data(self.region)
        there_and_back(self.crypt_async, self.dm_crypt, unit, self._text,
                       f"{what}: crypt-async writes", max_size)
        start = offset * ca.SECTOR
        ca.check(not any(self.lower.read(0, start))
                 and not any(self.lower.read(start + self.region)),
                 f"{what}: nothing is written outside")
        return True


def there_and_back(writer, reader, unit, text, what, max_size=8 * ca.KIB):
    """Write through one device, read through the other."""
    if len(text) == max_size:
        with ca.Disk(writer.path) as disk:
            disk.write(0, text)
        with ca.Disk(reader.path) as disk:
            ca.same(disk.read(0, max_size), text, what)
        return
    with ca.Disk(writer.path) as disk:
        for at, size in ca.split(len(text), unit, max_size):
            disk.write(at, text[at:at + size])
    with ca.Disk(reader.path) as disk:
        got = b"".join(disk.read(at, size)
                       for at, size in ca.split(len(text), unit))
    ca.same(got, text, what)


def answer(sectors, target, params):
    """The errno of a refusal, None for a device."""
    try:
        ca.Mapping.single(sectors, target, params).remove()
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def fill(path, text):
    """Write all of it, in pieces of every size."""
    with ca.Disk(path) as disk:
        for at, size in ca.split(len(text), 4096, 256 * ca.KIB):
            disk.write(at, text[at:at + size])


def read(path, length):
    """Read all of it, in pieces of every size."""
    with ca.Disk(path) as disk:
        return b"".join(disk.read(at, size) for at, size in
                        ca.split(length, 4096, 256 * ca.KIB))


def offered(ciphers):
    """Those ciphers that the running kernel has, as code or module."""
    modules = f"/lib/modules/{os.uname().release}/modules.alias"
    with open(modules, encoding="ascii") as file:
        aliases = file.read()
    with open("/proc/crypto", encoding="ascii") as file:
        aliases += file.read()
    return [c for c in ciphers if f"crypto-{c[0]} " in aliases
            or f": {c[0]}\n" in aliases]
