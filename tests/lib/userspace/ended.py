# SPDX-License-Identifier: GPL-2.0-only
"""The command crypt-async, ended by a signal at one of its steps."""

import contextlib
import glob
import os
import signal
import time

import ca
from command import crypt_async
from crypt_async import interrupts, ioctl, live, takeover

# What changes something, but for the device mapper's ioctls.
OTHER_CHANGES = ((live, "set_names"), (live, "program"),
                 (live, "write_file"), (live, "remove_file"),
                 (takeover, "write_file"), (takeover, "remove_file"))
CHANGES = (ioctl.CREATE, ioctl.REMOVE, ioctl.SUSPEND, ioctl.LOAD, ioctl.CLEAR)
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")


def killed_at(step, name, waits=3):
    """What has the command be ended at one of its steps; where it waits, only
    so often."""
    def inside():
        left, pauses = [step], [waits]
        really, pause = ioctl._once, interrupts.allowed

        def count():
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), getattr(signal, name))

        def once(command, *args, **how):
            if command in CHANGES:
                count()
            return really(command, *args, **how)

        def counted(function):
            def first(*args, **how):
                count()
                return function(*args, **how)
            return first

        @contextlib.contextmanager
        def allowed():
            with pause():
                pauses[0] -= 1
                if pauses[0] >= 0:
                    count()
                yield
        ioctl._once, interrupts.allowed = once, allowed
        for module, which in OTHER_CHANGES:
            setattr(module, which, counted(getattr(module, which)))
    return inside


def codes(name):
    """How a command may end that gets this signal: by it, or after it."""
    number = getattr(signal, name)
    return (0, -number if name == "SIGKILL" else 128 + number)


def ended(name, step, *words, waits=3):
    """Run a command that is ended at a step; was it?"""
    told = "/tmp/ca-step"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(told)
    hook = killed_at(step, name, waits)

    def inside():
        hook()
        kill = os.kill

        def and_tell(pid, number):
            with open(told, "w", encoding="ascii"):
                pass
            kill(pid, number)
        os.kill = and_tell
    said = crypt_async(*words, code=codes(name), inside=inside)
    ca.check("Traceback" not in said, said)
    return os.path.exists(told)


def ours():
    """The command's own mappings, of whichever run."""
    return [device[0] for device in ioctl.devices()
            if device[0].startswith("crypt-async-")]


def is_clean():
    """Has none of them stayed? The kernel removes some a little later."""
    for _ in range(150):
        if not ours():
            return True
        time.sleep(0.02)
    return False


def wait_for_cryptsetup():
    """It may be at work still, alone."""
    def is_there():
        for path in glob.glob("/proc/[0-9]*/comm"):
            with contextlib.suppress(OSError):
                with open(path, encoding="utf-8") as file:
                    if file.read() == "cryptsetup\n":
                        return True
        return False
    ca.wait_until(lambda: not is_there(), "cryptsetup has ended")
