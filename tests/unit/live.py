# SPDX-License-Identifier: GPL-2.0-only
"""takeover, --undo and upgrade on a machine that is made up."""

import contextlib
import errno
import functools
import io
import itertools
import os
import tempfile
import types

from crypt_async import (common, interrupts, live, move, mover, takeover,
                         upgrade)
from machine import ASYNC, CRYPT, DM_CRYPT, OURS, PARAMS, machine
from points import end, equal, point

DIRECTORY = tempfile.mkdtemp()
TAKE, UNDO, UPGRADE = (live.take_over, (), False, False), \
    (live.undo, (), False, False), (upgrade.upgrade, ())
NAMED = {"takeover": TAKE, "undo": UNDO, "upgrade": UPGRADE}
made_up = functools.partial(machine, DIRECTORY)


def is_taken_over(made, *names, version="1"):
    """All is on this module, which is the target crypt alone."""
    equal(made.state(), (dict.fromkeys(names, "ours"), "only", [OURS], False),
          f"taken over; it said {made.said}")
    equal(made.loaded[OURS], version, "which version")
    equal(os.path.exists(made.line), True, "modprobe's line")
    equal(os.path.exists(made.flag), False, "dm-crypt is wanted")


def is_undone(made, *names):
    """All is on dm-crypt, and this module is beside it, if it is loaded."""
    homes, value, loaded, is_half_done = made.state()
    equal((homes, DM_CRYPT in loaded, is_half_done),
          (dict.fromkeys(names, CRYPT), True, False),
          f"undone; it said {made.said}")
    assert value in ("N", None), value
    equal(os.path.exists(made.line), False, "modprobe's line")
    equal(os.path.exists(made.flag), True, "dm-crypt is wanted")


@point
def there_and_back():
    """takeover and --undo, both twice; a new version between them."""
    with made_up("a", "b") as made:
        for _ in range(2):
            equal(made.run(*TAKE), 0, made.said)
            is_taken_over(made, "a", "b")
        equal(made.run(*UPGRADE), 0, made.said)
        equal(made.said, ["the module that is installed is loaded"], "upgrade")
        made.installed = "2"
        equal(made.run(*UPGRADE), 0, made.said)
        is_taken_over(made, "a", "b", version="2")
        for _ in range(2):
            equal(made.run(*UNDO), 0, made.said)
            is_undone(made, "a", "b")


@point
def from_each_value():
    """takeover and --undo from whatever replace_dm_crypt is."""
    for value, home in (("N", ASYNC), ("Y", ASYNC), ("Y", CRYPT),
                        ("only", CRYPT), ("shown", ASYNC)):
        for words, check in ((TAKE, is_taken_over), (UNDO, is_undone)):
            with made_up() as made:
                made.loaded.pop(DM_CRYPT)
                made.loaded[OURS], made.names = "1", value
                made.dm.make("v", [(0, 8, made._home(home), PARAMS)])
                equal(made.run(*words), 0, f"{value}, {home}: {made.said}")
                check(made, "v")


def count(what, *names):
    """How many steps a command has."""
    with before(what, *names) as made:
        made.run(*NAMED[what])
        return made.steps


@contextlib.contextmanager
def before(what, *names):
    """A machine on which this command has something to do."""
    with made_up(*names) as made:
        if what != "takeover":
            equal(made.run(*TAKE), 0, made.said)
        if what == "upgrade":
            made.installed = "2"
        yield made


@point
def killed():
    """Killed at any step, each mapping is on one of the two; a second run ends
    or undoes it."""
    for what in NAMED:
        steps = count(what, "a", "b")
        print(f"# {what}: {steps} steps")
        for step, then in itertools.product(range(1, steps + 1), NAMED):
            if then == "upgrade" and what != "upgrade":
                continue
            with before(what, "a", "b") as made:
                made.kill_at = step
                equal(made.run(*NAMED[what]), None, "it was killed")
                equal(sorted(made.homes()), ["a", "b"], "all are there")
                made.open("c")          # as well as somebody can then
                equal(made.run(*NAMED[then]), 0,
                      f"{what}, step {step}, {then}: {made.said}")
                if then == "undo":
                    is_undone(made, "a", "b", "c")
                    continue
                # An upgrade's goal is takeover, as it was before.
                is_taken_over(made, "a", "b", "c",
                              version=made.loaded[OURS])
                if then == "upgrade":
                    equal(made.loaded[OURS], "2", f"step {step}: the version")


