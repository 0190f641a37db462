# SPDX-License-Identifier: GPL-2.0-only
"""Test points of what is written in Python and runs here."""

import sys
import traceback

_results = []


def point(function):
    """Run a test point, whose name is the first line of its docstring."""
    try:
        function()
        _results.append(True)
    except Exception as error:      # pylint: disable=broad-exception-caught
        _results.append(False)
        shown = str(error) if isinstance(error, AssertionError) else \
            traceback.format_exc()
        for line in shown.splitlines():
            print(f"# {line}")
    print("ok" if _results[-1] else "not ok", len(_results), "-",
          function.__doc__.splitlines()[0].rstrip("."))


def equal(got, want, what):
    """Fail unless they are."""
    assert got == want, f"{what}: got {got!r}, expected {want!r}"


def end():
    """Print the plan; the exit status says whether all passed."""
    print(f"1..{len(_results)}")
    sys.exit(not all(_results))
