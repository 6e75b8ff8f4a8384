#!/usr/bin/env bash
# check_format.sh [--fix]: every C++ file as clang-format 14 writes it. Exit 77: no clang-format 14.
set -euo pipefail
cd "$(dirname "$0")/.."

clang_format=
for candidate in clang-format-14 clang-format; do
  if command -v "$candidate" >/dev/null && "$candidate" --version | grep -q 'version 14\.'; then
    clang_format=$candidate
    break
  fi
done
if [ -z "$clang_format" ]; then
  echo "clang-format 14 is not installed" >&2
  exit 77
fi

mapfile -t files < <(find src tests fuzz \( -name '*.cpp' -o -name '*.h' \) | sort)
if [ "${1-}" = --fix ]; then
  "$clang_format" -i "${files[@]}"
else
  "$clang_format" --dry-run --Werror "${files[@]}"
fi
