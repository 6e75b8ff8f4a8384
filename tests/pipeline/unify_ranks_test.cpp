#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "formats/inc_measurement.h"
#include "pipeline/inc_jobs.h"
#include "pipeline/measure.h"
#include "pipeline/pipeline_demo.h"

namespace whit::pipeline {
namespace {

using UnifyJson = nlohmann::json;

constexpr int kRanks = 16;

// What one process measured of the demo model, and the files that 16 ranks of a serving engine
// would have measured of the same text.
class SixteenRanks : public DemoJob {
 protected:
  void SetUp() override {
    DemoJob::SetUp();
    MeasureJob job;
    job.model = fs::path(WHIT_SOURCE_DIR) / "demo/moe-15m";
    job.config.mode = formats::IncMode::kMeasure;
    job.config_subject = "config";
    job.out = folder_ / "one";
    job.calibration = folder_ / "ids.jsonl";
    job.samples.samples = 6;
    const auto backend = compute::make_cpu_backend(2);
    base::NullSink events;
    run_ = measure(job, *backend, events, cancel_).run;
  }

  UnifyJson nodes(const fs::path& folder) const {
    return UnifyJson::parse(
        base::read_text_file(folder / "inc_output_hooks_maxabs_0_1.json"))["Nodes"];
  }

  // A part of a tensor reaches as far as the tensor on one rank, and less far on the others.
  static double part(double value, int rank, const std::string& name) {
    const auto holder = static_cast<int>(std::hash<std::string>{}(name) % kRanks);
    return rank == holder ? value : value * (1 + (rank * 7 + holder) % 13) / 16;
  }
  static void shrink(stats::OpRanges& op, int rank, const std::string& name) {
    // What a row-parallel linear reads, and what attention works on, lie on one rank each; what
    // column-parallel ones read is on all.
    const bool split = op.op != stats::OpType::kLinear && op.op != stats::OpType::kMoe;
    for (std::size_t i = 0; split && i < op.inputs.size(); ++i)
      for (double& value : op.inputs[i]) value = part(value, rank, name + std::to_string(i));
    if (op.outputs)
      for (double& value : op.outputs->front()) value = part(value, rank, name + "out");
    for (auto& [param, range] : op.params)
      for (double& value : range) value = part(value, rank, name + param);
  }

  void write(const std::vector<stats::RankRanges>& ranks, const fs::path& folder) const {
    formats::IncRun run = run_;
    run.folder = folder;
    run.world = kRanks;
    fs::create_directories(folder);
    for (const auto& rank : ranks) {
      formats::IncMeasurement measurement;
      measurement.ranges = rank;
      formats::write_inc_files(run, rank.rank, formats::to_tree(measurement, rank.rank));
    }
  }

  void unify(const std::string& from, const std::string& to, int ranks) {
    UnifyJob job;
    job.measurements = folder_ / from;
    job.ranks = ranks;
    job.out = folder_ / to;
    const auto result = unify_measurements(job, cancel_);
    EXPECT_EQ(result.placement.placement, expected_) << result.placement.reason;
    EXPECT_TRUE(result.incomplete.empty());
  }

  void expect_one_ranks_result() {
    unify("sixteen", "eight", 8);
    unify("eight", "by-eight", 1);
    unify("sixteen", "at-once", 1);
    const auto one = nodes(run_.folder);
    EXPECT_EQ(nodes(folder_ / "by-eight"), one);
    EXPECT_EQ(nodes(folder_ / "at-once"), one);
  }

  formats::IncRun run_;
  base::CancelToken cancel_;
  stats::ExpertPlacement expected_ = stats::ExpertPlacement::kExpert;
};

TEST_F(SixteenRanks, WithWholeExpertsUnifyToOnesResult) {
  const auto whole = formats::read_measurements(run_).front().ranges;
  auto ranks = stats::expand(whole, kRanks);
  ASSERT_EQ(ranks.size(), static_cast<std::size_t>(kRanks));
  for (auto& rank : ranks) {
    for (auto& [name, op] : rank.ops) shrink(op, rank.rank, name);
    for (auto& [name, moe] : rank.moes)
      for (auto& slice : moe.slices) shrink(slice, rank.rank, name);
    for (auto& [name, moe] : rank.moes) {
      EXPECT_EQ(moe.experts.size(), 1U);
      moe.first_expert = 0;  // every rank numbers its own
      moe.numbered = false;
    }
  }
  write(ranks, folder_ / "sixteen");
  expect_one_ranks_result();
}

TEST_F(SixteenRanks, WithPartsOfEveryExpertUnifyToOnesResult) {
  const auto whole = formats::read_measurements(run_).front().ranges;
  std::vector<stats::RankRanges> ranks(kRanks, whole);
  for (int r = 0; r < kRanks; ++r) {
    auto& rank = ranks[static_cast<std::size_t>(r)];
    rank.rank = r;
    rank.world = kRanks;
    for (auto& [name, op] : rank.ops) shrink(op, r, name);
    for (auto& [name, moe] : rank.moes) {
      for (auto& slice : moe.slices) shrink(slice, r, name);
      for (std::size_t e = 0; e < moe.experts.size(); ++e)
        for (double& value : *moe.experts[e].intermediate)
          value = part(value, r, name + std::to_string(e));
    }
  }
  write(ranks, folder_ / "sixteen");
  expected_ = stats::ExpertPlacement::kTensor;
  expect_one_ranks_result();
}

}  // namespace
}  // namespace whit::pipeline
