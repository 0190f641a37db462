# SPDX-License-Identifier: GPL-2.0-only
"""Memory that nobody points to any more, on a kernel with kmemleak (the debug
kernel)."""

import os
import time

_KMEMLEAK = "/sys/kernel/debug/kmemleak"


def available():
    """Whether this kernel can tell."""
    return os.path.exists(_KMEMLEAK)


def found():
    """What kmemleak finds; asked twice, since it is wary of fresh memory, and
    more often while it finds something, as it may be wrong for a while."""
    text = ""
    for number in range(6):
        time.sleep(6)
        with open(_KMEMLEAK, "w", encoding="ascii") as file:
            file.write("scan")
        with open(_KMEMLEAK, encoding="ascii") as file:
            text = file.read()
        if number and not text:
            break
    return text
