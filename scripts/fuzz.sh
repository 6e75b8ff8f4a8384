#!/usr/bin/env bash
# fuzz.sh [--built] SECONDS [TARGET...]: libFuzzer targets, all unless named, each for SECONDS, or for
# N executions where SECONDS is `runs=N` (then of inputs of 512 bytes at most, 4096 for Parquet), from the
# seeds in fuzz/corpus/. Found inputs go to build-fuzz/corpus/; a crash is kept in build-fuzz/crashes/ and fails
# the run. --built: the targets are built already. JOBS: targets at a time, all cores unless set.
set -euo pipefail
cd "$(dirname "$0")/.."
built=no
if [ "${1-}" = --built ]; then built=yes; shift; fi
amount=${1:-60}
[ $# -eq 0 ] || shift
case $amount in
  runs=*) limits="-runs=${amount#runs=} -max_len=512" ;;
  *) limits="-max_total_time=$amount" ;;
esac
jobs=${JOBS:-$(nproc)}

if [ $built = no ]; then
  compiler=$(scripts/sanitizing_clang.sh) ||
    { echo "fuzz.sh: no clang with libFuzzer, ASan and OpenMP here" >&2; exit 1; }
  cmake --preset fuzz -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
  targets=(fuzzers)
  [ $# -eq 0 ] || targets=("${@/#/fuzz_}")
  cmake --build build-fuzz -j "$jobs" --target "${targets[@]}"
fi

mkdir -p build-fuzz/crashes
fuzz_one() {
  local program=$1 limits=$2 name corpus log
  name=$(basename "$program")
  name=${name#fuzz_}
  corpus=build-fuzz/corpus/$name
  log=build-fuzz/crashes/$name.log
  mkdir -p "$corpus"
  if [ "$name" = parquet ]; then limits=${limits/-max_len=512/-max_len=4096}; fi  # no file is smaller
  # shellcheck disable=SC2086 # flags of libFuzzer, without blanks
  if ! "$program" $limits -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
      -artifact_prefix="build-fuzz/crashes/$name-" "$corpus" "fuzz/corpus/$name" >"$log" 2>&1; then
    tail -n 40 "$log"
    echo "fuzz.sh: $name failed"
    return 1
  fi
  printf '%-28s %s\n' "$name" "$(grep -o 'number_of_executed_units: [0-9]*' "$log")"
}
export -f fuzz_one
if [ $# -gt 0 ]; then
  printf 'build-fuzz/fuzz/fuzz_%s\n' "$@"
else
  find build-fuzz/fuzz -maxdepth 1 -type f -executable -name 'fuzz_*' | sort
fi | OMP_NUM_THREADS=1 xargs -P "$jobs" -I{} bash -c "fuzz_one {} '$limits'"
