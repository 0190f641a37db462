# SPDX-License-Identifier: GPL-2.0-only
"""What a guest's memory, a file here, holds of a key: parts of it, and of what
AES makes of it."""

import hashlib
import mmap
import random

CHUNK = 16                  # bytes of a key that are looked for at a time
PIECES = 16                 # of a long key, besides the last, lmk's seed


def _sbox():
    """The S-box: the inverse in GF(2^8), and an affine map."""
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1) ^ (0x11b if p & 0x80 else 0)
        p &= 0xff
        for shift in (1, 2, 4):
            q ^= q << shift
        q &= 0xff
        q ^= 0x09 if q & 0x80 else 0
        turned = [q << n | q >> (8 - n) for n in range(5)]
        box[p] = (turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4]
                  ^ 0x63) & 0xff
        if p == 1:
            break
    box[0] = 0x63
    return box


SBOX = _sbox()


def round_keys(key):
    """The expanded key, as one string of bytes."""
    words = [key[at:at + 4] for at in range(0, len(key), 4)]
    length, power = len(words), 1
    while len(words) < 4 * (length + 7):
        word = words[-1]
        if len(words) % length == 0:
            word = bytes(SBOX[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ power]) + word[1:]
            power = power << 1 ^ (0x11b if power & 0x80 else 0)
        elif length > 6 and len(words) % length == 4:
            word = bytes(SBOX[byte] for byte in word)
        words.append(bytes(a ^ b for a, b in zip(word, words[-length])))
    return b"".join(words)


def aes_key_size(cipher, key):
    """The bytes of one AES key in a cipher's key."""
    if "lmk" in cipher:
        return 16
    return 32 if "tcw" in cipher else len(key) // (2 if "xts" in cipher else 1)


def secrets_of(cipher, key):
    """What must not stay, by name: {name: bytes}."""
    pieces = range(0, len(key) - CHUNK + 1, CHUNK)
    chosen = {pieces[-1], *random.sample(pieces, min(len(pieces), PIECES))}
    found = {f"key from byte {at}": key[at:at + CHUNK]
              for at in sorted(chosen)}
    size = aes_key_size(cipher, key)
    expanded = round_keys(key[:size])
    found["a round key in the middle"] = expanded[size:size + CHUNK]
    found["the last round key"] = expanded[-CHUNK:]
    if "essiv" in cipher:
        found["the seed of essiv"] = hashlib.sha256(key).digest()[:CHUNK]
    return found


def seen(memory, secrets):
    """The names of those that the memory holds."""
    with open(memory, "rb") as file, \
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return [name for name, value in secrets.items()
                if view.find(value) >= 0]


def key_seen(names, cipher):
    """Is the key among the names that seen() gave? The generators' own keys
    may be in another order, or not at all where they are; so each kind has to
    be found, not each of them."""
    return any(name.startswith("key") for name in names) and \
        any("round" in name for name in names) and \
        ("the seed of essiv" in names or "essiv" not in cipher)
