# SPDX-License-Identifier: GPL-2.0-only
"""What the command crypt-async is made of, which is beside this directory."""
