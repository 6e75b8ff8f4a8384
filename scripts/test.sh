#!/usr/bin/env bash
# test.sh: the release build with every test and source check, clang-tidy, the rooms' tests under
# AddressSanitizer and UndefinedBehaviorSanitizer, and a short run of every fuzz target.
# Stops at the first step that fails; ends with ctest's closing lines and each step's time.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
logs=build/test-logs
times=()

# step NAME COMMAND...: runs and times it; exit 77 means left out, and is said.
step() {
  local name=$1 started=$SECONDS code=0
  shift
  printf '\n== %s\n' "$name"
  "$@" || code=$?
  case $code in
    0) times+=("$(printf '%5d s  %s' $((SECONDS - started)) "$name")") ;;
    77) times+=("LEFT OUT  $name") ;;
    *) printf '\nFAILED: %s (exit %d)\n' "$name" "$code"; exit 1 ;;
  esac
}

# Spinning workers would take the cores from the tests that run beside them.
export OMP_WAIT_POLICY=passive

run_ctest() {
  local folder=$1 log=$2
  shift 2
  mkdir -p "$logs"
  ctest --test-dir "$folder" -j "$jobs" --output-on-failure "$@" | tee "$log" | grep -vE ' Passed  |^ +Start '
}

step "release build" bash -c "cmake --preset release >build-configure.log 2>&1 ||
  { cat build-configure.log; exit 1; }; rm build-configure.log; cmake --build build -j $jobs"
step "tests" run_ctest build "$logs/ctest.log"
step "clang-tidy" scripts/check_tidy.sh build

if compiler=$(scripts/sanitizing_clang.sh); then
  step "sanitizer and fuzz build ($compiler)" bash -c "cmake --preset fuzz -DCMAKE_CXX_COMPILER=$compiler >/dev/null &&
    cmake --build build-fuzz -j $jobs --target sanitized"
  export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_stack_use_after_return=1
  export LSAN_OPTIONS=suppressions=$PWD/scripts/leaks_of_others.txt:print_suppressions=0
  step "tests under ASan and UBSan" scripts/run_sanitized.sh build-fuzz "$logs"
  step "fuzz smoke" scripts/fuzz.sh --built 3
else
  times+=("LEFT OUT  sanitizers and fuzzing: no clang with libFuzzer, ASan and OpenMP here")
fi

printf '\n== steps\n'
printf '%s\n' "${times[@]}"
printf '\n== ctest\n'
for log in "$logs"/ctest*.log; do
  printf '%s\n' "$log"
  sed -n '/tests passed\|tests failed/,$p' "$log"
done