@point
def killed_when_adopted():
    """An upgrade that is killed restores what was adopted, and no more."""
    steps = 0
    for step in itertools.count(1):
        with made_up("a", "b") as made:
            made.run(live.load_module)
            equal(made.run(move.adopt, ["a"], False, ()), 0, made.said)
            made.installed, made.kill_at = "2", step
            ended = made.run(*UPGRADE)
            if ended is None:
                steps += 1
                equal(made.run(*UPGRADE), 0, f"step {step}: {made.said}")
            homes, value, loaded, is_half_done = made.state()
            equal((homes, value, loaded, is_half_done),
                  ({"a": ASYNC, "b": CRYPT}, "N", [DM_CRYPT, OURS], False),
                  f"step {step}: {made.said}")
            equal(made.loaded[OURS], "2", f"step {step}")
            equal(os.path.exists(made.flag), False, "dm-crypt is wanted")
            if ended == 0:
                break
    assert steps > 8, f"{steps} steps"


@point
def others_open_and_close():
    """Who opens or closes a volume at any step is not refused, and it ends
    where all others do."""
    for what, words in NAMED.items():
        steps = count(what, "a", "b")
        for first in range(1, steps + 1):
            for last in first, steps + 1:
                with before(what, "a", "b") as made:
                    def others(step, made=made, first=first, last=last):
                        if step == first:
                            made.open("c")
                            made.close("b")
                        if step == last:
                            made.close("c")
                            made.open("c")
                            made.open("d")
                    made.at_step = others
                    equal(made.run(*words), 0,
                          f"{what}, {first}, {last}: {made.said}")
                    left = [name for name in ("a", "c", "d")
                            if name in made.homes()]
                    if what == "undo":
                        is_undone(made, *left)
                    else:
                        is_taken_over(made, *left, version=made.installed)


NO = common.Problem("b: no", common.USAGE)


@point
def refused():
    """Where one cannot be moved, nothing is moved, and all is as it was."""
    for what in NAMED:
        with before(what, "a", "b") as made:
            made.refused["b"] = NO
            state = made.state(), os.path.exists(made.line), \
                os.path.exists(made.flag)
            equal(made.run(*NAMED[what]), common.USAGE, made.said)
            # takeover loads the module to try it.
            if what == "takeover":
                made.loaded.pop(OURS)
            equal((made.state(), os.path.exists(made.line),
                   os.path.exists(made.flag)), state, what)
            assert made.said[-2] == "b: no", made.said
            assert "nothing was moved" in made.said[-1], made.said
            equal("--partial" in made.said[-1], what != "upgrade", made.said)


@point
def another_line():
    """modprobe has a line of somebody else's: nothing is begun."""
    for what in "takeover", "upgrade":
        with before(what, "a") as made:
            made.other = "/bin/false"
            state = made.homes(), os.path.exists(made.line)
            equal(made.run(*NAMED[what]), common.DEVICE, made.said)
            assert "install dm_crypt /bin/false" in made.said[-1], made.said
            equal((made.homes(), os.path.exists(made.line)), state, what)
            made.other = None
            equal(made.run(*NAMED[what]), 0, made.said)
            made.other = "/bin/false"
            made.run(*TAKE)
            equal((os.path.exists(made.line), made.names), (True, "only"),
                  "it stays taken over")
            equal(made.run(*UNDO), 0, made.said)
            made.run(*TAKE)
            is_undone(made, "a")


@point
def refused_when_adopted():
    """Undo and upgrade that are refused leave an adopted mapping as it is."""
    for words in UNDO, UPGRADE:
        with made_up("a") as made:
            made.run(live.load_module)
            equal(made.run(move.adopt, ["a"], False, ()), 0, made.said)
            made.installed, made.refused["a"] = "2", NO
            equal(made.run(*words), common.USAGE, made.said)
            equal(made.state(), ({"a": ASYNC}, "N", [DM_CRYPT, OURS], False),
                  f"as it was; it said {made.said}")
            equal(os.path.exists(made.flag), False, "dm-crypt is wanted")


@point
def refused_second():
    """An upgrade's second run, refused, keeps what is to be restored."""
    with made_up("a", "b") as made:
        made.run(live.load_module)
        made.run(move.adopt, ["a", "b"], False, ())
        made.installed = "2"

        def kill(_step):
            if made.homes()["a"] == CRYPT:
                made.kill_at = made.steps + 1
        made.at_step = kill
        equal(made.run(*UPGRADE), None, "it was killed")
        equal(made.homes(), {"a": CRYPT, "b": ASYNC}, "half way")
        made.refused["b"] = NO
        equal(made.run(*UPGRADE), common.USAGE, made.said)
        made.refused.clear()
        equal(made.run(*UPGRADE), 0, made.said)
        equal(made.homes(), {"a": ASYNC, "b": ASYNC}, "as it was")


