# SPDX-License-Identifier: GPL-2.0-only
"""What the command crypt-async is made of; scripts/crypt-async begins here."""
