# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the checks of the sources share. Source it in a file of tests/static: each
# checker is one test point there, and its findings are the diagnostics.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lab/common.sh"
cd "$top" || exit

# shellcheck disable=SC2034 # for the file that sources this
root=$top/scripts/lab/root
count=0

# Runs "$2..."; the point passes if it succeeds and says nothing.
point()
{
	local name=$1 output status=0

	shift
	count=$((count + 1))
	output=$("$@" 2>&1) || status=$?
	if [ $status = 0 ] && [ -z "$output" ]; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		printf '%s\n' "${output:-ended with status $status}" | sed 's/^/#   /'
	fi
}

# The files with one of these endings or one of these interpreters.
files()
{
	local endings=$1 interpreters=$2 file

	while read -r file; do
		if [[ $file =~ \.($endings)$ ]] || head -n 1 "$file" | grep -qaE "^#!.*($interpreters)\b"; then
			echo "$file"
		fi
	done < <(all_files)
}

have_spdx()
{
	local file

	for file in "$@"; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only' || echo "$file: no SPDX line"
	done
}

# A build's warnings are in its log; a failed build says itself why.
clean_build()
{
	local name=$1 release=$2 log=build/$2/$1.log

	shift
	"$root" build -o "$name" "$@" >/dev/null 2>&1 || { cat "$log"; return 1; }
	grep -E '(warning|error|WARNING|ERROR):' "$log" | sort -u
	true
}

# Builds once what the checks need, and says so now: that is no finding.
need_roots()
{
	local release

	for release in "$@"; do
		"$root" path "$release" >/dev/null || exit
	done
}
