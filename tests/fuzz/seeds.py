# SPDX-License-Identifier: GPL-2.0-only
"""usage: python3 tests/fuzz/seeds.py DIRECTORY [--plain]

Writes the fuzzer's first inputs, from the table lines of the functional tests:
those of 21-formats, 23-random-tables, 40-table and 50-bad-input; --plain for
those of 40-table only, which have no mistakes. And DIRECTORY.dict, the words
that they consist of."""

import hashlib
import importlib.machinery
import importlib.util
import itertools
import os
import random
import re
import sys

import ca
import lines
import pair

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")

MESSAGES = ["latency on", "latency", "latency off", "tune reset",
            "tune fragment_kib=64", "tune inline_kib=0 page_limit=512",
            "tune cpus=0-1,3", "tune cpus=any", "suspend", "resume",
            "key wipe", "key get", "key get now", "key set :32:logon:ca:32",
            "nonsense",
            "key set {key}", "key set {key}{key}00"]
# What no test of the real module can have: ciphers that only the fakes of
# kernel.c offer, keys of every type, and room for their metadata below.
MADE_UP = {"aes-xts-plain64 :64:encrypted:a64 0 7:0 0": "000@",
           "aes-xts-plain64 :64:trusted:a64 0 7:0 0": "000@",
           "aes-xts-plain64 :64:user:revoked 0 7:0 0": "000@",
           "capi:odd1-null 00010203 0 7:0 0 1 sector_size:4096": "000@",
           "capi:odd3-benbi 00010203 0 7:0 0": "000@",
           "capi:odd64-tcw :96:logon:96 0 7:0 0": "000@",
           "capi:odd1024-benbi 00010203 0 7:0 0": "000@",
           "capi:cbc(odd20)-lmk 00010203 0 7:0 0": "000@",
           "capi:cbc(odd20)-eboiv 00010203 0 7:0 0": "000@",
           "capi:aeadodd - 0 7:0 0 1 integrity:480:aead": "017@",
           "capi:rfc7539(chacha20,poly1305)-random :32:user:32 0 7:0 0 2 "
           "integrity:28:aead sector_size:4096": "01:@",
           "capi:authenc(hmac(sha512),xts(aes))-plain64 :96:user:96 0 7:0 0 2 "
           "integrity:64:aead integrity_key_size:32": "015@"}
PARTS = ["key set ", "\\ ", "\\\\", "-benbi", "-tcw", "-lmk", "capi:",
         "integrity_key_size:", "high_priority"]


def load(name):
    """A functional test as a module; importing it runs nothing."""
    loader = importlib.machinery.SourceFileLoader(
        "t", os.path.join(TESTS, "functional", name))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("t", loader))
    loader.exec_module(module)
    return module


class Below:
    """What the lines call the device below."""
    devno = "7:0"

    def __str__(self):
        return self.devno


def formats():
    """Of 21-formats: each cipher and generator, with a few lengths of key."""
    pair.offered = list     # no kernel is asked here
    module = load("21-formats")
    for cipher, length, block in module.CIPHERS:
        for mode, iv, count in itertools.product(module.MODES, module.IVS,
                                                 (1, 2, 64)):
            for size in module.key_lengths(length, block, mode, iv, count):
                if size <= 1040:
                    yield ca.crypt_params(module.spec(cipher, mode, iv, count),
                                          ca.key(size) or "-", Below())
    for (cipher, length), iv in itertools.product(module.OTHER_MODES,
                                                  module.IVS):
        yield ca.crypt_params(f"{cipher}-{iv}", ca.key(length), Below())


def table():
    """Of 40-table: options in every combination."""
    module = load("40-table")
    for options, (cipher, length) in zip(module.option_sets(),
                                         itertools.cycle(module.CIPHERS)):
        yield module.line(Below(), options, cipher, length)


def bad_input():
    """Of 50-bad-input: every wrong line."""
    module = load("50-bad-input")
    for bad in (module.ARGUMENTS + module.CIPHERS + module.KEYS
                + module.NUMBERS + module.DEVICES + module.OPTIONS
                + module.INTEGRITY + module.GENERATORS):
        key = ca.key(64)
        yield bad.line.format(key=key, key32=key[:64], key31=key[64:126],
                              dev="7:0")


def random_tables():
    """Of 23-random-tables: some lines as they are, and changed."""
    for number in range(600):
        words = lines.fresh([Below()])
        for _ in range(number % 3):
            words = lines.mutate(words, [Below()])
        yield " ".join(words)


def inputs(plain):
    """The inputs, as bytes: see target.c."""
    texts = [*MADE_UP, *table()]
    if not plain:
        texts += [*formats(), *bad_input(), *random_tables()]
    for text in texts:
        control = MADE_UP.get(text) or "".join(map(ca.rng.choice, (
            "0000ABCDEFGHIJKLMNOP", "0145", "01234567:<", "05@~")))
        messages = ca.rng.choices(MESSAGES, k=ca.rng.choice((0, 0, 1, 4)))
        yield "\n".join([control + text, *(
            message.format(key=ca.key(32)) for message in messages)]).encode()


def words(texts):
    """The words that the inputs consist of; keys are not among them."""
    found = {*PARTS, *lines.OPTIONS, *(number for number in lines.NUMBERS
                                       if number.isdigit())}
    for text in texts:
        for word in text[4:].decode().split():
            if not re.search("[0-9a-fA-F]{12}", word):
                found.update(re.findall("[a-z_]{3,}:?", word))
    return sorted(found)


def main():
    """Write all of it."""
    directory = sys.argv[1]
    ca.rng = random.Random(1)
    os.makedirs(directory)
    texts = list(inputs("--plain" in sys.argv[2:]))
    for text in texts:
        name = hashlib.sha1(text).hexdigest()
        with open(f"{directory}/{name}", "wb") as file:
            file.write(text)
    with open(f"{directory}.dict", "w", encoding="ascii") as file:
        for word in words(texts):
            escaped = word.replace("\\", "\\\\")
            file.write(f'"{escaped}"\n')
    print(f"{len(texts)} inputs")


if __name__ == "__main__":
    main()
