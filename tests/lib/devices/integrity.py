# SPDX-License-Identifier: GPL-2.0-only
"""dm-integrity as the lower device: room for metadata next to each sector."""

import struct

import ca

_PROVIDED_SECTORS = struct.Struct("<16xQ")      # in its superblock


def make(lower, tag, unit, options=(), over=None):
    """Format a scratch device for `tag` bytes of metadata with each unit, and
    map it, or what lies over it. Returns the mapping, with its size as
    `sectors`."""
    words = [*options] + ([f"block_size:{unit}"] if unit > ca.SECTOR else [])
    params = " ".join([(over or lower).devno, "0", str(tag), "D",
                       str(len(words)), *words])
    lower.wipe()
    ca.modprobe("dm-integrity")
    with ca.Mapping.single(8, "integrity", params):
        pass    # an empty device is formatted at first sight
    sectors, = _PROVIDED_SECTORS.unpack(
        lower.read(0, _PROVIDED_SECTORS.size))
    sectors -= sectors % 8
    mapping = ca.Mapping.single(sectors, "integrity", params)
    mapping.sectors = sectors
    return mapping
