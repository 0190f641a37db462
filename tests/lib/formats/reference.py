# SPDX-License-Identifier: GPL-2.0-only
"""What the bytes on the lower device must be, computed by OpenSSL.

The format is the one that the kernel documents for its crypt target: each
unit of sector_size bytes is encrypted by itself, with an IV made from the
number of its first 512-byte sector plus iv_offset; with iv_large_sectors,
from that sum divided by the sectors of a unit. ESSIV is the IV encrypted by
the cipher itself under the key's digest.
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_MASK32 = (1 << 32) - 1


def iv_numbers(length, unit, *, sector=0, iv_offset=0, large=False):
    """The number each unit's IV is made from, for length bytes at sector."""
    for at in range(0, length, unit):
        number = sector + at // 512 + iv_offset
        yield number // (unit // 512) if large else number


def _plain(number, _key):
    return struct.pack("<I12x", number & _MASK32)


def _plain64(number, _key):
    return struct.pack("<Q8x", number)


def _plain64be(number, _key):
    return struct.pack(">8xQ", number)


def _null(_number, _key):
    return bytes(16)


def _essiv(number, key):
    salt = hashlib.sha256(key).digest()
    ecb = Cipher(algorithms.AES(salt), modes.ECB()).encryptor()
    return ecb.update(_plain64(number, key))


_IVS = {"plain": _plain, "plain64": _plain64, "plain64be": _plain64be,
        "null": _null, "essiv:sha256": _essiv, None: _null}
_MODES = {"xts": modes.XTS, "cbc": modes.CBC, "ecb": lambda _: modes.ECB()}


def _convert(method, cipher, hexkey, text, unit, where):
    _, mode, iv = (cipher.split("-", 2) + [None])[:3]
    key = bytes.fromhex(hexkey)
    algorithm = algorithms.AES(key)
    out = bytearray()
    for i, number in enumerate(iv_numbers(len(text), unit, **where)):
        context = Cipher(algorithm, _MODES[mode](_IVS[iv](number, key)))
        out += getattr(context, method)().update(
            text[i * unit:(i + 1) * unit])
    return bytes(out)


def encrypt(cipher, hexkey, text, unit, **where):
    """The ciphertext of these bytes; cipher as in a table line,
    where: sector, iv_offset, large."""
    return _convert("encryptor", cipher, hexkey, text, unit, where)


def decrypt(cipher, hexkey, text, unit, **where):
    """The plaintext of these bytes."""
    return _convert("decryptor", cipher, hexkey, text, unit, where)


def seal(hexkey, mac, text, unit):
    """Ciphertext and tags of a device of authenc(hmac(sha256),xts(aes))
    with plain64, of whose key the last `mac` bytes are the hash's. A tag is
    over the number of the unit's sector, the IV and the ciphertext."""
    cut = len(hexkey) - 2 * mac
    lower = encrypt("aes-xts-plain64", hexkey[:cut], text, unit)
    tags = b""
    for at in range(0, len(text), unit):
        head = struct.pack("<Q", at // 512) + _plain64(at // 512, None)
        tags += hmac.digest(bytes.fromhex(hexkey[cut:]),
                            head + lower[at:at + unit], "sha256")
    return lower, tags
