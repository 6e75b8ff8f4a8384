#include "pipeline/inc_jobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <stdexcept>

#include "base/file.h"
#include "checkpoint/raw_files.h"
#include "numeric/float_codec.h"

namespace whit::pipeline {
namespace {

namespace fs = std::filesystem;
using checkpoint::testing::expect_error;
using checkpoint::testing::Folder;
using formats::IncModuleScales;

// A folder of safetensors with weights, measurements and a config beside it.
class Job {
 public:
  // Rows of a weight, stored in BF16.
  void weight(const std::string& name, std::vector<std::vector<float>> rows) {
    weights_.emplace_back(name, std::move(rows));
  }
  void node(const std::string& name, const std::string& json) {
    nodes_ += (nodes_.empty() ? "" : ", ") + ("\"" + name + "\": " + json);
  }
  void measured(int rank = 0, int world = 1) {
    base::write_file_atomic(
        folder_->path() / fmt::format("run_hooks_maxabs_{}_{}.json", rank, world),
        R"({"GlobalRank": null, "LocalRank": 0, "Mode": "DynamicRange", "Nodes": {)" + nodes_ +
            "}}");
  }
  fs::path path() const { return folder_->path(); }

  ScalesJob job(const std::string& config) {
    write_model();
    base::write_file_atomic(path() / "config/quant.json", config);
    ScalesJob job;
    job.model = path() / "model";
    job.config = path() / "config/quant.json";
    job.measurements = path();
    job.out = path() / "out";
    return job;
  }
  ScalesResult scales(const std::string& config) { return write_scales(job(config), *cancel_); }
  base::CancelToken& cancel() { return *cancel_; }

 private:
  void write_model() {
    fs::create_directories(path() / "model");
    fs::create_directories(path() / "config");
    std::vector<checkpoint::SafetensorsWriter::Entry> entries;
    std::vector<tensor::Tensor> tensors;
    for (const auto& [name, rows] : weights_) {
      const auto n = static_cast<std::int64_t>(rows.size());
      const auto k = static_cast<std::int64_t>(rows[0].size());
      tensor::Tensor tensor({n, k}, tensor::Dtype::kBF16);
      for (std::size_t i = 0; i < rows.size(); ++i)
        for (std::size_t j = 0; j < rows[i].size(); ++j)
          tensor.as<std::uint16_t>()[i * rows[i].size() + j] = numeric::f32_to_bf16(rows[i][j]);
      entries.push_back({name, tensor::Dtype::kBF16, {n, k}});
      tensors.push_back(std::move(tensor));
    }
    checkpoint::SafetensorsWriter writer(path() / "model/model.safetensors", entries);
    for (std::size_t i = 0; i < tensors.size(); ++i)
      writer.write(entries[i].name, tensors[i].view());
    writer.finish();
  }

  std::unique_ptr<Folder> folder_ = std::make_unique<Folder>();
  std::unique_ptr<base::CancelToken> cancel_ = std::make_unique<base::CancelToken>();
  std::vector<std::pair<std::string, std::vector<std::vector<float>>>> weights_;
  std::string nodes_;
};

const IncModuleScales& module_of(const ScalesResult& result, const std::string& name,
                                 std::size_t rank = 0) {
  for (const auto& scales : result.ranks.at(rank).file.modules)
    if (scales.module == name) return scales;
  throw std::runtime_error("no module " + name);
}

double only(const formats::IncScale& scale) {
  EXPECT_EQ(scale.values.size(), 1U);
  return scale.values.at(0);
}

constexpr const char* kGaudi2 =
    R"({"mode": "QUANTIZE", "device_for_scales": "GAUDI2", "dump_stats_path": "out/run"})";

std::string gaudi2(const std::string& method) {
  return R"({"device_for_scales": "GAUDI2", "dump_stats_path": "out/run", "scale_method": ")" +
         method + "\"}";
}

Job attention() {
  Job run;
  run.weight("a.q_proj.weight", {{0.470703125F, -0.25F}, {0.0F, 0.125F}});
  run.node("a.q_proj", R"({"inputs": [[[6.34375]]], "params": {"weight": [[0.470703125]]}})");
  run.node("a.matmul_qk", R"({"inputs": [[[0.4296875]], [[62.75]]]})");
  run.node("a.block2batch_matmul",
           R"({"inputs": [[[1.0]], [[3e30]]], "outputs": [[[0.07861328125]]]})");
  run.node("a.k_cache", R"({"inputs": [[[16.875]]]})");
  run.node("a.softmax", R"({"inputs": [[[304]]], "outputs": [[[1.0]]]})");
  run.node("a.fused_scaled_dot_product_attention",
           R"({"inputs": [[[2.3125]], [[4.40625]], [[0.13671875]]],
               "outputs": [[[0.0251464843]], [[1.0]]]})");
  run.measured();
  return run;
}