@point
def partial():
    """With --partial the others are moved; a later run does the rest."""
    with made_up("a", "b") as made:
        made.refused["b"] = NO
        equal(made.run(live.take_over, (), True, False), common.USAGE,
              made.said)
        equal(made.state(), ({"a": "ours", "b": CRYPT}, "shown",
                             [DM_CRYPT, OURS], False), "the others")
        assert "takeover is not complete" in made.said[-1], made.said
        made.open("c")
        made.refused.clear()
        equal(made.run(*TAKE), 0, made.said)
        is_taken_over(made, "a", "b", "c")
        made.refused["b"] = NO
        equal(made.run(live.undo, (), True, False), common.USAGE, made.said)
        equal(made.state(), ({"a": CRYPT, "b": "ours", "c": CRYPT}, "shown",
                             [DM_CRYPT, OURS], False), "the others")
        assert "b: no" in made.said, made.said
        # What stays is gone: nothing is in the way any more.
        made.close("b")
        equal(made.run(*UNDO), 0, made.said)
        is_undone(made, "a", "c")


@point
def missing():
    """Without the module, or without dm-crypt, nothing is begun."""
    for what, has, text in (("takeover", "installed", "has no module"),
                            ("undo", "has_dm_crypt", "no dm-crypt"),
                            ("upgrade", "has_dm_crypt", "no dm-crypt"),
                            ("upgrade", "installed", "has no module")):
        with before(what, "a") as made:
            setattr(made, has, None)
            state = made.state()
            equal(made.run(*NAMED[what]), common.DEVICE, made.said)
            equal(made.state(), state, what)
            equal(made.steps, 0, "steps")
            assert text in made.said[-1], made.said
    with before("upgrade", "a") as made:
        made.loads = False
        equal(made.run(*UPGRADE), common.DEVICE, made.said)
        assert "does not load" in made.said[-1], made.said
        equal(made.state(), ({"a": CRYPT}, None, [DM_CRYPT], True), "as said")
        made.open("b")
        made.loads = True
        equal(made.run(*UPGRADE), 0, made.said)
        is_taken_over(made, "a", "b", version="2")
    with made_up("a") as made:
        equal(made.run(*UPGRADE), 0, made.said)
        equal(made.said, ["the module is not loaded"], "nothing is due")
        equal(made.steps, 0, "steps")


@point
def not_loadable():
    """A module that cannot be loaded is found before anything is moved."""
    enforced = {upgrade.ENFORCED: "Y"}
    locked = {upgrade.LOCKDOWN: "none [integrity] confidentiality"}
    unlocked = {upgrade.ENFORCED: "N",
                upgrade.LOCKDOWN: "[none] integrity confidentiality"}
    for how, text in (({"built_for": "5.10.0-1"}, "built for 5.10.0-1"),
                      ({"signed_only": enforced}, "is not signed"),
                      ({"signed_only": locked}, "is not signed")):
        with before("upgrade", "a") as made:
            vars(made).update(how)
            state = made.state()
            equal(made.run(*UPGRADE), common.DEVICE, made.said)
            equal(made.state(), state, how)
            equal(made.steps, 0, "steps")
            assert text in made.said[-1], made.said
    for how in ({"signed_only": unlocked},
                {"signed_only": enforced, "signer": "somebody"},
                {"signed_only": locked, "signer": "somebody"}):
        with before("upgrade", "a") as made:
            vars(made).update(how)
            equal(made.run(*UPGRADE), 0, made.said)
            is_taken_over(made, "a", version="2")


@point
def built_in():
    """A built-in dm-crypt is not replaced; --partial moves mappings."""
    with made_up("a") as made:
        made.built_in = True
        equal(made.run(*TAKE), common.USAGE, made.said)
        assert "built into" in made.said[-1], made.said
        equal(made.steps, 0, "steps")
        equal(made.run(live.take_over, (), True, False), 0, made.said)
        equal(made.state()[:2], ({"a": "ours"}, "shown"), "it is moved")
        assert "takeover is not complete" in made.said[-1], made.said
        equal(made.run(*UNDO), 0, made.said)
        is_undone(made, "a")


@point
def undo_without_module():
    """--undo takes modprobe's line back with the module unloaded, too."""
    with before("upgrade", "a") as made:
        made.loads = False
        made.run(*UPGRADE)
        equal(made.state()[3], True, "an upgrade is half done")
        equal(made.run(*UNDO), 0, made.said)
        is_undone(made, "a")
    with made_up() as made:
        made.loaded.clear()
        made.run(live.put_line)
        takeover.write_file(made.boot, takeover.TEXT)
        equal(made.run(*UNDO), 0, made.said)
        made.open("a")
        equal(made.homes(), {"a": CRYPT}, "as it said")


