# SPDX-License-Identifier: GPL-2.0-only
"""How the command gets keys in digits, from a device mapper that is made up:
by a message, when it needs one; the table of crypt-async has zeros."""

import made_up
from crypt_async import common, keys, mapping, move
from made_up import KEY, PARAMS
from points import end, equal, point

OTHER_KEY = "fedcba9876543210" * 8


def device_mapper():
    """A new one, which the command talks to."""
    made = made_up.DeviceMapper()
    made.install()
    return made


@point
def keys_told():
    """A key in digits comes by a message to the line that has it, and by none
    that is not needed; what else may be answered."""
    made = device_mapper()
    line = PARAMS
    other = line.replace(KEY, OTHER_KEY)
    referred = line.replace(KEY, ":64:logon:a:b")
    none = "cipher_null-ecb - 0 254:0 0"
    table = [(0, 8, "crypt-async", line), (8, 8, "linear", "254:0 0"),
             (16, 8, "crypt-async", referred), (24, 8, "crypt", line),
             (32, 8, "crypt-async", none), (40, 8, "crypt-async", other)]
    made.make("v", table)
    found = mapping.Mapping("v")
    assert KEY not in found.table()[0].words, "the table shows no key"
    equal([each.packed() for each in keys.table_with_keys(found)], table,
          "the table with keys")
    equal(made.sent, ["key get"] * 2, "messages")
    made.make("w", table[2:5])
    keys.table_with_keys(mapping.Mapping("w"))
    equal(len(made.sent), 2, "no more of them")
    for how, code, what in (("tells_keys", common.DEVICE, "older than"),
                            ("is_wiped", common.PERMISSION, "wiped")):
        where = made if how == "tells_keys" else made.made[b"v"]
        before = getattr(where, how)
        setattr(where, how, not before)
        for name in ("v", "w"):
            try:
                keys.table_with_keys(mapping.Mapping(name))
                equal(name, "w", f"{how}: there is no key")
            except common.Problem as problem:
                equal((name, problem.code), ("v", code), how)
                assert what in str(problem) and KEY[:8] not in str(problem)
        setattr(where, how, before)


@point
def zeros_are_a_key():
    """If crypt-async says so; a table of dm-crypt has zeros for a key that
    was wiped."""
    made = device_mapper()
    for target, code in (("crypt-async", None), ("crypt", common.PERMISSION)):
        made.make("v", [(0, 8, target, PARAMS.replace(KEY, "00"))])
        try:
            line, = keys.table_with_keys(mapping.Mapping("v"))
            equal((line.key, None), ("00", code), target)
        except common.Problem as problem:
            equal(problem.code, code, target)


@point
def missing_named():
    """A key that is not in a keyring any more is named, also beside others
    in digits."""
    lines = [mapping.Line(at * 8, 8, "crypt", PARAMS.replace(KEY, key))
             for at, key in enumerate((KEY, ":64:logon:a:b"))]
    device_mapper().make("v")
    try:
        move._key_again(mapping.Mapping("v"), lines, OSError(126, "no key"),
                        ())
        raise AssertionError("there is none")
    except common.Problem as problem:
        assert "add logon key 'a:b'" in str(problem), problem


end()
