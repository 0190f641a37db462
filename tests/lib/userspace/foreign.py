# SPDX-License-Identifier: GPL-2.0-only
"""Volumes that other systems made, from the tests of cryptsetup
(scripts/lab/root volumes fetches the archives)."""

import os
import tarfile

import ca

ARCHIVES = os.environ.get("CA_VOLUMES", "/vm/share/volumes")


def volume(archive, image):
    """A volume of cryptsetup's tests; its path."""
    path = f"{ARCHIVES}/{archive}.tar.xz"
    if not os.path.exists(path):
        ca.skip(f"{path} is not there")
    with tarfile.open(path) as file:
        member = next(member for member in file.getmembers()
                      if os.path.basename(member.name) == image)
        text = file.extractfile(member).read()
    with open(f"/tmp/{image}", "wb") as file:
        file.write(text)
    return f"/tmp/{image}"
