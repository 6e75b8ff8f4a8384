#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "formats/npz.h"
#include "formats/torch_file.h"
#include "numeric/float_codec.h"
#include "pipeline/measure.h"
#include "pipeline/pipeline_demo.h"
#include "pipeline/scores.h"

namespace whit::pipeline {
namespace {

using TensorsJson = nlohmann::json;

const fs::path kModels = fs::path(WHIT_TEST_DATA) / "golden/model";

class Tensors : public DemoJob {
 protected:
  void SetUp() override {
    DemoJob::SetUp();
    std::ofstream out(folder_ / "ids.jsonl");
    out << R"({"input_ids": [1,2,3,4,5,6,7,8,9]})"
        << "\n";
    out << R"({"input_ids": [11,12,13,14,15]})"
        << "\n";
  }

  MeasureJob job(const std::string& model, const std::string& observer) const {
    MeasureJob job;
    job.model = kModels / model;
    job.config.mode = formats::IncMode::kMeasure;
    job.config.observer = observer;
    job.config.hp_dtype = numeric::Dtype::kF32;
    job.config.measure_exclude = formats::IncMeasureExclude::kNone;
    job.config_subject = "config";
    job.out = folder_ / (model + "-" + observer);
    job.calibration = folder_ / "ids.jsonl";
    job.samples.samples = 2;
    job.samples.min_length = 1;
    job.mtp = true;
    return job;
  }

  MeasureResult run(const MeasureJob& job) {
    const auto backend = compute::make_cpu_backend(1);
    return measure(job, *backend, events_, cancel_);
  }

  static TensorsJson file_of(const MeasureResult& result) {
    return TensorsJson::parse(base::read_text_file(result.files.at(0)));
  }

  // The numbers of a file of one tensor.
  static std::vector<float> numbers(const fs::path& path, bool narrow = false) {
    const std::string data =
        formats::read_zip_member(base::read_text_file(path), "archive/data/0", path.string());
    std::vector<float> values(data.size() / (narrow ? 2 : 4));
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t half = 0;
      if (narrow) {
        std::memcpy(&half, data.data() + 2 * i, 2);
        values[i] = numeric::bf16_to_f32(half);
      } else {
        std::memcpy(&values[i], data.data() + 4 * i, 4);
      }
    }
    return values;
  }

