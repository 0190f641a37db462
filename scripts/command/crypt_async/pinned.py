# SPDX-License-Identifier: GPL-2.0-only
"""Options that keep the work of a mapping on one processor. Many volumes have
them, since dm-crypt can be faster so; this module needs none, and obeys those
without a workqueue only if its parameter says so. They are in a table because
crypttab or a LUKS2 header has them."""

import json
import os
import subprocess

from . import keys
from .common import PARAMETERS, Problem, read
from .mapping import encrypted, stands_in

HINTS = ("no_read_workqueue", "no_write_workqueue")
ALWAYS = ("same_cpu_crypt",)
OBEY = f"{PARAMETERS}/obey_no_workqueue"
CRYPTTAB = "/etc/crypttab"


def _known(words):
    words = [word.replace("-", "_") for word in words]
    pinning = (HINTS if read(OBEY) == "Y" else ()) + ALWAYS
    return [flag for flag in pinning if flag in words]


def in_table(lines):
    """Those in the lines of a mapping."""
    return _known(word for line in lines if line.is_crypt
                  for word in line.options)


def in_crypttab():
    """(name, path of the source, those in its options) of each volume."""
    for line in (read(CRYPTTAB) or "").splitlines():
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        source, options = fields[1], fields[3:4] or [""]
        kind, _, value = source.partition("=")
        if value:
            source = f"/dev/disk/by-{kind.lower()}/{value}"
        yield fields[0], source, _known(options[0].split(","))


def in_header(path):
    """Those in a LUKS2 header; none if there is no such header."""
    try:
        done = subprocess.run(
            ["cryptsetup", "luksDump", path, "--dump-json-metadata"],
            text=True, capture_output=True, check=False)
        return _known(json.loads(done.stdout)["config"].get("flags", ()))
    except (FileNotFoundError, ValueError, KeyError):
        return []


def luks_path(mapping, lines):
    """The device with the header of a mapping's LUKS2 volume, or None."""
    try:
        return keys.luks_uuid(mapping) and keys.luks_device(
            mapping, next(line.device for line in lines if line.is_crypt))
    except (Problem, OSError):
        return None


def found(takeover):
    """Yield (where, options, whether they apply to this module, what to do)
    for each place that has such options. `takeover`: it is enabled, so that
    they apply to this module when a volume is opened next."""
    takeover = takeover or stands_in()
    paths = {}
    for mapping, lines in encrypted():
        here = takeover or any(line.is_ours for line in lines)
        if flags := in_table(lines):
            yield f"{mapping.shown} has in its table", flags, here, \
                "they come from crypttab, the header or whoever opened it; " \
                "without them there, close it and open it again"
        if path := luks_path(mapping, lines):
            paths[os.path.realpath(path)] = here
    for name, source, flags in in_crypttab():
        paths.setdefault(os.path.realpath(source), takeover)
        if flags:
            yield f"{CRYPTTAB} has for {name}", flags, takeover, \
                f"take them out of {CRYPTTAB}, with - in place of _"
    for path, here in paths.items():
        if flags := in_header(path):
            yield f"the header on {path} has", flags, here, \
                "crypt-async release NAME, then cryptsetup refresh " \
                "--persistent NAME with those options that are to stay, " \
                "such as --allow-discards"
