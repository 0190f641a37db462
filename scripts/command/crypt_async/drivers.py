# SPDX-License-Identifier: GPL-2.0-only
"""The crypto drivers of a machine, as /proc/crypto lists them, and the ciphers
that disks are encrypted with."""

import dataclasses
import re

from .common import read

# These compute what the cipher within them computes, in another way: chaos is
# the mock driver of tests/kmod.
WRAPPERS = ("cryptd", "chaos")

TYPES = ("skcipher", "lskcipher")
AUTHENTICATED = ("aead",)


@dataclasses.dataclass(frozen=True)
class Cipher:
    """`name` is the Crypto API's. `keys` are sizes in bytes. `generic` are
    names of the C implementation, the first that a kernel has is taken. `tag`
    is what an authenticated one stores with each unit, in bytes."""
    name: str
    keys: tuple
    generic: tuple
    tag: int = 0


def _block(mode, cipher, *keys):
    """A mode of a block cipher that is in C by itself: ecb(aes-generic) is
    what the templates of modes make of one block after the other."""
    return Cipher(f"{mode}({cipher})", keys, (
        f"{mode}(ecb({cipher}-generic))", f"{mode}({cipher}-generic)"))


CIPHERS = (
    _block("xts", "aes", 64, 32), _block("cbc", "aes", 32, 16),
    _block("ctr", "aes", 32, 16), _block("lrw", "aes", 48),
    *(_block(mode, cipher, size) for cipher in
      ("serpent", "twofish", "camellia", "sm4")
      for mode, size in (("xts", 32 if cipher == "sm4" else 64),
                         ("cbc", 16 if cipher == "sm4" else 32))),
    _block("cbc", "des3_ede", 24),
    *(Cipher(f"adiantum({stream},aes)", (32,), (
        f"adiantum({stream}-generic,aes-generic,nhpoly1305-generic)",
        f"adiantum({stream}-generic,aes-lib,nhpoly1305-generic)",
        f"adiantum({stream}-generic,aes-lib)",
        f"adiantum({stream}-lib,aes-lib)")) for stream in
      ("xchacha12", "xchacha20")),
    Cipher("gcm(aes)", (32, 16), (
        "gcm_base(ctr(aes-generic),ghash-generic)",), 16),
    Cipher("rfc7539(chacha20,poly1305)", (32,), (
        "rfc7539(chacha20-generic,poly1305-generic)",
        "rfc7539(chacha20-generic,poly1305)",
        "rfc7539(chacha20-lib,poly1305)"), 16),
    Cipher("aegis128", (16,), ("aegis128-generic",), 16),
)


@dataclasses.dataclass(frozen=True)
class Driver:
    """An entry of /proc/crypto."""
    name: str
    driver: str
    module: str = ""
    type: str = ""
    is_async: bool = False
    priority: int = 0
    internal: bool = False
    selftest: str = ""

    @property
    def cipher(self):
        """The name of what it computes, without what is wrapped around it."""
        return within(self.name)


def within(name):
    """A cipher or driver without the wrappers that change nothing."""
    while match := re.fullmatch(rf"(?:{'|'.join(WRAPPERS)})\((.*)\)", name):
        name = match[1]
    return name


def is_generic(driver):
    """Is it all in C, by its name? aes-generic and xts(ecb(aes-generic)) are.
    Linux 7.3 has the library's in place of some, as aes-lib, which may use
    the processor's instructions, but is synchronous and nobody's driver."""
    parts = re.findall(r"[^(),]+(?![^(),]*\()(?=[(),]|$)", driver)
    return all(re.search(r"-(generic|lib)$", part) for part in parts)


def generics(entries, cipher):
    """Names that its C implementation may have, the likeliest first."""
    found = [entry.driver for entry in of_cipher(entries, cipher)
             if is_generic(entry.driver) and not entry.is_async]
    if match := re.fullmatch(r"(\w+)\((\w+)\)", cipher.name):
        mode, inner = match.groups()
        for entry in entries:
            if entry.name == inner and entry.type == "cipher" \
                    and is_generic(entry.driver):
                found += [f"{mode}(ecb({entry.driver}))",
                          f"{mode}({entry.driver})"]
    return list(dict.fromkeys([*found, *cipher.generic]))


def parse(text):
    """The drivers in a text such as /proc/crypto's."""
    for entry in re.split(r"\n\s*\n", text):
        fields = {key.strip(): value.strip() for key, colon, value in
                  (line.partition(":") for line in entry.splitlines())
                  if colon}
        if not {"name", "driver"} <= fields.keys():
            continue
        priority = fields.get("priority", "")
        yield Driver(
            fields["name"], fields["driver"], fields.get("module", ""),
            fields.get("type", ""), fields.get("async") == "yes",
            int(priority) if re.fullmatch(r"-?\d+", priority) else 0,
            fields.get("internal") == "yes", fields.get("selftest", ""))


def listed():
    """Those that the kernel has now."""
    return list(parse(read("/proc/crypto") or ""))


def of_cipher(entries, cipher):
    """Those of a cipher that a disk could be encrypted with, the one that the
    kernel would choose first. Internal ones are parts of others."""
    found = {entry.driver: entry for entry in entries
             if entry.type in (AUTHENTICATED if cipher.tag else TYPES)
             and not entry.internal
             and entry.cipher == cipher.name}
    return sorted(found.values(), key=lambda e: (-e.priority, e.driver))


def named(entries, driver):
    """The entry of a driver by its name, None if there is none."""
    return next((entry for entry in entries if entry.driver == driver), None)
