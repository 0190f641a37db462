# SPDX-License-Identifier: GPL-2.0-only
"""Signals that end the command, which come while it waits for something and
not while a step is half done."""

import contextlib
import ctypes
import os
import signal
import subprocess

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PR_SET_PDEATHSIG = 1
_PATIENCE = 10          # seconds that a program has to end


class Ended(KeyboardInterrupt):
    """The command is to end; `number` is the signal's."""

    def __init__(self, number):
        super().__init__()
        self.number = number


def _end(number, _frame):
    """Once: what cleans up is not interrupted again."""
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise Ended(number)


def clean_up_first():
    """From here on the signals end the command wherever it is, but what it
    has made is cleaned up. Those that are ignored (nohup) stay so."""
    for each in ENDING:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, _end)


def hold():
    """The same, but they wait until check() or allowed()."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    clean_up_first()


def let_go():
    """From here on they end this process at once: for another program that
    takes its place."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    # Python ignores these.
    for each in signal.SIGPIPE, signal.SIGXFSZ:
        signal.signal(each, signal.SIG_DFL)


@contextlib.contextmanager
def allowed():
    """In here the command may be ended anywhere, where it is ever."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        if _end in map(signal.getsignal, ENDING):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check():
    """End the command here, if a signal to do so has waited since hold()."""
    with allowed():
        pass


def _child(libc, parent, dies):
    """What a program has from this one: no blocked signals, and none that
    come here; and it does not outlive it, if it dies with it."""
    for each in ENDING:
        if signal.getsignal(each) == _end:
            signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    if dies:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def attend(words, *, dies=False, waits=False, **how):
    """Run a program: its exit status and its output, if stdout=PIPE is given.
    It is ended first if the command is to end; or is waited for."""
    libc, parent = ctypes.CDLL(None), os.getpid()
    with subprocess.Popen(words, text=True, **how, preexec_fn=lambda: _child(
            libc, parent, dies)) as program:
        try:
            with contextlib.nullcontext() if waits else allowed():
                out, _ = program.communicate()
        except BaseException:
            program.terminate()
            try:
                program.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                program.kill()
            raise
    return program.returncode, out
