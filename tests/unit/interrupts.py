# SPDX-License-Identifier: GPL-2.0-only
"""Signals that end the command wait until a step is done; programs that it
runs end first, are waited for, or die with it."""

import os
import signal
import subprocess
import tempfile
import time

from crypt_async import interrupts, takeover
from points import end, equal, point

# A shell has what runs in the background ignore some of them.
signal.pthread_sigmask(signal.SIG_SETMASK, ())
for each in interrupts.ENDING:
    signal.signal(each, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def forked(function):
    """Call it in a process of its own; how that ended."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = function() or 0
        except interrupts.Ended as error:
            code = 128 + error.number
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def me(number):
    """A signal to this process."""
    os.kill(os.getpid(), number)


@point
def waits():
    """A signal waits until the next check, and only the first one counts."""
    def step():
        interrupts.hold()
        me(signal.SIGTERM)
        time.sleep(0.05)        # here it would end
        try:
            interrupts.check()
        finally:
            me(signal.SIGINT)
            interrupts.check()
    equal(forked(step), 143, "SIGTERM")

    def nothing():
        interrupts.hold()
        interrupts.check()
        return 7
    equal(forked(nothing), 7, "no signal")

    def late():
        interrupts.hold()
        me(signal.SIGHUP)
        return 8
    equal(forked(late), 8, "behind the last check")


@point
def ignored():
    """What is ignored, as nohup has it, stays so."""
    def step():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        interrupts.hold()
        me(signal.SIGHUP)
        interrupts.check()
        return 7
    equal(forked(step), 7, "SIGHUP")


@point
def without():
    """Where nothing is held, as in status, nothing changes."""
    def step():
        interrupts.attend(["true"])
        with interrupts.allowed():
            me(signal.SIGTERM)
        return 7
    equal(forked(step), -signal.SIGTERM, "SIGTERM")


@point
def program():
    """A program has no blocked signals; it is ended before the command is."""
    def blocked():
        interrupts.hold()
        _, text = interrupts.attend(["cat", "/proc/self/status"],
                                    stdout=subprocess.PIPE)
        return "SigBlk:\t0000000000000000" not in text
    equal(forked(blocked), 0, "blocked signals")
    with tempfile.TemporaryDirectory() as directory:
        told = f"{directory}/told"
        script = f"trap 'echo ended >{told}; exit' TERM; kill -{{}} $PPID; " \
            "while :; do sleep 0.05; done"

        def step():
            interrupts.hold()
            interrupts.attend(["sh", "-c", script.format("INT")])
        equal(forked(step), 130, "SIGINT")
        with open(told, encoding="ascii") as file:
            equal(file.read(), "ended\n", "the program")


@point
def waited_for():
    """A program that must not be ended is waited for."""
    with tempfile.TemporaryDirectory() as directory:
        def step():
            interrupts.hold()
            interrupts.attend(
                ["sh", "-c", f"kill -TERM $PPID; sleep 0.2; touch "
                 f"{directory}/done"], waits=True)
            return 7 if os.path.exists(f"{directory}/done") else 8
        equal(forked(step), 7, "it is waited for")


@point
def dies():
    """A program dies with the command, if it is to."""
    for is_to_die in (True, False):
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)

        def step(is_to_die=is_to_die, writer=writer):
            interrupts.hold()
            interrupts.attend(["sh", "-c", "kill -KILL $PPID; sleep 0.3; "
                               "echo alive"], dies=is_to_die,
                              stdout=writer)
        equal(forked(step), -signal.SIGKILL, "SIGKILL")
        os.close(writer)
        with open(reader, "rb") as file:
            equal(file.read(), b"" if is_to_die else b"alive\n", is_to_die)


def take_over(directory, script):
    """Takeover is enabled with a made-up update-initramfs: how that ended,
    what that program wrote, and whether the file is there, whole."""
    with open(f"{directory}/update-initramfs", "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\n{script}\n")
    os.chmod(f"{directory}/update-initramfs", 0o755)
    takeover.TAKEOVER, log = f"{directory}/conf", f"{directory}/log"
    takeover.say = lambda _: None

    def step():
        interrupts.hold()
        os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"
        os.environ["LOG"] = log
        takeover._change(takeover.TEXT)
    code = forked(step)
    for _ in range(100):
        with open(log, encoding="ascii") as file:
            text = file.read()
        if text.endswith("end\n"):
            break
        time.sleep(0.05)
    there = None
    if os.path.exists(takeover.TAKEOVER):
        with open(takeover.TAKEOVER, encoding="ascii") as file:
            there = file.read() == takeover.TEXT
    return code, text, there


@point
def initramfs():
    """An initramfs that is being made is not ended in the middle; if it cannot
    be made, all goes back; killed, it is made nevertheless."""
    for number, code in ((15, 0), (9, -9)):
        with tempfile.TemporaryDirectory() as directory:
            equal(take_over(directory, "echo begin >>$LOG; kill -"
                            f"{number} $PPID; sleep 0.3; echo end >>$LOG"),
                  (code, "begin\nend\n", True), number)
    with tempfile.TemporaryDirectory() as directory:
        equal(take_over(directory, "[ -e $LOG ] && { echo end >>$LOG; exit 0; "
                        "}; echo begin >>$LOG; kill -INT $PPID; exit 130"),
              (130, "begin\nend\n", None), "at a terminal")


end()
