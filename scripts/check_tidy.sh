#!/usr/bin/env bash
# check_tidy.sh BUILD_FOLDER: clang-tidy's allow-list (.clang-tidy) over the rooms that read bytes
# from strangers. Exit 77: no clang-tidy 14.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1

tidy=
for candidate in clang-tidy-14 clang-tidy; do
  if command -v "$candidate" >/dev/null && "$candidate" --version | grep -q 'version 14\.'; then
    tidy=$candidate
    break
  fi
done
if [ -z "$tidy" ]; then
  echo "clang-tidy 14 is not installed" >&2
  exit 77
fi
# As they are built: several files in one, or each by itself; what is not built here (a library may be
# missing) cannot be read either.
rooms='base|numeric|tensor|scheme|checkpoint|text|pickle|data|formats'
sources=$(grep -oE '"file": "[^"]+' "$build/compile_commands.json" | cut -d'"' -f4 |
  grep -E "/(whit_($rooms)\.dir/Unity|src/($rooms))/[^/]+$" | sort -u)
xargs -P "$(nproc)" -n 1 "$tidy" --quiet --header-filter='/src/[a-z]+/.*' -p "$build" <<<"$sources" \
  2> >(grep -v 'warnings generated' >&2)
