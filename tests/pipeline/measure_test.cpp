#include "pipeline/measure.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "formats/inc_measurement.h"
#include "model/inventory.h"
#include "numeric/float_codec.h"
#include "pipeline/calibrate.h"
#include "pipeline/measure_memory.h"
#include "pipeline/measured_maxima.h"
#include "pipeline/pipeline_demo.h"

namespace whit::pipeline {
namespace {

using MeasureJson = nlohmann::json;

const fs::path kGolden = fs::path(WHIT_TEST_DATA) / "golden";

class Measure : public DemoJob {
 protected:
  // Rows of ids, as a dataset.
  void write_ids(const MeasureJson& sequences) {
    std::ofstream out(folder_ / "ids.jsonl");
    for (const auto& ids : sequences) out << MeasureJson{{"input_ids", ids}}.dump() << "\n";
  }

  MeasureJob job(const fs::path& model, const std::string& out) const {
    MeasureJob job;
    job.model = model;
    job.config.mode = formats::IncMode::kMeasure;
    job.config.hp_dtype = numeric::Dtype::kF32;
    job.config.measure_exclude = formats::IncMeasureExclude::kNone;
    job.config_subject = "config";
    job.out = folder_ / out;
    job.calibration = folder_ / "ids.jsonl";
    job.samples.samples = 2;
    job.samples.min_length = 1;
    return job;
  }

  MeasureResult run(const MeasureJob& job, int threads = 1) {
    const auto backend = compute::make_cpu_backend(threads);
    return measure(job, *backend, events_, cancel_);
  }

  static MeasureJson nodes_of(const MeasureResult& result) {
    return MeasureJson::parse(base::read_text_file(result.files.at(0))).at("Nodes");
  }

  void expect_error(base::ErrorKind kind, const std::string& detail, const MeasureJob& job) {
    try {
      run(job);
      FAIL() << "expected an error about " << detail;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_NE(std::string(error.what()).find(detail), std::string::npos) << error.what();
    }
  }

