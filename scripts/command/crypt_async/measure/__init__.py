# SPDX-License-Identifier: GPL-2.0-only
"""What crypt-async bench and `make bench` share: the contestants and the kinds
of work, runs by fio, ratios, and how they are shown."""
