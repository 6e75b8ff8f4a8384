#!/usr/bin/env bash
# sanitizing_clang.sh: prints a clang++ that builds and links libFuzzer, ASan and OpenMP with this
# machine's standard library; exit 1 where there is none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/probe.cpp" <<'CODE'
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <span>
#include <string>
#include <variant>
#include <vector>
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uint64_t sum = 0;
#pragma omp parallel for reduction(+ : sum)
  for (std::size_t i = 0; i < size; ++i) sum += data[i];
  return fmt::format("{}", sum).empty() ? 1 : 0;
}
CODE
for compiler in clang++-14 clang++; do
  command -v "$compiler" >/dev/null || continue
  if "$compiler" -std=c++20 -fopenmp -fsanitize=fuzzer,address,undefined "$folder/probe.cpp" \
       -o "$folder/probe" -lfmt 2>/dev/null && "$folder/probe" -runs=10 >/dev/null 2>&1; then
    echo "$compiler"
    exit 0
  fi
done
exit 1
