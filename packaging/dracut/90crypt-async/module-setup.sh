#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2154 # dracut sets kernel, moddir and the like
#
# For dracut: with takeover enabled, the module is in the initramfs, beside
# dm-crypt, and so is the file that has it loaded, which dracut copies only
# with --hostonly. What is missing makes a boot on dm-crypt.

conf=/etc/modprobe.d/crypt-async.conf

check()
{
	[ -e "${dracutsysrootdir-}$conf" ] || return 255
	if ! modinfo -b "${dracutsysrootdir:-/}" -k "$kernel" dm_crypt_async >/dev/null 2>&1; then
		dwarn "crypt-async: $kernel has no module dm_crypt_async and will boot on dm-crypt"
		return 255
	fi
}

installkernel()
{
	hostonly='' instmods dm_crypt_async
}

install()
{
	inst_simple "$conf"
}
