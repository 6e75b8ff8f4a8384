#include "report/bench_gptq.h"

#include <gtest/gtest.h>

#include <cmath>

namespace whit::report {
namespace {

TEST(BenchGptq, MeasuresEveryPart) {
  const auto backend = compute::make_reference_backend();
  GptqBenchArgs args;
  args.rows = 8;
  args.cols = 64;
  args.tokens = 100;
  args.grid.group_size = 32;
  args.peak_flops = 1e9;
  const BenchTable table = bench_gptq(*backend, args);
  std::vector<std::string> names;
  for (const BenchRow& row : table.rows) {
    names.push_back(row.name);
    EXPECT_GT(row.seconds, 0) << row.name;
    EXPECT_GT(row.work, 0) << row.name;
    EXPECT_EQ(std::isfinite(row.floor_seconds), row.unit == "GFLOP") << row.name;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"gram", "factor", "scale search", "sweep", "gptq",
                                             "gptq and its report", "rtn", "step"}));
}

}  // namespace
}  // namespace whit::report
