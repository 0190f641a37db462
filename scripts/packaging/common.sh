# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the scripts that make packages share. Source it; it has all of scripts/lab/common.sh.

. "$(dirname "${BASH_SOURCE[0]}")/../lab/common.sh"

author()
{
	sed -n 's/^MODULE_AUTHOR("\(.*\)");$/\1/p' "$top/dm-crypt-async.c"
}

# An address belongs to the name, which DEBEMAIL sets.
maintainer()
{
	echo "$(author) <${DEBEMAIL:-maintainers@dm-crypt-async.invalid}>"
}

# When these sources were made, in seconds: by the last commit, else by the newest file.
made()
{
	{ [ -e "$top/.git" ] && git_here log -1 --format=%ct; } ||
		(cd "$top" && all_files | xargs -d '\n' stat -c %Y | sort -n | tail -n 1)
}

# The time that packages of these sources have, in seconds: for a version that is released the
# beginning of its day, so that a commit and a copy of the same files have the same.
source_time()
{
	local time status=0

	time=$(made)
	time=$("$top/scripts/packaging/changelog.py" time "$(own_version)" "$time" 2>/dev/null) || status=$?
	if [ $status = 0 ]; then
		echo "$time"
	else
		made
	fi
}

# What DKMS needs of the sources, in a directory; without Debian's hook, its own builds the module for later kernels.
lay_out_dkms()
{
	local dir=$1

	mkdir -p "$dir/src"
	cp "$top"/{Kbuild,LICENSE} "$top"/dm-crypt-async.[ch] "$dir"
	cp "$top"/src/*.[ch] "$top"/src/features.mk "$dir/src"
	{
		sed "s/#MODULE_VERSION#/$(own_version)/; /^#$/,/^$/d" "$top/packaging/debian/crypt-async-dkms.dkms"
		echo 'AUTOINSTALL="yes"'
	} >"$dir/dkms.conf"
}