TEST(IncScales, EveryOperation) {
  Job run = attention();
  const auto result = run.scales(kGaudi2);
  const double s4 = 0.0625;
  const double s8 = 0.00390625;
  const auto& q = module_of(result, "a.q_proj");
  EXPECT_EQ(only(q.inputs[0]), 1);
  EXPECT_EQ(only(*q.weight), s8);  // exact arithmetic would say 2^-4
  EXPECT_EQ(only(q.outputs[0]), s8);
  const auto& qk = module_of(result, "a.matmul_qk");
  EXPECT_EQ(only(qk.inputs[0]), s4);
  EXPECT_EQ(only(qk.inputs[1]), 16);
  EXPECT_EQ(only(qk.outputs[0]), 1);
  const auto& batch = module_of(result, "a.block2batch_matmul");
  EXPECT_EQ(only(batch.inputs[1]), s8);  // of the output's range
  const auto& cache = module_of(result, "a.k_cache");
  EXPECT_EQ(cache.inputs, cache.outputs);
  EXPECT_EQ(only(cache.inputs[0]), 1);
  const auto& softmax = module_of(result, "a.softmax");
  EXPECT_TRUE(softmax.inputs.empty());
  EXPECT_EQ(only(softmax.outputs[0]), s4);
  const auto& sdpa = module_of(result, "a.fused_scaled_dot_product_attention");
  ASSERT_EQ(sdpa.inputs.size(), 4U);
  EXPECT_EQ(only(sdpa.inputs[3]), s4);  // the kernel's q_scale_s is its inverse, 16
  EXPECT_EQ(only(sdpa.outputs[0]), s8);
  EXPECT_EQ(result.files.size(), 2U);
  EXPECT_EQ(result.files[0], run.path() / "out/run_hooks_maxabs_MAXABS_HW_0_1.json");
  const auto again = formats::read_scale_file(
      formats::parse_inc_npz(base::read_text_file(result.files[1]), "npz"), "npz");
  EXPECT_EQ(again.modules, result.ranks[0].file.modules);
  EXPECT_EQ(again.local_rank, 0);
}

TEST(IncScales, EveryMethod) {
  const auto weight_of = [](const std::string& method) {
    Job run = attention();
    return *module_of(run.scales(gaudi2(method)), "a.q_proj").weight;
  };
  EXPECT_EQ(only(weight_of("maxabs_pow2")), 0.00390625);
  EXPECT_EQ(only(weight_of("maxabs_arbitrary")),
            double{numeric::round_to_bf16(0.470703125F / 120.0F)});
  EXPECT_EQ(only(weight_of("unit_scale")), 1);
  EXPECT_EQ(only(weight_of("hw_aligned_single_scale")), 16);
  EXPECT_TRUE(weight_of("maxabs_hw_opt_weight").list);
  EXPECT_TRUE(weight_of("maxabs_pow2_opt_weight").list);
  for (const char* method :
       {"act_maxabs_hw_weights_pcs_maxabs_pow2", "act_maxabs_pow2_weights_pcs_maxabs_pow2",
        "act_maxabs_hw_weights_pcs_opt_pow2", "act_maxabs_pow2_weights_pcs_opt_pow2"})
    EXPECT_EQ(weight_of(method).values.size(), 2U) << method;
  Job run = attention();
  const auto channels = run.scales(gaudi2("act_maxabs_hw_weights_pcs_maxabs_pow2"));
  const auto& q = module_of(channels, "a.q_proj");
  EXPECT_EQ(q.weight_in, (formats::IncScale{{1, 1}, true}));
  EXPECT_EQ(q.outputs[0], *q.weight);  // the input's scale is 1
}

TEST(IncScales, DynamicMethodsHaveNoFiles) {
  Job run = attention();
  for (const char* method : {"maxabs_pcs_pow2", "act_maxabs_pcs_pow2_weight_maxabs_pts_pow2_hw"}) {
    const auto result =
        run.scales(R"({"dynamic_quantization": true, "dump_stats_path": "", "scale_method": ")" +
                   std::string(method) + "\"}");
    EXPECT_TRUE(result.files.empty());
    const auto& q = module_of(result, "a.q_proj");
    EXPECT_TRUE(q.inputs[0].values.empty());
    EXPECT_TRUE(q.outputs[0].values.empty());
    EXPECT_FALSE(q.weight->values.empty());
  }
}