@point
def one_at_a_time():
    """A second takeover or upgrade does not begin while one is at work."""
    with made_up("a") as made:
        said = []

        def again(_step):
            for function, *args in NAMED.values():
                try:
                    function(*args)
                    raise AssertionError("it begins")
                except common.Problem as problem:
                    equal(problem.code, common.BUSY, str(problem))
                    said.append(str(problem))
        made.at_step = again
        made.run(*TAKE)
        assert said and all("at work" in each for each in said), said
        is_taken_over(made, "a")


@point
def older_line():
    """A file that an older enable-takeover wrote gets today's line; another
    one is left alone."""
    with made_up("a") as made:
        for text in (f"{takeover.MARK}.\ninstall dm_crypt old\n",
                     takeover.TEXT + "options dm_crypt x=1\n"):
            with open(made.boot, "w", encoding="ascii") as file:
                file.write(text)
            equal(made.run(*TAKE), 0, made.said)
            equal(common.read(made.boot), (
                text if takeover.LINE in text else takeover.TEXT).strip(),
                "the file")
            equal(os.path.exists(made.line), False, "one line is enough")
        made.run(*UNDO)
        with open(made.boot, "w", encoding="ascii") as file:
            file.write("# an administrator's\n")
        equal(made.run(*TAKE), common.DEVICE, made.said)
        is_undone(made, "a")
        equal(common.read(made.boot), "# an administrator's", "the file")


# --- Mover -------------------------------------------------------------------

@contextlib.contextmanager
def moving(function, *names):
    """A Mover to this module, whose moves and rehearsals are a function."""
    with made_up(*names) as made:
        made.run(live.load_module)
        old = move.move, move.rehearse
        move.move = move.rehearse = function
        try:
            yield made, mover.Mover(move.Way(ASYNC, (), {}))
        finally:
            move.move, move.rehearse = old


@point
def vanishes():
    """A mapping that vanishes is no failure; one that fails is a reason when
    it has failed five times."""
    def function(found, _way):
        calls.append(found.name)
        if found.name == "a":
            made.close("a")
        raise OSError(errno.ENXIO, "No such device")
    for call, tries in ((mover.Mover.step, 1), (mover.Mover.rehearse, 5)):
        calls = []
        with moving(function, "a", "b") as (made, moved):
            call(moved)
            equal(calls.count("a"), 1, "of one that is gone")
            equal(calls.count("b"), tries, "of one that fails")
            if call == mover.Mover.rehearse:
                equal(moved.reasons, {("", "b"): ("b: No such device",
                                                  common.DEVICE)}, "reasons")
                continue
            for _ in range(3):
                equal(moved.step(), "b: not moved yet", "why to go on")
                equal(moved.reasons, {}, "reasons")
            equal(moved.step(), None, "nothing is to be waited for")
            equal(moved.stay(), {("", "b"): ("b: No such device",
                                             common.DEVICE)}, "reasons")
            equal(moved.step(), None, "it is not tried again")
            equal(calls.count("b"), 5, "tries")
            equal(moved.code(), common.DEVICE, "the exit status")
            made.close("b")
            equal(moved.stay(), {}, "it is gone")
            equal(moved.code(), 0, "the exit status")


@point
def made_anew():
    """Tries of a mapping are not those of one that had its name before."""
    def function(found, _way):
        if len(done) % 5 == 4:
            made.close("a")
            done.append("closed")
            raise OSError(errno.ENXIO, "No such device")
        done.append("failed")
        raise common.Problem("a: no")
    done = []
    with moving(function, "a") as (made, moved):
        for _ in range(15):
            moved.step()
            equal(moved.reasons, {}, done)
            if "a" not in made.homes():
                made.open("a")
    equal(done.count("failed"), 12, done)


