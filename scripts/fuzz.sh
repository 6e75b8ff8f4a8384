#!/usr/bin/env bash
# fuzz.sh [--built] SECONDS: every libFuzzer target for SECONDS, from the seeds in fuzz/corpus/.
# Found inputs go to build-fuzz/corpus/; a crash is kept in build-fuzz/crashes/ and fails the run.
# --built: the targets are built already.
set -euo pipefail
cd "$(dirname "$0")/.."
built=no
if [ "${1-}" = --built ]; then built=yes; shift; fi
seconds=${1:-60}

if [ $built = no ]; then
  compiler=$(scripts/sanitizing_clang.sh) ||
    { echo "fuzz.sh: no clang with libFuzzer, ASan and OpenMP here" >&2; exit 1; }
  cmake --preset fuzz -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
  cmake --build build-fuzz -j "$(nproc)" --target fuzzers
fi

mkdir -p build-fuzz/crashes
fuzz_one() {
  local program=$1 seconds=$2 name corpus log
  name=$(basename "$program")
  name=${name#fuzz_}
  corpus=build-fuzz/corpus/$name
  log=build-fuzz/crashes/$name.log
  mkdir -p "$corpus"
  if ! "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
      -artifact_prefix="build-fuzz/crashes/$name-" "$corpus" "fuzz/corpus/$name" >"$log" 2>&1; then
    tail -n 40 "$log"
    echo "fuzz.sh: $name failed"
    return 1
  fi
  printf '%-28s %s\n' "$name" "$(grep -o 'number_of_executed_units: [0-9]*' "$log")"
}
export -f fuzz_one
find build-fuzz/fuzz -maxdepth 1 -type f -executable -name 'fuzz_*' | sort |
  OMP_NUM_THREADS=1 xargs -P "$(nproc)" -I{} bash -c "fuzz_one {} $seconds"
