# SPDX-License-Identifier: GPL-2.0-only
"""A machine that is made up, for takeover and upgrade: two modules that can be
the target crypt, with what the kernel says of their names (src/names.c),
modprobe with its line, and others who open volumes. It can be stopped at any
step that changes something, as SIGKILL does."""

import contextlib
import os

import made_up
from crypt_async import (common, interrupts, leftovers, live, mapping, move,
                         mover, takeover, upgrade)

PARAMS = made_up.PARAMS
CRYPT, ASYNC = "crypt", "crypt-async"
OURS, DM_CRYPT = common.MODULE, "dm_crypt"


class Killed(BaseException):
    """What the command does not catch; nothing that it does later counts."""


class Machine:
    """One with dm-crypt loaded, and version 1 of the module installed."""

    def __init__(self, directory):
        self.said, self.patches = [], contextlib.ExitStack()
        self.has_dm_crypt = self.loads = True   # as modules, for modprobe
        self.built_in = False
        self.other = None               # modprobe's line of somebody else's
        self.loaded = {DM_CRYPT: "1"}           # and their versions
        self.installed, self.names = "1", "N"
        self.built_for, self.signer = takeover.RELEASE, None
        self.signed_only = {}           # files that say so
        self.refused = {}               # names of mappings: why
        self.steps, self.kill_at, self.at_step = 0, None, lambda step: None
        self._is_killed = self._is_busy = False
        self.keys_asked = []
        self.dm = made_up.DeviceMapper()
        self.dm.home = self._home
        self.dm.changing = lambda command: self._step()
        self.dm.install()
        self.line, self.goal, self.flag, self.boot = (
            f"{directory}/{name}" for name in (
                "line.conf", "goal", "use-dm-crypt", "boot.conf"))
        self._install()

    # --- what the command finds -------------------------------------------

    def _install(self):
        """Have the command find this machine."""
        really = {name: getattr(takeover, name)
                  for name in ("write_file", "remove_file")}

        def counted(name):
            def call(*args):
                self._step()
                return really[name](*args)
            return call
        files = {name: counted(name) for name in really}
        for module, names in (
                (mapping, {"parameter": self._parameter,
                           "is_loaded": self.loaded.__contains__,
                           "Kernel": Log}),
                (live, {"LINE_NOW": self.line, "GOAL": self.goal,
                        "WANTS_DM_CRYPT": self.flag, **files,
                        "set_names": self._set_names,
                        "program": self._program,
                        "parameter": self._parameter,
                        "is_loaded": self.loaded.__contains__,
                        "is_built_in": lambda: self.built_in,
                        "_is_older": lambda: False,
                        "load_module": self._load_module}),
                (upgrade, {"GOAL": self.goal, "parameter": self._parameter,
                           "is_loaded": self.loaded.__contains__,
                           "installed": lambda: self.installed,
                           "_field": self._field, "read": self._read}),
                (takeover, {"WANTS_DM_CRYPT": self.flag,
                            "TAKEOVER": self.boot, **files,
                            "has_module": self._has_module,
                            "_others_line": lambda: self.other,
                            "is_built_in": lambda: self.built_in}),
                (move, {"keep_private": lambda: None,
                        "load_module": self._load_module}),
                (move.boot, {"grub_paths": lambda mapping: []}),
                (move.verify, {"same_data": self._same_data}),
                (interrupts, {"check": lambda: None}),
                (mover.time, {"sleep": lambda seconds: None}),
                (mapping.Mapping, {"opened": contextlib.nullcontext}),
                *((each, {"say": self.said.append}) for each in (
                    live, upgrade, takeover, move, mover, leftovers))):
            for name, value in names.items():
                self.patches.callback(setattr, module, name,
                                      vars(module)[name])
                setattr(module, name, value)

    def _step(self):
        """Something is about to change."""
        if self._is_busy:
            return              # that is others' doing
        if self._is_killed:
            raise Killed
        self.steps += 1
        if self.steps == self.kill_at:
            self._is_killed = True
            raise Killed
        self._is_busy = True
        self.at_step(self.steps)
        self._is_busy = False

    def _parameter(self, _name):
        return self.names if OURS in self.loaded else None

    def _has_module(self, name=OURS):
        return bool(self.installed) if name == OURS else self.has_dm_crypt

    def _field(self, name):
        return {"vermagic": f"{self.built_for} SMP",
                "signer": self.signer}[name]

    def _read(self, path):
        if path == upgrade.LOADED:
            return self.loaded.get(OURS)
        if path in (upgrade.ENFORCED, upgrade.LOCKDOWN):
            return self.signed_only.get(path)
        return common.read(path)

    def _load_module(self):
        if OURS not in self.loaded:
            self._program("modprobe", OURS, "replace_dm_crypt=N")

    def _same_data(self, found, table):
        reason = self.refused.get(found.name)
        if reason:
            raise reason
        for _, _, target, _ in table:
            if self._home(target) is None:
                raise common.Problem(f"{found.name}: no target {target}")

    # --- the kernel ---------------------------------------------------------

    def _home(self, target, _default=None):
        """What becomes of a line with this name; None: there is no such
        target."""
        stands_in = self._parameter("") in ("Y", "only")
        if target == ASYNC:
            return {"N": ASYNC, "Y": ASYNC, "shown": made_up.SHOWN}.get(
                self._parameter(""))
        if target != CRYPT:
            return target
        if stands_in:
            return made_up.SHOWN
        return CRYPT if self.built_in or DM_CRYPT in self.loaded else None

    def _lines(self):
        return [line for made in self.dm.made.values()
                for line in [*made.table, *(made.loaded or ())]]

    def _users(self, wanted):
        return [line for line in self._lines()
                if (isinstance(line[2], made_up.Shown), line[2]) in wanted]

    def _names_refused(self, value):
        """Why the kernel refuses a value."""
        has_dm_crypt = self.built_in or DM_CRYPT in self.loaded
        if value in ("Y", "only") and self.names in ("N", "shown") and \
                has_dm_crypt:
            return "dm-crypt has the name crypt"
        if value == "N" and self._users([(True, CRYPT)]):
            return "the name crypt stays"
        if value == "only" and self._users([(False, ASYNC)]):
            return "the name crypt-async stays"
        return None

    def _write(self, value):
        reason = self._names_refused(value)
        if not reason:
            self.names = value
            for made in self.dm.made.values() if value == "shown" else ():
                made.table = [(*line[:2], made_up.SHOWN, line[3])
                              if line[2] == ASYNC else line
                              for line in made.table]
        return reason

    def _set_names(self, value):
        self._step()
        assert OURS in self.loaded, "there is no such parameter"
        return self._write(value)

    def _program(self, *words):
        self._step()
        assert OURS in words[1:] or DM_CRYPT in words[1:], words
        if words[0] == "rmmod":
            return self._rmmod(words[1])
        if DM_CRYPT in words:
            assert "--ignore-install" in words, "this module would come"
            return self._load_dm_crypt()
        assert "replace_dm_crypt=N" in words, words
        if not self.installed or not self.loads:
            return "Exec format error"
        self.names, self.loaded[OURS] = "N", self.installed
        return None

    def _rmmod(self, name):
        assert name in self.loaded, f"{name} is not loaded"
        if self._users([(True, CRYPT), (False, ASYNC)] if name == OURS
                       else [(False, CRYPT)]):
            return f"Module {name} is in use"
        del self.loaded[name]
        return None

    def _load_dm_crypt(self):
        if not self.has_dm_crypt:
            return "not found"
        if DM_CRYPT not in self.loaded and \
                self._parameter("") in ("Y", "only"):
            return "File exists"
        self.loaded[DM_CRYPT] = "1"
        return None

    # --- others -------------------------------------------------------------

    def _modprobe(self):
        """Of dm-crypt, as takeover.LINE has it."""
        has_line = os.path.exists(self.line) or os.path.exists(self.boot)
        if has_line and not os.path.exists(self.flag) and self.installed:
            if OURS not in self.loaded:
                if DM_CRYPT not in self.loaded and self.loads:
                    self.names, self.loaded[OURS] = "only", self.installed
                    return
            elif not self._write("only") or not self._write("Y"):
                return
        self._load_dm_crypt()

    def open(self, name):
        """Somebody opens a volume: a Failed if that is refused."""
        if self._home(CRYPT) is None:
            self._modprobe()
        home = self._home(CRYPT)
        assert home, f"{name} cannot be opened: {self}"
        self.dm.make(name, [(0, 8, home, PARAMS)], status="")

    def close(self, name):
        """And closes it."""
        self.dm.made.pop(name.encode(), None)

    def __str__(self):
        return f"{self._parameter('')}, {sorted(self.loaded)}, " \
            f"{os.path.exists(self.line)}, {os.path.exists(self.flag)}"

    # --- the test -----------------------------------------------------------

    def run(self, function, *args):
        """Call one of the commands: its exit status, None if it was
        killed."""
        self.steps, self._is_killed, self.said[:] = 0, False, []
        try:
            return function(*args)
        except common.Problem as problem:
            self.said.append(str(problem))
            return problem.code
        except Killed:
            return None
        finally:
            self.dm.locked.clear()
            self.kill_at, self.at_step = None, lambda step: None

    def homes(self):
        """Where each mapping is: ASYNC, "ours" if it is shown as crypt, or
        CRYPT."""
        return {name.decode(): "ours" if isinstance(
            made.table[0][2], made_up.Shown) else made.table[0][2]
            for name, made in self.dm.made.items()}

    def state(self):
        """All that there is to be seen."""
        return (self.homes(), self._parameter(""), sorted(self.loaded),
                os.path.exists(self.goal))


class Log:
    """The kernel's log."""

    def said(self):
        """What it says."""
        return "so it is"


@contextlib.contextmanager
def machine(directory, *names):
    """One with some volumes on dm-crypt."""
    for name in os.listdir(directory):
        os.unlink(f"{directory}/{name}")
    made = Machine(directory)
    with made.patches:
        for name in names:
            made.open(name)
        yield made
