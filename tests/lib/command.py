# SPDX-License-Identifier: GPL-2.0-only
"""The command crypt-async, as a user runs it."""

import os
import subprocess

import ca

COMMAND = os.path.join(os.path.dirname(__file__), "..", "..", "scripts",
                       "crypt-async")


def crypt_async(*words, code=0, given=None, **variables):
    """Run it, without waiting for udev's rules, with these variables; what it
    printed. It ends with this code, or with one of these."""
    done = subprocess.run([COMMAND, *map(str, words)], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          input=given,
                          env={**os.environ, **variables,
                               "DM_DISABLE_UDEV": "1"})
    wanted = code if isinstance(code, tuple) else (code,)
    ca.check(done.returncode in wanted,
             f"exit status {done.returncode} instead of {wanted}: crypt-async "
             f"{' '.join(map(str, words))}: {done.stdout}")
    return done.stdout
