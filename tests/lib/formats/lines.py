# SPDX-License-Identifier: GPL-2.0-only
"""Table lines that make sense, and what becomes of them by small changes."""

import re

import ca

CIPHERS = [("aes-xts-plain64", 64), ("aes-cbc-essiv:sha256", 32),
           ("aes-cbc-plain", 32), ("aes-xts-plain64be", 32), ("aes-ecb", 16),
           ("aes:64-cbc-lmk", 1040), ("aes:2-cbc-plain64", 64),
           ("aes-cbc-tcw", 64), ("aes-cbc-eboiv", 32),
           ("aes-cbc-elephant", 64), ("aes-cbc-null", 16),
           ("aes-lrw-benbi", 48), ("cipher_null-ecb", 0), ("aes", 32),
           ("capi:xts(aes)-plain64", 64), ("capi:cbc(aes)-random", 32),
           ("capi:essiv(cbc(aes),sha256)-plain64", 32),
           ("capi:gcm(aes)-random", 32), ("capi:gcm(aes)-plain64", 16),
           ("capi:authenc(hmac(sha256),xts(aes))-random", 96),
           ("capi:authenc(hmac(sha256),cbc(aes))-essiv:sha256", 64)]
OPTIONS = ["allow_discards", "same_cpu_crypt", "submit_from_crypt_cpus",
           "no_read_workqueue", "no_write_workqueue", "iv_large_sectors",
           "sector_size:512", "sector_size:4096", "sector_size:2048",
           "sector_size:513", "sector_size:8192", "sector_size:", "sector",
           "sector_size:4096x", "integrity:28:aead", "integrity:48:aead",
           "integrity:32:aead", "integrity:16:none", "integrity:28:none",
           "integrity:0:aead", "integrity:481:aead", "integrity:28:",
           "integrity:28:poly1305", "integrity:x:aead", "ALLOW_DISCARDS",
           "allow_discard", "integrity:28:AEAD", "sector_size:04096"]
NUMBERS = ["0", "1", "8", "7", "-1", "+8", "0x8", "08", "8 ", "", "1e3",
           "4294967296", "9223372036854775807", "18446744073709551615",
           "18446744073709551616", "99999999999999999999", "2047", "2048"]
LETTERS = "azAZ09:-()., _/%\\\\@"


def fresh(lower):
    """A line that makes sense, as its words."""
    pick, cipher, length = ca.rng.choice, *ca.rng.choice(CIPHERS)
    key = ca.key(length) or "-"
    if length and ca.rng.random() < 0.15:
        key = f":{length}:{pick(('logon', 'user'))}:ca:random{length}"
    options = ca.rng.sample(OPTIONS, ca.rng.choice((0, 0, 1, 1, 2, 3)))
    if "gcm(aes)-r" in cipher and ca.rng.random() < 0.7:
        options = ["integrity:28:aead", "sector_size:4096"]
    words = [cipher, key, pick(("0", "8", "16", "1024")), pick(lower).devno,
             pick(("0", "8", "16"))]
    return words + ([str(len(options)), *options] if options else [])


def mutate(words, lower):
    """Change a line a little."""
    rng, at = ca.rng, ca.rng.randrange(len(words))
    kind = rng.randrange(9)
    if kind == 0 and len(words) > 1:
        del words[at]
    elif kind == 1:
        words.insert(at, rng.choice(words))
    elif kind == 2:
        other = rng.randrange(len(words))
        words[at], words[other] = words[other], words[at]
    elif kind == 3 and words[at]:
        place = rng.randrange(len(words[at]))
        words[at] = (words[at][:place] + rng.choice(LETTERS)
                     + words[at][place + rng.randrange(2):])
    elif kind == 4:
        words[rng.choice((2, 4, 5, at)) % len(words)] = rng.choice(NUMBERS)
    elif kind == 5:
        words.append(rng.choice(OPTIONS))
    elif kind == 6 and len(words) > 5:
        words[5] = str(len(words) - 6 + rng.choice((0, 0, 0, 1, -1)))
    elif kind == 7:
        words[1] = words[1][:rng.randrange(len(words[1]) + 1)]
    elif kind == 8:
        words[0] = fresh(lower)[0]
    return words


def hidden(params):
    """A table line's arguments as crypt-async shows them: with zeros for a key
    in digits."""
    return re.sub(r"^(\S+ )([0-9a-fA-F]+)(?= )",
                  lambda found: found[1] + "0" * len(found[2]), params)
