# SPDX-License-Identifier: GPL-2.0-only
"""All encrypted mappings, moved one way while others open and close some."""

import time

from . import interrupts, move
from .common import BUSY, PERMISSION, Problem, code_of, say
from .mapping import encrypted

_TRIES = 5              # of a mapping that others may be at work on
_PATIENCE = 30          # seconds without progress
_PAUSE = 0.05


class Mover:
    """Moves all encrypted mappings one way, again and again while others open
    and close some."""

    def __init__(self, way, only=lambda mapping: True):
        self.way, self._only = way, only
        self.moved = 0
        self.longest = 0, None      # seconds without I/O, and whose
        self.reasons = {}           # of each that stays: (text, code)
        self._tries = {}

    def _left(self):
        return [mapping for mapping, lines in encrypted()
                if not move.is_at(lines, self.way.target)
                and self._only(mapping)]

    def _attempt(self, function, mapping):
        """(what it returned, None), or (None, (why not, exit code)); nothing
        is wrong with one that is gone."""
        try:
            return function(mapping, self.way), None
        except Problem as problem:
            reason = str(problem), problem.code
        except OSError as error:
            reason = f"{mapping.shown}: {error.strerror}", code_of(error)
        return None, reason if mapping.is_there() else None

    def _rehearse(self, mapping):
        """Why it cannot be moved, or None. Others may make it anew meanwhile,
        so that it has several tries; nobody is asked for a passphrase
        again."""
        for _ in range(_TRIES):
            _, reason = self._attempt(move.rehearse, mapping)
            if not reason or reason[1] == PERMISSION:
                break
            time.sleep(_PAUSE)
        return reason

    def rehearse(self):
        """Do everything but the move, of each."""
        left = self._left()
        for number, mapping in enumerate(left, 1):
            interrupts.check()
            if len(left) > 1:
                say(f"{number} of {len(left)}: {mapping.shown} is tried")
            reason = self._rehearse(mapping)
            if reason:
                self.reasons[mapping.uuid, mapping.name] = reason

    def _move(self, mapping):
        stood, reason = self._attempt(move.move, mapping)
        which = mapping.uuid, mapping.name
        if reason:
            self._failed(which, reason)
            return
        # If there is one of that name again, it is another one.
        self._tries.pop(which, None)
        if stood is not None:
            self.moved += 1
            self.longest = max(self.longest, (stood, mapping.shown),
                               key=lambda pair: pair[0])

    def _failed(self, which, reason):
        """It stays, once that has no end. A passphrase is asked for once; what
        somebody else is at work on may take its time."""
        tries, since = self._tries.get(which, (0, time.monotonic()))
        self._tries[which] = tries + 1, since
        if reason[1] == BUSY:
            is_over = time.monotonic() > since + _PATIENCE
        else:
            is_over = reason[1] == PERMISSION or tries + 1 >= _TRIES
        if is_over:
            self.reasons[which] = reason

    def step(self):
        """Move each that can be moved: why there is more to do, or None."""
        for mapping in self._left():
            if (mapping.uuid, mapping.name) not in self.reasons:
                interrupts.check()
                self._move(mapping)
        waiting = [mapping.shown for mapping in self._left()
                   if (mapping.uuid, mapping.name) not in self.reasons]
        return f"{', '.join(waiting)}: not moved yet" if waiting else None

    def stay(self):
        """Those that cannot be moved, and are still there."""
        there = {(mapping.uuid, mapping.name) for mapping in self._left()}
        self.reasons = {which: reason for which, reason
                        in self.reasons.items() if which in there}
        return self.reasons

    def say_why(self):
        """Of each that stays."""
        for text, _ in self.reasons.values():
            say(text)

    def code(self):
        """The exit status: the first reason's."""
        return next((code for _, code in self.reasons.values()), 0)

    def report(self):
        """What was done."""
        seconds, name = self.longest
        if name:
            say(f"{self.moved} moved; I/O of one stood still for at most "
                f"{1000 * seconds:.0f} ms ({name})")

    def refuse(self, partial):
        """Nothing is begun if some cannot be moved, unless that is wanted;
        None where it cannot be wanted."""
        if self.reasons and not partial:
            self.say_why()
            raise Problem("nothing was moved, because not every mapping can be"
                          + (": --partial moves the others"
                             if partial is False else ""), self.code())

    def until(self, attempt, advice):
        """Call it until it has no reason to go on; a Problem, with that, if
        nothing moves any more."""
        moved, since, pause = -1, 0, _PAUSE
        try:
            while reason := attempt():
                interrupts.check()
                if moved != self.moved:
                    moved, since = self.moved, time.monotonic()
                    pause = _PAUSE
                if time.monotonic() > since + _PATIENCE:
                    raise Problem(f"{reason}. {advice}", BUSY)
                time.sleep(pause)
                pause = min(2 * pause, 1)
        except interrupts.Ended:
            if self.moved:
                say(advice)
            raise