  base::NullSink events_;
  base::CancelToken cancel_;
};

class MeasuredTinyModels : public Measure, public ::testing::WithParamInterface<const char*> {};

// Sums of at most 152 products and a dozen linears one behind the other: 152 * 12 * 2^-24.
constexpr double kTolerance = 1.1e-4;

TEST_P(MeasuredTinyModels, ReachAsFarAsInTransformers) {
  const std::string name = GetParam();
  const auto golden =
      MeasureJson::parse(base::read_text_file(kGolden / "maxima" / (name + ".json")));
  write_ids(golden["ids"]);
  auto measuring = job(kGolden / "model" / name, "out");
  measuring.mtp = true;
  const auto result = run(measuring);
  EXPECT_EQ(result.samples, 2);
  EXPECT_EQ(result.tokens, 40);
  auto nodes = nodes_of(result);
  for (const auto& [module, expected] : golden["nodes"].items()) {
    ASSERT_TRUE(nodes.contains(module)) << module;
    const auto& node = nodes[module];
    for (const char* list : {"inputs", "outputs"}) {
      if (!expected.contains(list)) continue;
      ASSERT_EQ(node[list].size(), expected[list].size()) << module;
      for (std::size_t i = 0; i < expected[list].size(); ++i) {
        const double value = expected[list][i];
        EXPECT_NEAR(node[list][i][0][0], value, kTolerance * value) << module << " " << list << i;
      }
    }
    if (expected.contains("weight")) {
      EXPECT_FLOAT_EQ(node["params"]["weight"][0][0], expected["weight"].get<float>()) << module;
    }
    nodes.erase(module);
  }
  for (const auto& [module, node] : nodes.items()) {
    ASSERT_TRUE(module.ends_with(".block2batch_matmul")) << module;
    const auto impl = module.substr(0, module.rfind('.') + 1);
    EXPECT_LE(node["outputs"][0][0][0],
              golden["nodes"][impl + "matmul_av"]["inputs"][1].get<double>() * (1 + kTolerance));
  }
  for (const auto& layer : result.experts)
    EXPECT_EQ(MeasureJson(layer.tokens), golden["nodes"][layer.module]["tokens"]);
}

INSTANTIATE_TEST_SUITE_P(Golden, MeasuredTinyModels,
                         ::testing::Values("llama_gqa_biases", "deepseek_fp8_yarn",
                                           "deepseek_no_q_lora_one_group", "mixtral_plain",
                                           "qwen2_moe_shared", "gemma2_caps", "deepseek_two_mtp"));

TEST_F(Measure, BytesDependOnNeitherThreadsNorMemory) {
  const auto model = kGolden / "model/qwen2_moe_shared";
  write_ids(MeasureJson::parse("[[1,2,3,4,5,6,7,8,9], [11,12,13,14,15,16]]"));
  const auto one = run(job(model, "one"));
  EXPECT_FALSE(one.spilled);
  const auto two = run(job(model, "two"), 2);
  const auto spec = model::load_spec(checkpoint::Checkpoint::open(model));
  auto short_of_memory = job(model, "spilled");
  for (std::uint64_t limit = std::uint64_t{160} << 20; short_of_memory.max_memory_bytes == 0;
       limit += 1024)
    try {
      spills(spec, 15, limit);
      short_of_memory.max_memory_bytes = limit;
    } catch (const base::Error&) {
    }
  const auto spilled = run(short_of_memory);
  EXPECT_TRUE(spilled.spilled);
  ASSERT_EQ(one.files.size(), 4U);
  for (std::size_t i = 0; i < one.files.size(); ++i) {
    const auto bytes = base::read_text_file(one.files[i]);
    EXPECT_EQ(bytes, base::read_text_file(two.files[i])) << one.files[i];
    EXPECT_EQ(bytes, base::read_text_file(spilled.files[i])) << one.files[i];
  }
}

TEST_F(Measure, ChannelsAreOfWhatTheTensorIs) {
  write_ids(MeasureJson::parse("[[1,2,3,4,5,6,7,8,9]]"));
  auto whole = job(kGolden / "model/llama_gqa_biases", "whole");
  auto channels = job(kGolden / "model/llama_gqa_biases", "channels");
  channels.config.observer = "maxabs_per_channel";
  const auto one = nodes_of(run(whole));
  const auto many = nodes_of(run(channels));
  const auto most = [](const MeasureJson& channel) {
    double value = 0;
    for (const auto& entry : channel) value = std::max(value, entry[0].get<double>());
    return value;
  };
  ASSERT_EQ(one.size(), many.size());
  for (const auto& [module, node] : many.items()) {
    for (const char* list : {"inputs", "outputs"})
      for (std::size_t i = 0; node.contains(list) && i < node[list].size(); ++i)
        EXPECT_EQ(most(node[list][i]), one[module][list][i][0][0]) << module;
    if (node.contains("params")) {
      EXPECT_EQ(most(node["params"]["weight"]), one[module]["params"]["weight"][0][0]) << module;
    }
  }
  const auto& qkv = many["model.layers.0.self_attn.qkv_proj"];
  EXPECT_EQ(qkv["inputs"][0].size(), 84U);
  EXPECT_EQ(qkv["outputs"][0].size(), 100U);
  EXPECT_EQ(qkv["params"]["weight"].size(), 100U);
  const auto& product = many["model.layers.0.self_attn.attn.impl.matmul_qk"];
  EXPECT_EQ(product["inputs"][0].size(), 10U);
  EXPECT_EQ(product["inputs"][1].size(), 10U);
}

TEST_F(Measure, TakesWhatTheConfigSelects) {
  write_ids(MeasureJson::parse("[[1,2,3,4,5]]"));
  auto some = job(kGolden / "model/qwen2_moe_shared", "out");
  some.config.hp_dtype = numeric::Dtype::kBF16;
  some.config.measure_exclude = formats::IncMeasureExclude::kOutput;
  some.config.block.names = {"lm_head", "mlp\\.gate\\b", "w13_list"};
  some.config.block.types = {"VLLMKVCache"};
  const auto result = run(some);
  const auto nodes = nodes_of(result);
  EXPECT_FALSE(nodes.contains("lm_head"));
  EXPECT_FALSE(nodes.contains("model.layers.0.self_attn.attn.impl.softmax"));
  for (const auto& [module, node] : nodes.items()) {
    EXPECT_FALSE(module.ends_with("mlp.gate") || module.ends_with("_cache")) << module;
    EXPECT_EQ(module.find("w13_list"), std::string::npos) << module;
    const bool outputs = module.ends_with("o_proj") || module.ends_with("down_proj") ||
                         module.ends_with("moe_op") || module.find("batch") != std::string::npos ||
                         module.ends_with("attention");
    EXPECT_EQ(node.contains("outputs"), outputs) << module;
    const auto value = node["inputs"][0][0][0].get<float>();
    EXPECT_EQ(value, numeric::round_to_bf16(value)) << module;
  }
  // The list of modules is that of the nodes.
  const auto list = MeasureJson::parse(base::read_text_file(result.files.at(2)));
  EXPECT_EQ(list.size(), nodes.size());
  for (const auto& module : list) EXPECT_TRUE(nodes.contains(module)) << module;
}

TEST_F(Measure, ExpertsWithoutTokensHaveTheirWeightsMeasuredAndAreNamed) {
  write_ids(MeasureJson::parse("[[1, 2]]"));
  const auto result = run(job(fs::path(WHIT_SOURCE_DIR) / "demo/moe-15m", "out"));
  const auto nodes = nodes_of(result);
  ASSERT_FALSE(result.unseen.empty());
  for (const auto& expert : result.unseen) {
    EXPECT_EQ(nodes[expert.moe]["outputs"][static_cast<std::size_t>(expert.expert) + 1][0][0], 0);
    for (const char* matrix : {"w13_list", "w2_list"})
      EXPECT_GT(nodes[fmt::format("{}.{}.{}", expert.moe, matrix, expert.expert)]["params"]
                     ["weight"][0][0]
                         .get<double>(),
                0);
  }
  std::int64_t routed = 0;
  for (const auto count : result.experts.at(0).tokens) routed += count;
  EXPECT_EQ(routed, 2 * 4);
  EXPECT_EQ(result.unseen.size(), [&] {
    std::size_t zeros = 0;
    for (const auto& layer : result.experts)
      zeros += static_cast<std::size_t>(std::count(layer.tokens.begin(), layer.tokens.end(), 0));
    return zeros;
  }());
  EXPECT_NE(result.warnings.back().find("no token of the calibration reached expert"),
            std::string::npos);
  EXPECT_NE(base::read_text_file(result.files.at(3)).find(result.experts[0].module + ",0,"),
            std::string::npos);
}

TEST_F(Measure, Refusals) {
  write_ids(MeasureJson::parse("[[1,2,3,4,5]]"));
  auto some = job(kGolden / "model/llama_gqa_biases", "out");
  some.config.mode = formats::IncMode::kQuantize;
  expect_error(base::ErrorKind::kInput, "not MEASURE", some);
  some.config.mode = formats::IncMode::kMeasure;
  some.max_memory_bytes = 1 << 20;
  expect_error(base::ErrorKind::kResource, "expected at least", some);
  some.max_memory_bytes = 0;
  run(some);
  expect_error(base::ErrorKind::kUsage, "--overwrite", some);
  some.overwrite = true;
  run(some);
  base::write_file_atomic(some.out / "inc_output_hooks_maxabs_1_2.json", "{}");
  expect_error(base::ErrorKind::kUsage, "other ranks", some);
}

TEST_F(Measure, PredictionLayersAreMeasuredWhereThatIsAskedFor) {
  write_ids(MeasureJson::parse("[[1,2,3,4,5,6,7,8,9]]"));
  const auto model = kGolden / "model/deepseek_two_mtp";
  auto some = job(model, "out");
  const auto without_them = nodes_of(run(some));
  for (const auto& [module, node] : without_them.items())
    EXPECT_EQ(module.find("layers.2."), std::string::npos) << module;
  some.out = folder_ / "mtp";
  some.mtp = true;
  const auto nodes = nodes_of(run(some));
  EXPECT_TRUE(nodes.contains("model.layers.3.eh_proj"));
  // Their quantizer finds them under the draft model's names.
  const auto spec = model::load_spec(checkpoint::Checkpoint::open(model));
  const MeasuredMaxima maxima(some.out);
  const auto& layer = spec.mtp_layers.at(0);
  const auto& attention = std::get<model::MlaSpec>(layer.attention);
  const std::string prefix = "model.layers.2.mtp_block.self_attn.";
  EXPECT_EQ(maxima.input(layer, attention.kv_a),
            nodes[prefix + "fused_qkv_a_proj"]["inputs"][0][0][0].get<float>());
  EXPECT_EQ(
      maxima.cache(layer).key,
      nodes[prefix + "mla_attn.mla_attn.impl.latent_cache_k"]["inputs"][0][0][0].get<float>());
  const MeasuredMaxima without(folder_ / "out");
  EXPECT_THROW(without.input(layer, attention.kv_a), base::Error);
}

TEST_F(Measure, AnInfiniteHiddenStateIsNamed) {
  const auto backend = compute::make_reference_backend();
  WantedMaxima wanted;
  const stats::TapId site{3, stats::Site::kMlpIn, -1};
  wanted.inputs.insert(site);
  MaximaObserver observer(*backend, wanted);
  tensor::Tensor x = backend->memory().allocate({2, 2}, tensor::Dtype::kF32);
  model::Stage stage;
  stage.site = site;
  observer.input(stage, x.matrix());
  observer.settle();
  EXPECT_EQ(observer.input(site).values, stats::Range{0});
  x.as<float>()[3] = std::nanf("");
  observer.input(stage, x.matrix());
  try {
    observer.settle();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.subject(), "layer 3 mlp_in");
  }
}

TEST_F(Measure, CalibrateFollowsTheScriptForEveryRank) {
  CalibrateJob calibration;
  calibration.model = fs::path(WHIT_SOURCE_DIR) / "demo/moe-15m";
  calibration.model_name = "deepseek-demo";
  calibration.calibration = folder_ / "ids.jsonl";
  calibration.out = folder_ / "out";
  calibration.samples.samples = 2;
  calibration.ranks = 4;
  const auto backend = compute::make_cpu_backend(2);
  const auto result = calibrate(calibration, *backend, events_, cancel_);
  EXPECT_TRUE(result.expert_parallel);  // deepseek's
  const auto config =
      MeasureJson::parse(base::read_text_file(result.output / "maxabs_quant_g3.json"));
  EXPECT_EQ(config["blocklist"]["names"], MeasureJson::parse(R"(["lm_head", "mlp\\.gate\\b"])"));
  EXPECT_EQ(config["dump_stats_path"], (result.output / "g3/inc_output").string());
  ASSERT_EQ(result.scales.ranks.size(), 4U);
  const auto whole = MeasureJson::parse(base::read_text_file(
      result.output / "g3_measured/inc_output_hooks_maxabs_0_1.json"))["Nodes"];
  const std::string moe = "model.layers.1.mlp.experts.moe_op";
  EXPECT_FALSE(whole.contains("lm_head") || whole.contains("model.layers.1.mlp.gate"));
  for (int rank = 0; rank < 4; ++rank) {
    const auto nodes = MeasureJson::parse(base::read_text_file(
        result.output / fmt::format("g3/inc_output_hooks_maxabs_{}_4.json", rank)))["Nodes"];
    ASSERT_EQ(nodes[moe]["outputs"].size(), 5U);
    EXPECT_EQ(nodes[moe]["outputs"][1],
              whole[moe]["outputs"][static_cast<std::size_t>(4 * rank + 1)]);
    EXPECT_TRUE(fs::exists(result.output /
                           fmt::format("g3/inc_output_hooks_maxabs_MAXABS_HW_{}_4.npz", rank)));
  }
  // A second run does not mix with the first.
  EXPECT_THROW(calibrate(calibration, *backend, events_, cancel_), base::Error);
  calibration.overwrite = true;
  calibration.ranks = 1;
  calibration.device = scheme::Fp8Device::kGaudi2;
  const auto one = calibrate(calibration, *backend, events_, cancel_);
  EXPECT_EQ(one.scales.device, scheme::Fp8Device::kGaudi2);
  EXPECT_TRUE(fs::exists(one.output / "g2/inc_output_hooks_maxabs_MAXABS_HW_0_1.json"));
}

}  // namespace
}  // namespace whit::pipeline