  base::NullSink events_;
  base::CancelToken cancel_;
};

float largest(const std::vector<float>& values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

class SavedTensors : public Tensors, public ::testing::WithParamInterface<const char*> {};

// What is saved reaches as far as what is measured, and has the extents that `shape` notes: two
// observers that share no code with the third.
TEST_P(SavedTensors, ReachAsFarAsTheMaximaAndHaveTheirShapes) {
  const auto maxima = file_of(run(job(GetParam(), "maxabs")))["Nodes"];
  const auto shapes = file_of(run(job(GetParam(), "shape")))["Nodes"];
  const auto saved = run(job(GetParam(), "save"));
  EXPECT_EQ(file_of(saved)["Mode"], "DynamicRange");
  const fs::path folder = saved.run.folder / "tensors";
  std::map<std::string, float> most;        // by MODULE_SLOT
  std::map<std::string, std::size_t> size;  // of the last sequence
  std::size_t modules = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    if (name.ends_with("_module")) {
      ++modules;
      continue;
    }
    const auto at = name.rfind("_iter");
    ASSERT_NE(at, std::string::npos) << name;
    const auto values = numbers(entry.path());
    float& so_far = most[name.substr(0, at)];
    so_far = std::max(so_far, largest(values));
    const bool last = name.substr(at) == "_iter1" || name.find("_weight") != std::string::npos;
    if (last || !size.contains(name.substr(0, at))) size[name.substr(0, at)] = values.size();
  }
  std::size_t compared = 0, weights = 0;
  const auto compare = [&](const std::string& slot, const TensorsJson& maximum,
                           const TensorsJson& shape) {
    if (!most.contains(slot)) return;
    ++compared;
    const double value = maximum[0][0];
    EXPECT_NEAR(most[slot], value, 1e-5 * value) << slot;
    std::size_t elements = 1;
    for (const auto& extent : shape[0]) elements *= extent.get<std::size_t>();
    EXPECT_EQ(size[slot], elements) << slot;
  };
  for (const auto& [module, node] : maxima.items()) {
    if (module.ends_with("batch2block_matmul") || module.ends_with("block2batch_matmul")) {
      EXPECT_FALSE(shapes.contains(module));
      continue;
    }
    ASSERT_TRUE(shapes.contains(module)) << module;
    for (const char* list : {"inputs", "outputs"}) {
      if (!node.contains(list)) continue;
      ASSERT_EQ(node[list].size(), shapes[module][list].size()) << module;
      for (std::size_t i = 0; i < node[list].size(); ++i)
        compare(fmt::format("{}_{}{}", module, list[0] == 'i' ? "input" : "output", i),
                node[list][i], shapes[module][list][i]);
    }
    if (!node.contains("params")) continue;
    ++weights;
    ASSERT_TRUE(most.contains(module + "_weight")) << module;
    compare(module + "_weight", node["params"]["weight"], shapes[module]["params"]["weight"]);
  }
  EXPECT_EQ(compared, most.size());
  EXPECT_EQ(modules, weights);
}

INSTANTIATE_TEST_SUITE_P(Tiny, SavedTensors,
                         ::testing::Values("llama_gqa_biases", "gemma2_caps", "deepseek_two_mtp"));

TEST_F(Tensors, ShapesAreOfTheLastSequence) {
  auto shape = job("llama_gqa_biases", "maxabs");
  shape.config.mode = formats::IncMode::kShape;
  const auto result = run(shape);
  EXPECT_EQ(result.files.at(0).filename(), "inc_output_hooks_shape_0_1.json");
  const auto file = file_of(result);
  EXPECT_EQ(file["Mode"], "Shape");
  EXPECT_EQ(file["NumSamples"], 2);
  const auto& nodes = file["Nodes"];
  const auto& qkv = nodes["model.layers.0.self_attn.qkv_proj"];
  EXPECT_EQ(qkv["inputs"], TensorsJson::parse("[[[1, 5, 84]]]"));
  EXPECT_EQ(qkv["outputs"], TensorsJson::parse("[[[1, 5, 100]]]"));
  EXPECT_EQ(qkv["params"]["weight"], TensorsJson::parse("[[100, 84]]"));
  const std::string impl = "model.layers.1.self_attn.attn.impl.";
  EXPECT_EQ(nodes[impl + "matmul_qk"]["inputs"],
            TensorsJson::parse("[[[1, 6, 5, 10]], [[1, 2, 5, 10]]]"));
  EXPECT_EQ(nodes[impl + "softmax"]["outputs"], TensorsJson::parse("[[[1, 6, 5, 5]]]"));
  EXPECT_EQ(nodes[impl + "v_cache"]["inputs"], TensorsJson::parse("[[[5, 2, 10]]]"));
  // As INC writes them.
  EXPECT_NE(base::read_text_file(result.files.at(0)).find("84.0"), std::string::npos);
  EXPECT_FALSE(fs::exists(shape.out / "tensors"));
}

TEST_F(Tensors, SavedOnesAreInTheConfigsDtype) {
  auto save = job("llama_gqa_biases", "save");
  const auto full = run(save);
  save.out = folder_ / "narrow";
  save.config.hp_dtype = numeric::Dtype::kBF16;
  run(save);
  const std::string name = "model.layers.1.mlp.down_proj_input0_iter1.pt";
  const auto wide = numbers(full.run.folder / "tensors" / name);
  const auto narrow = numbers(save.out / "tensors" / name, true);
  ASSERT_EQ(wide.size(), narrow.size());
  for (std::size_t i = 0; i < wide.size(); ++i)
    EXPECT_EQ(narrow[i], numeric::round_to_bf16(wide[i]));
  const auto path = save.out / "tensors/model.layers.0.self_attn.qkv_proj_module.pt";
  const auto state = formats::read_torch_dict(base::read_text_file(path), path.string());
  EXPECT_EQ(state.at("weight").shape(), (tensor::Shape{100, 84}));
  EXPECT_EQ(state.at("bias").shape(), (tensor::Shape{100}));
  EXPECT_EQ(state.at("bias").dtype(), tensor::Dtype::kBF16);
  // Nothing is mixed with what is there.
  EXPECT_THROW(run(save), base::Error);
  save.overwrite = true;
  run(save);
}

TEST_F(Tensors, BelongToOneProcess) {
  auto save = job("llama_gqa_biases", "save");
  const auto ranks = comm::make_threads(2);
  save.ranks = ranks[0].get();
  try {
    run(save);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("save on 2 ranks"), std::string::npos);
  }
}