TEST(IncScales, FixedScalesNeedNoMeasurements) {
  Job run;
  run.weight("m.q_proj.weight", {{1, 2}});
  run.weight("m.embed_tokens.weight", {{1, 2}});
  auto job = run.job(R"({"scale_method": "unit_scale"})");
  job.measurements.reset();
  const auto result = write_scales(job, run.cancel());
  ASSERT_EQ(result.ranks[0].file.modules.size(), 1U);
  EXPECT_EQ(only(module_of(result, "m.q_proj").inputs[0]), 1);
}

TEST(IncScales, TheConfigChoosesModules) {
  Job run = attention();
  const auto result = run.scales(
      R"({"dump_stats_path": "out/run", "device_for_scales": "GAUDI2",
          "blocklist": {"types": ["Matmul", "ModuleFusedSDPA"], "names": ["softmax"]}})");
  std::vector<std::string> names;
  for (const auto& scales : result.ranks[0].file.modules) names.push_back(scales.module);
  EXPECT_EQ(names, (std::vector<std::string>{"a.q_proj", "a.block2batch_matmul", "a.k_cache"}));
}

Job experts() {
  Job run;
  for (int e = 0; e < 2; ++e) {
    const std::string prefix = fmt::format("model.layers.0.mlp.experts.{}.", e);
    run.weight(prefix + "gate_proj.weight", {{0.25F * static_cast<float>(e + 1), 0}});
    run.weight(prefix + "up_proj.weight", {{0, 0.125F}});
    run.weight(prefix + "down_proj.weight", {{2}, {1}});
  }
  const std::string moe = "model.layers.0.mlp.experts.moe_op";
  run.node(moe, R"({"inputs": [[[8.9375]]], "outputs": [[[0.8359375]], [[100]], [[0]]]})");
  for (int e = 0; e < 2; ++e)
    for (const char* list : {"w13_list", "w2_list"})
      run.node(fmt::format("{}.{}.{}", moe, list, e), R"({"inputs": [[[0.0]]]})");
  run.measured();
  return run;
}

// An expert that calibration never reached is scaled for what its siblings were reached by.
TEST(IncScales, UnseenExpertsBorrow) {
  Job run = experts();
  auto job = run.job(kGaudi2);
  const auto result = write_scales(job, run.cancel());
  const auto& moe = module_of(result, "model.layers.0.mlp.experts.moe_op");
  ASSERT_EQ(moe.inputs.size(), 3U);
  EXPECT_EQ(only(moe.inputs[1]), 16);
  EXPECT_EQ(only(moe.inputs[2]), 16);
  ASSERT_EQ(result.ranks[0].unseen.size(), 1U);
  EXPECT_EQ(result.ranks[0].unseen[0].tensor, "outputs[2]");
  EXPECT_EQ(result.ranks[0].unseen[0].borrowed, 100);
  job.no_data = NoData::kAsInc;
  const auto as_inc = write_scales(job, run.cancel());
  EXPECT_EQ(only(module_of(as_inc, "model.layers.0.mlp.experts.moe_op").inputs[2]), 0.00390625);
  EXPECT_TRUE(as_inc.ranks[0].unseen.empty());
}

TEST(IncScales, ExpertsWeightsAreFoundByNumber) {
  Job run = experts();
  const auto result = run.scales(gaudi2("maxabs_pow2"));
  const std::string moe = "model.layers.0.mlp.experts.moe_op.";
  EXPECT_EQ(only(*module_of(result, moe + "w13_list.0").weight), std::ldexp(1.0, -8));
  EXPECT_EQ(only(*module_of(result, moe + "w13_list.1").weight), std::ldexp(1.0, -7));
  EXPECT_EQ(only(*module_of(result, moe + "w2_list.1").weight), std::ldexp(1.0, -5));
  // Nothing is divided by 0: the kernel reads the hidden states' scale.
  EXPECT_EQ(module_of(result, moe + "w13_list.0").inputs[0],
            module_of(result, moe.substr(0, moe.size() - 1)).inputs[0]);
}

TEST(IncScales, ZerosNeverBecomeScalesOfZero) {
  Job run;
  run.weight("a.up.weight", {{0, 0}});
  run.weight("b.up.weight", {{1, 0}, {0, 0}});
  run.node("a.up", R"({"inputs": [[[0]]]})");
  run.node("b.up", R"({"inputs": [[[0]]]})");
  run.measured();
  const auto tensors = run.scales(gaudi2("maxabs_pow2"));
  EXPECT_EQ(only(module_of(tensors, "a.up").inputs[0]), 1);
  EXPECT_EQ(only(*module_of(tensors, "a.up").weight), 1);
  EXPECT_EQ(tensors.ranks[0].unseen.size(), 3U);
  const auto channels = run.scales(gaudi2("act_maxabs_pow2_weights_pcs_opt_pow2"));
  EXPECT_EQ(module_of(channels, "b.up").weight->values[1], quant::kSmallestChannelScale);
}