@point
def rehearsed():
    """A rehearsal that fails once is repeated; a passphrase is asked for
    once."""
    def function(found, _way):
        calls.append(found.name)
        if found.name == "a" and calls.count("a") < 3:
            raise common.Problem("a is not an encrypted mapping", common.USAGE)
        if found.name == "b":
            raise common.Problem("cryptsetup failed", common.PERMISSION)
    calls = []
    with moving(function, "a", "b") as (made, moved):
        moved.rehearse()
        equal(calls, ["a", "a", "a", "b"], "tries")
        equal(moved.reasons, {("", "b"): ("cryptsetup failed",
                                          common.PERMISSION)}, "reasons")
        made.said.clear()
        for partial_too, text in ((False, "--partial moves"), (None, "")):
            try:
                moved.refuse(partial_too)
                raise AssertionError("it is not refused")
            except common.Problem as problem:
                equal(problem.code, common.PERMISSION, str(problem))
                equal("--partial" in str(problem), bool(text), str(problem))
        equal(made.said, ["cryptsetup failed"] * 2, "what it said")
        moved.refuse(True)
        moved.reasons.clear()
        moved.refuse(False)


@point
def gives_up():
    """until() gives up with the reason when nothing has moved for a while."""
    with moving(lambda found, way: None) as (_, moved):
        now, asked = itertools.count(), []
        old, mover.time = mover.time, types.SimpleNamespace(
            monotonic=lambda: next(now), sleep=lambda seconds: None)

        def attempt():
            asked.append(1)
            moved.moved += len(asked) in (2, 20)
            return "it is in use"
        try:
            moved.until(attempt, "Again.")
            raise AssertionError("it ends")
        except common.Problem as problem:
            equal(str(problem), "it is in use. Again.", "the reason")
            equal(problem.code, common.BUSY, "the exit status")
        finally:
            mover.time = old
        assert 45 < len(asked) < 55, len(asked)
        answers = iter(["once", "twice", None])
        moved.until(lambda: next(answers), "")


@point
def ended():
    """When the command is to end, it says how to go on, if it has begun."""
    for count_moved in 0, 1:
        with moving(lambda found, way: None) as (made, moved):
            def check():
                raise interrupts.Ended(15)
            interrupts.check, moved.moved = check, count_moved
            made.said.clear()
            try:
                moved.until(lambda: "in use", "Again.")
                raise AssertionError("it goes on")
            except interrupts.Ended:
                equal(made.said, ["Again."] * count_moved, "advice")


@point
def reported():
    """What was moved is said, with the longest time without I/O."""
    times = iter([0.004, 0.0301, 0.02])
    with moving(lambda found, way: next(times), "a", "b", "c") as (made,
                                                                   moved):
        made.said.clear()
        moved.report()
        equal(made.said, [], "nothing was moved")
        moved.step()
        moved.report()
        equal(made.said, ["3 moved; I/O of one stood still for at most 30 ms "
                          "(b)"], "the longest")


# --- the parameter -----------------------------------------------------------

class Parameter(io.RawIOBase):
    """The file of a parameter that is refused."""
    code, written = 0, []

    def writable(self):
        """It is."""
        return True

    def write(self, data):
        """What the kernel answers."""
        self.written.append(bytes(data))
        if self.code:
            raise OSError(self.code, os.strerror(self.code))
        return len(data)


def opened(_path, mode="r", buffering=-1, **how):
    """As open() does."""
    raw = Parameter()
    if buffering == 0:
        return raw
    raw = io.BufferedWriter(raw)
    return raw if "b" in mode else io.TextIOWrapper(raw, **how)


@point
def parameter():
    """The kernel's words where a value is refused now; that the module is
    older where there is no such value."""
    class Log:
        """The kernel's."""
        def said(self):
            """What it says."""
            return "the name crypt stays: home uses it"
    old = live.Kernel
    live.Kernel, live.open = Log, opened
    try:
        for code, wanted in ((0, None),
                             (errno.EBUSY, "the name crypt stays: home uses "
                                           "it")):
            Parameter.code = code
            Parameter.written.clear()
            equal(live.set_names("shown"), wanted, "what it returns")
            equal(Parameter.written, [b"shown"], "what is written")
        for code in errno.EINVAL, errno.EACCES:
            Parameter.code = code
            try:
                live.set_names("shown")
                raise AssertionError("it is taken")
            except common.Problem as problem:
                assert "is older" in str(problem), str(problem)
        Parameter.code = errno.EIO
        try:
            live.set_names("shown")
            raise AssertionError("it is taken")
        except OSError as error:
            equal(error.errno, errno.EIO, "another error")
    finally:
        live.Kernel = old
        del live.open


@point
def programs():
    """A program's own words where it fails; none where it does not."""
    equal(live.program("true"), None, "it does not fail")
    equal(live.program("false"), "false failed", "it has no words")
    equal(live.program("sh", "-c", "echo why >&2; exit 1"), "why", "its words")
    try:
        live.program("no-such-program")
        raise AssertionError("it is there")
    except common.Problem as problem:
        assert "not installed" in str(problem), str(problem)


end()