// One product after the other, in double.
ScoreMaxima by_definition(const compute::AttentionArgs& args,
                          std::span<const std::int64_t> starts) {
  ScoreMaxima most;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s)
    for (std::int64_t head = 0; head < args.heads; ++head)
      for (std::int64_t i = 0; i < starts[s + 1] - starts[s]; ++i)
        for (std::int64_t j = 0; j <= i; ++j) {
          if (args.window > 0 && j <= i - args.window) continue;
          const std::int64_t kv = head / (args.heads / args.kv_heads);
          const float* q =
              args.q.data.row<float>(starts[s] + i) + args.q.first_col + head * args.q.head_stride;
          const float* k =
              args.k.data.row<float>(starts[s] + j) + args.k.first_col + kv * args.k.head_stride;
          double score = 0;
          for (std::int64_t c = 0; c < args.k.dim; ++c) score += double{q[c]} * double{k[c]};
          for (std::int64_t c = 0; args.k_shared && c < args.k_shared->dim; ++c)
            score +=
                double{q[args.k.dim + c]} * double{(args.k_shared->data.row<float>(starts[s] + j) +
                                                    args.k_shared->first_col)[c]};
          score *= double{args.scale};
          most.scores = std::max(most.scores, std::abs(score));
          if (args.softcap > 0)
            score = double{args.softcap} * std::tanh(score / double{args.softcap});
          if (args.key_bias.data != nullptr) score += double{args.key_bias.row<float>(head)[j]};
          most.logits = std::max(most.logits, std::abs(score));
        }
  return most;
}

TEST(ScoreMaximaTest, AreThoseOfVisiblePairs) {
  const auto backend = compute::make_cpu_backend(2);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  // 300: three blocks of queries; the largest products are made to lie where no query looks.
  const std::vector<std::int64_t> starts{0, 300, 300, 307, 436};
  const auto filled = [&](std::int64_t rows, std::int64_t cols) {
    tensor::Tensor x({rows, cols}, tensor::Dtype::kF32);
    for (std::int64_t i = 0; i < rows * cols; ++i) x.as<float>()[i] = normal(random);
    return x;
  };
  const tensor::Tensor q = filled(436, 4 * 12), k = filled(436, 2 * 9), shared = filled(436, 3);
  const tensor::Tensor bias = filled(4, 300);
  for (const int what : {0, 1, 2, 3, 4, 5}) {
    compute::AttentionArgs args;
    args.heads = 4;
    args.kv_heads = 2;
    args.q = {q.matrix(), 0, 12, 12};
    args.k = {k.matrix(), 0, 9, 9};
    args.k_shared = compute::HeadView{shared.matrix(), 0, 0, 3};
    args.v = args.k;
    args.scale = 0.7F;
    if (what == 1) args.window = 1;
    if (what == 2) args.window = 140;
    if (what == 3) args.softcap = 2;
    if (what >= 4) args.key_bias = bias.matrix();
    if (what == 5) args.softcap = 1;
    const auto found = score_maxima(*backend, args, starts);
    const auto expected = by_definition(args, starts);
    EXPECT_NEAR(found.scores, expected.scores, 1e-6 * expected.scores) << what;
    EXPECT_NEAR(found.logits, expected.logits, 1e-6 * expected.logits) << what;
  }
}

}  // namespace
}  // namespace whit::pipeline
