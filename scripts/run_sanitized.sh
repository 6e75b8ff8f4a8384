#!/usr/bin/env bash
# run_sanitized.sh BUILD_FOLDER LOG_FOLDER: every room's test program in one process, the longest first, under the
# sanitizers it was built with; the slowest tests are left out, their parts are all in others.
# Fails where one of them does, and shows what it said.
set -euo pipefail
build=$1
logs=$2
mkdir -p "$logs"
left_out='RunTest.SameBytes*:EmbeddingRefitTest.SameBytes*:RunTest.TheTeachers*:RunTest.Default*:RunTest.ExpertsOnly*:RunTest.CopiesAre*:RunTest.ScalesHave*'
# Of backends, 0 is the scalar one.
left_out+=':RunTest.ResumeOfAFinished*:RunTest.RefusesAFull*:*RealWeightsLoseLess/0:*AgainstOracle.*/0:*NoStepRaisesItsError/0'
left_out+=':DeviceTest.Gptq:DeviceTest.EveryRefinement:DeviceTest.Narrow*:DeviceTest.Vptq:VptqRun.IsVerified*'
left_out+=':VptqRun.TheTeacher*:RunTest.Narrow*:AttentionMetric.OfGrouped*'
export build logs left_out

run_room() {
  local room=$1 started=$SECONDS
  if "$build/tests/${room}_tests" --gtest_filter="-$left_out" >"$logs/sanitized-$room.log" 2>&1; then
    printf '%-12s %5d s  %s\n' "$room" $((SECONDS - started)) "$(grep -oE 'PASSED.*' "$logs/sanitized-$room.log" | tail -1)"
  else
    grep -E 'FAILED|ERROR:|Failure|runtime error' -A 12 "$logs/sanitized-$room.log" | head -n 80
    printf '%s: failed; all of it is in %s\n' "$room" "$logs/sanitized-$room.log"
    return 1
  fi
}
export -f run_room
{
  printf '%s\n' pipeline quant model text
  find "$build/tests" -maxdepth 1 -type f -executable -name '*_tests' -printf '%f\n' | sed 's/_tests$//' |
    grep -vxE 'pipeline|quant|model|text|cli' | sort
} | xargs -P "$(nproc)" -I{} bash -c 'run_room {}'
