#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2154 # dracut sets kernel, moddir and the like
#
# For dracut: with takeover enabled, the module is in the initramfs, beside
# dm-crypt, and so is the file that has it loaded, which dracut copies only
# with --hostonly. What is missing makes a boot on dm-crypt.
#
# Without takeover, mappings that were adopted are on dm-crypt at the next boot.
# With --hostonly dracut looks for their ciphers in tables of the target crypt
# only, so that this puts them in.

conf=/etc/modprobe.d/crypt-async.conf

# The words of the ciphers, such as "serpent" and "xts", one a line.
ciphers()
{
	[[ $hostonly ]] || return 0
	dmsetup table --target crypt-async 2>/dev/null |
		sed -n 's/.*: [0-9]* [0-9]* crypt-async \([^ ]*\) .*/\1/p' |
		tr -cs '[:alnum:]_' '\n' | sort -u
}

# Is takeover enabled, with a module for this kernel?
takes_over()
{
	[ -e "${dracutsysrootdir-}$conf" ] || return 1
	modinfo -b "${dracutsysrootdir:-/}" -k "$kernel" dm_crypt_async >/dev/null 2>&1
}

check()
{
	if [ -e "${dracutsysrootdir-}$conf" ] && ! takes_over; then
		dwarn "crypt-async: $kernel has no module dm_crypt_async and will boot on dm-crypt"
	fi
	if takes_over || [ -n "$(ciphers)" ]; then
		return 0
	fi
	return 255
}

installkernel()
{
	local words

	mapfile -t words < <(ciphers)
	[ ${#words[@]} = 0 ] || hostonly='' instmods "${words[@]/#/crypto-}"
	! takes_over || hostonly='' instmods dm_crypt_async
}

install()
{
	! takes_over || inst_simple "$conf"
}