TEST(IncScales, MistakesAreNamed) {
  Job run = attention();
  expect_error(base::ErrorKind::kInput, "mode", "QUANTIZE",
               [&] { run.scales(R"({"mode": "MEASURE", "dump_stats_path": "out/run"})"); });
  Job missing;
  missing.weight("b.weight", {{1}});
  missing.node("a.x_proj", R"({"inputs": [[[1]]], "params": {"weight": [[1]]}})");
  missing.measured();
  expect_error(base::ErrorKind::kInput, "a.x_proj.weight", "neither in",
               [&] { missing.scales(gaudi2("act_maxabs_hw_weights_pcs_maxabs_pow2")); });
  Job ranks = attention();
  ranks.measured(3, 4);
  expect_error(base::ErrorKind::kInput, ranks.path().string(), "of 4 ranks",
               [&] { ranks.scales(kGaudi2); });
}

// Measurements are looked for where the config says, and beside it where the tree was moved.
TEST(IncScales, FindsMeasurementsByTheConfig) {
  Job run = attention();
  auto job = run.job(R"({"device_for_scales": "GAUDI2", "dump_stats_path": "/gone/run/g2/run"})");
  job.measurements.reset();
  job.out.reset();
  expect_error(base::ErrorKind::kInput, "dump_stats_path", "/gone/run/g2",
               [&] { write_scales(job, run.cancel()); });
  fs::create_directories(run.path() / "config/g2");
  fs::rename(run.path() / "run_hooks_maxabs_0_1.json",
             run.path() / "config/g2/run_hooks_maxabs_0_1.json");
  const auto result = write_scales(job, run.cancel());
  EXPECT_EQ(result.files[0], run.path() / "config/g2/run_hooks_maxabs_MAXABS_HW_0_1.json");
}

// Parts of a tensor on several ranks: their scales come from what each measured.
TEST(IncScales, RanksHaveTheirOwnFiles) {
  Job run;
  run.weight("a.o_proj.weight", {{1, 3}});
  for (int rank = 0; rank < 2; ++rank) {
    Job part;
    part.node("a.o_proj", fmt::format(R"({{"inputs": [[[{}]]], "outputs": [[[4]], [[8]]],
                                          "params": {{"weight": [[{}]]}}}})",
                                      rank + 1, 2 * rank + 1));
    part.measured(rank, 2);
    const std::string name = fmt::format("run_hooks_maxabs_{}_2.json", rank);
    fs::copy_file(part.path() / name, run.path() / name);
  }
  const auto result = run.scales(gaudi2("maxabs_pow2"));
  ASSERT_EQ(result.files.size(), 4U);
  EXPECT_EQ(only(*module_of(result, "a.o_proj", 0).weight), std::ldexp(1.0, -6));
  EXPECT_EQ(only(*module_of(result, "a.o_proj", 1).weight), std::ldexp(1.0, -5));
  EXPECT_EQ(only(module_of(result, "a.o_proj", 1).outputs[0]), std::ldexp(1.0, -3));
  expect_error(base::ErrorKind::kUnsupported, "a.o_proj.weight", "2 ranks",
               [&] { run.scales(gaudi2("act_maxabs_hw_weights_pcs_maxabs_pow2")); });
}

TEST(IncUnify, WritesFilesOfFewerRanks) {
  Job run;
  run.node("a.q_proj", R"({"inputs": [[[1]]], "params": {"weight": [[2]]}})");
  run.measured(0, 2);
  run.measured(1, 2);
  UnifyJob job;
  job.measurements = run.path();
  job.out = run.path() / "one";
  const auto result = unify_measurements(job, run.cancel());
  ASSERT_EQ(result.files.size(), 3U);
  EXPECT_EQ(result.files[0].filename(), "run_hooks_maxabs_0_1.json");
  EXPECT_EQ(result.files[2].filename(), "run_hooks_maxabs_0_1_mod_list.json");
  EXPECT_NE(base::read_text_file(result.files[0]).find("\"LocalRank\": -1"), std::string::npos);
  job.out = run.path();
  expect_error(base::ErrorKind::kUsage, "--out", "2 ranks",
               [&] { unify_measurements(job, run.cancel()); });
  ExpandJob expand;
  expand.measurements = run.path() / "one";
  expand.ranks = 4;
  expand.out = run.path() / "four";
  EXPECT_EQ(expand_measurements(expand, run.cancel()).size(), 12U);
}

}  // namespace
}  // namespace whit::pipeline
