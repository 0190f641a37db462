# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the scripts share. Source it; it sets $top to the checkout and $cache to
# the directory for what is built once and kept outside the checkout.

# shellcheck disable=SC2034 # for the script that sources this
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dm-crypt-async
me=${0##*/}

note()
{
	printf '%s: %s\n' "$me" "$*" >&2
}

die()
{
	note "$@"
	exit 1
}

# The usage text is the comment at the head of the script.
usage()
{
	sed -n '/^# SPDX/d; /^#!/d; /^#/!q; s/^# \{0,1\}//p' "$0"
}

# The command that repeats what failed, as tests/release reads it.
how_to_repeat()
{
	printf '# to repeat:%s\n' "$(printf ' %q' "$@")" >&2
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# The files of the checkout in the present directory, without what was built. Without git, .gitignore is read
# here: its lines are names with wildcards, or directories.
all_files()
{
	local line ignored=()

	if [ -e .git ]; then
		git -c "safe.directory=$PWD" ls-files --cached --others --exclude-standard
	else
		while read -r line; do
			case $line in
			''|'#'*)	;;
			/*)		ignored+=(-path ".${line%/}" -prune -o) ;;
			*)		ignored+=(-name "${line%/}" -prune -o) ;;
			esac
		done < <(cat .gitignore 2>/dev/null)
		find . -path ./build -prune -o "${ignored[@]}" -type f -printf '%P\n'
	fi | while read -r file; do
		[ ! -f "$file" ] || echo "$file"
	done
}

# git in the checkout, which may be another user's, as it is for root.
git_here()
{
	git -c "safe.directory=$top" -C "$top" "$@"
}

# The commit of the checkout; without git a hash of its files.
commit()
{
	if [ -e "$top/.git" ]; then
		git_here rev-parse HEAD
	else
		(cd "$top" && all_files | grep -v '^results/' | LC_ALL=C sort | xargs -d '\n' sha1sum | sha1sum | cut -c 1-40)
	fi
}

# The version that the module has.
own_version()
{
	awk '$1 == "#define" && $2 ~ /^CA_VERSION_(MAJOR|MINOR|PATCH)$/ { printf "%s%s", dot, $3; dot = "." }' \
		"$top/dm-crypt-async.h"
}

# The Debian mirror this machine uses already, in whatever format it is written.
mirror()
{
	local codename uri

	if [ -n "${DEBIAN_MIRROR:-}" ]; then
		echo "$DEBIAN_MIRROR"
		return
	fi
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	uri=$(apt-get update --print-uris 2>/dev/null |
	      sed -n "s#^'\(.*\)/dists/$codename/InRelease'.*#\1#p" | head -n 1)
	[ -n "$uri" ] || die "no Debian mirror in this machine's apt sources; set DEBIAN_MIRROR"
	echo "$uri"
}

# Marks a root as used for as long as this process or a child of it lives.
use_root()
{
	exec 7<"$1"
	flock -s 7
}

# Whether a release is a kernel that is built here: see scripts/lab/debug-kernel.
is_own_kernel()
{
	[[ $1 = @(debug|kasan|kcsan|coverage) ]]
}

# The rows of scripts/lab/platforms.
platforms()
{
	grep '^[a-z]' "$top/scripts/lab/platforms"
}

# The row that a release is for, as ${platform[name]} and so on.
read_platform()
{
	local columns row i

	columns=(name suite page arch ARCH compiler kernel qemu package type cpu console bus)
	declare -gA platform
	while read -ra row; do
		for i in "${!columns[@]}"; do
			platform[${columns[i]}]=${row[i]}
		done
		[[ $1 != *-"${platform[name]}" ]] || break
	done < <(platforms)
}

# Is a release on another platform than the usual one, or with another kernel? Its row is in $platform then, too.
is_foreign()
{
	read_platform "$1"
	[ "${platform[name]}" != amd64 ]
}

# The root in which the module is built for such a release: the size of a page needs no other one.
cross_root()
{
	echo "cross-${1%-16k}"
}

# The releases on other platforms and with other kernels that are tested.
foreign_releases()
{
	platforms | awk '$1 != "amd64" { count = split($2, suites, ","); for (i = 1; i <= count; i++) print suites[i] "-" $1 }'
}

# As use_root(), for a second root, or for a kernel that is built here.
use_also()
{
	exec 6<"$1"
	flock -s 6
}

# Makes $1 an apt world with sources ($2...) and lists of its own, for
# APT_CONFIG=$1/apt.conf: the machine's own are not touched.
apt_lists()
{
	local dir=$1

	shift
	mkdir -p "$dir/parts" "$dir/lists/partial" "$dir/cache/archives/partial" || return
	printf '%s\n' "$@" >"$dir/sources.list"
	cat >"$dir/apt.conf" <<-END
		Dir::Etc::SourceList "$dir/sources.list";
		Dir::Etc::SourceParts "$dir/parts";
		Dir::State::Lists "$dir/lists";
		Dir::Cache "$dir/cache";
		APT::Sandbox::User "root";
	END
}
