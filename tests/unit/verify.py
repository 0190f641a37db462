# SPDX-License-Identifier: GPL-2.0-only
"""Whether two tables give the same data: what is taken for a proof."""

import contextlib
import errno
import types

from crypt_async import verify
from crypt_async.common import Problem
from points import end, equal, point

SECTORS = 1 << 16
TABLE = [(0, SECTORS, "crypt-async", "")]
MAPPING = types.SimpleNamespace(shown="v", dev=0,
                                explained=contextlib.nullcontext)
PLAIN = {"live": lambda at: bytes([at % 251]) * 4096,
         "other": lambda at: bytes([at % 251]) * 4096}


def check(table=TABLE, **devices):
    """Compare two devices, whose functions give bytes or an errno for a
    place: None, or what the Problem says; and the places that were read."""
    read = []

    def look(file, _page, at):
        read.append(at)
        return {**PLAIN, **devices}[file](at)

    @contextlib.contextmanager
    def opened(dev):
        yield "live" if dev == MAPPING.dev else "other"

    old = verify._read, verify._opened, verify.temporary, verify.time
    verify._read, verify._opened = look, opened
    verify.temporary = lambda name, table: contextlib.nullcontext("new")
    verify.time = types.SimpleNamespace(sleep=lambda _: None,
                                        monotonic=lambda: 0)
    try:
        verify.same_data(MAPPING, table)
        return None, read
    except Problem as problem:
        return str(problem), read
    finally:
        verify._read, verify._opened, verify.temporary, verify.time = old


@contextlib.contextmanager
def blocks_of(size):
    """What sysfs says of the device."""
    old, verify.read = verify.read, lambda path: \
        str(size) if path.endswith("/0:0/queue/logical_block_size") else None
    try:
        yield
    finally:
        verify.read = old


def fails(_at):
    """A place that cannot be read."""
    return errno.EIO


@point
def same():
    """The same data is found to be so, at the beginning and elsewhere."""
    said, read = check()
    equal(said, None, "the same")
    assert 0 in read and len(set(read)) > 8, read
    assert all(at % 4096 == 0 and at + 4096 <= SECTORS * 512
               for at in read), read


@point
def large_blocks():
    """What is read at once is a block of the device at least."""
    for size, step in ((16384, 16384), (512, 4096)):
        with blocks_of(size):
            said, read = check(live=lambda at: b"a", other=lambda at: b"a")
            equal(said, None, "the same")
            assert all(at % step == 0 and at + step <= SECTORS * 512
                       for at in read), (size, read)
            assert any(at % (2 * step) for at in read), (size, read)


@point
def different():
    """Other data is refused, and data beside an error."""
    said, _ = check(other=lambda at: b"x" * 4096)
    assert "the data would differ" in said, said
    said, _ = check(other=lambda at: PLAIN["live"](at) if at < 4096
                    else b"x" * 4096)
    assert "the data would differ" in said, said
    for side in ("live", "other"):
        said, _ = check(**{side: fails})
        assert said and "nothing was changed" in said, said


@point
def errors():
    """Errors on both are no proof: other places are, or none."""
    said, read = check(live=fails, other=fails)
    assert "could be read" in said and "nothing was changed" in said, said
    equal(said.count("data would differ"), 0, said)

    def patchy(at):
        return fails(at) if at // 4096 % 4 else PLAIN["live"](at)
    said, read = check(live=patchy, other=patchy)
    equal(said, None, "some places can be read")
    good = {at for at in read if not at // 4096 % 4}
    assert len(good) >= 4, read
    said, _ = check(live=patchy, other=lambda at: fails(at)
                    if at // 4096 % 4 else b"x" * 4096)
    assert "the data would differ" in said, said


@point
def ends():
    """What is read behind the end is no proof either."""
    said, _ = check(live=lambda at: b"", other=lambda at: b"")
    assert said and "could be read" in said, said


@point
def parts():
    """Each encrypted line needs its proof, those of others none."""
    table = [(0, 8, "linear", ""), (8, 64, "crypt-async", ""),
             (72, SECTORS, "crypt-async", "")]
    said, read = check(table)
    equal(said, None, "all can be read")
    assert min(read) == 8 * 512, "what is not encrypted is not looked at"

    def first(at):
        return PLAIN["live"](at) if at < 72 * 512 else errno.EIO
    said, _ = check(table, live=first, other=first)
    assert said and "could be read" in said, said


end()
