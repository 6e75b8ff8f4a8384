#include "report/bench_compute.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace whit::report {
namespace {

TEST(BenchCompute, EveryRowHasWorkAndTime) {
  const auto backend = compute::make_cpu_backend(2);
  ComputeBenchArgs args;
  args.rows = 40;
  args.cols = 96;
  args.tokens = 50;
  args.block_size = 32;
  args.grid.group_size = 32;
  args.limits = {1e9, 1e9};
  for (const bool symmetric : {true, false}) {
    args.grid.symmetric = symmetric;
    const BenchTable table = bench_compute(*backend, args);
    EXPECT_EQ(table.rows.size(), 8U);
    for (const BenchRow& row : table.rows) {
      EXPECT_GT(row.work, 0.0) << row.name;
      EXPECT_GT(row.seconds, 0.0) << row.name;
      if (row.name != "scale search") {
        EXPECT_DOUBLE_EQ(row.floor_seconds, row.work) << row.name;
      }
    }
  }
}

TEST(BenchCompute, LimitsArePlausible) {
  const compute::Limits limits = compute::make_cpu_backend(2)->measure_limits();
  EXPECT_GT(limits.flops, 1e8);
  EXPECT_GT(limits.bytes_per_second, 1e8);
}

TEST(BenchCompute, RefusesGroupsThatDoNotDivide) {
  const auto backend = compute::make_cpu_backend(1);
  ComputeBenchArgs args;
  args.cols = 100;
  args.grid.group_size = 64;
  EXPECT_THROW(bench_compute(*backend, args), base::Error);
}

}  // namespace
}  // namespace whit::report
