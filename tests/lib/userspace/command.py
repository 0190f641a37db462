# SPDX-License-Identifier: GPL-2.0-only
"""The command crypt-async, as a user runs it."""

import importlib
import os
import runpy
import signal
import sys
import tempfile
import traceback

import ca

COMMAND = os.path.join(os.path.dirname(__file__), "..", "..", "..",
                       "scripts", "command", "crypt-async")


def _become_command(words, files, inside):
    """Do in this process, a fork, what executing the command would do. It has
    what is open here, and what a test changed in crypt_async's modules."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in signal.SIGTERM, signal.SIGHUP:
            signal.signal(number, signal.SIG_DFL)
        for number, file in enumerate(files):
            os.dup2(file.fileno(), number)
        os.environ["DM_DISABLE_UDEV"] = "1"
        sys.argv = [COMMAND, *words]
        inside()
        runpy.run_path(COMMAND, run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    except BaseException:   # pylint: disable=broad-exception-caught
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code if isinstance(code, int) else 1)


def crypt_async(*words, code=0, given=None, inside=lambda: None):
    """Run it, without waiting for udev's rules; what it printed. It ends with
    this code, or with one of these. An emulated processor takes a second to
    load Python's libraries and the command's modules, so it is forked off
    from here, where they are loaded once (for the path to them see dm.py);
    COMMAND is for who wants a new process. inside() is called in the fork,
    before; what ended by a signal has its number, negative, as code."""
    words = [str(word) for word in words]
    # By this name, as crypt_async is this function's.
    importlib.import_module("crypt_async.main")
    with tempfile.TemporaryFile("w+") as said, \
            tempfile.TemporaryFile("w+") as fed:
        fed.write(given or "")
        fed.seek(0)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            _become_command(words, (fed, said, said), inside)
        try:
            _, status = os.waitpid(pid, 0)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        ended = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    wanted = code if isinstance(code, tuple) else (code,)
    ca.check(ended in wanted,
             f"exit status {ended} instead of {wanted}: crypt-async "
             f"{' '.join(words)}: {text}")
    return text
