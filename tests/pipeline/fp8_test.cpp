#include <cmath>

#include "base/error.h"
#include "formats/format.h"
#include "formats/verify.h"
#include "numeric/float_codec.h"
#include "pipeline/journal.h"
#include "pipeline/measure.h"
#include "pipeline/pipeline_demo.h"

namespace whit::pipeline {
namespace {

using formats::WeightFormat;
using scheme::ScaledFloat8;
using scheme::Strategy;

// The demo model, DeepSeek's FP8 blocks on disk, in other FP8 forms.
class Fp8Run : public DemoJob {
 protected:
  Recipe fp8(Fp8Activations activations, std::optional<Strategy> strategy = std::nullopt) const {
    Recipe result = recipe();
    result.method = Method::kFp8;
    result.format = WeightFormat::kFloatQuantized;
    result.fp8.activations = activations;
    result.fp8.strategy = strategy;
    if (activations != Fp8Activations::kStatic) result.calibration.clear();
    return result;
  }
  void expect_verified(const std::string& name) const {
    const auto source = demo();
    const auto written = checkpoint::Checkpoint::open(folder_ / name);
    for (const auto& check : formats::verify(written, &source))
      EXPECT_TRUE(check.ok) << check.name << ": " << check.detail;
  }
  float scale_of(const checkpoint::Checkpoint& written, const std::string& name) const {
    return tensor::to_f32_vector(written.view(name)).at(0);
  }
};

TEST_F(Fp8Run, ChannelsNeedNoText) {
  const RunResult result = quantize("out", fp8(Fp8Activations::kDynamic));
  EXPECT_EQ(result.weights.size(), static_cast<std::size_t>(result.tensors_quantized));
  expect_verified("out");
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  const auto& config = written.config().at("quantization_config");
  EXPECT_EQ(config.at("format"), "float-quantized");
  EXPECT_EQ(config.at("config_groups").at("group_0").at("input_activations").at("strategy"),
            "token");
  // The largest of each row is the largest code.
  const formats::PackedReader reader(written);
  const auto w = std::get<ScaledFloat8>(*reader.read("model.layers.0.mlp.gate_proj"));
  EXPECT_EQ(w.strategy, Strategy::kChannel);
  for (std::int64_t n = 0; n < w.rows(); ++n) {
    const auto* codes = w.codes.as<std::uint8_t>() + n * w.cols();
    EXPECT_TRUE(std::any_of(codes, codes + w.cols(), [](auto c) { return (c & 0x7f) == 0x7e; }));
  }
}

TEST_F(Fp8Run, StaticScalesComeOfTheText) {
  const Recipe fixed = fp8(Fp8Activations::kStatic);
  quantize("one", fixed, ExistingOutput::kRefuse, 1);
  expect_verified("one");
  quantize("three", fixed, ExistingOutput::kRefuse, 3);
  EXPECT_EQ(hashes("one"), hashes("three"));
  const auto written = checkpoint::Checkpoint::open(folder_ / "one");
  const std::string layer = "model.layers.1.";
  // What loaders fuse shares its scales, and all experts read what the layer's MLP reads.
  EXPECT_EQ(scale_of(written, layer + "self_attn.q_a_proj.weight_scale"),
            scale_of(written, layer + "self_attn.kv_a_proj_with_mqa.weight_scale"));
  EXPECT_EQ(scale_of(written, layer + "mlp.experts.3.gate_proj.weight_scale"),
            scale_of(written, layer + "mlp.experts.3.up_proj.weight_scale"));
  EXPECT_EQ(scale_of(written, layer + "mlp.experts.0.gate_proj.input_scale"),
            scale_of(written, layer + "mlp.experts.9.up_proj.input_scale"));
  EXPECT_GT(scale_of(written, layer + "mlp.experts.0.down_proj.input_scale"), 0);
}

// The latent and the rotated key that the demo's attention caches are one row, of one scale.
TEST_F(Fp8Run, CachesAreScaledForWhatTheyKeep) {
  Recipe cached = fp8(Fp8Activations::kStatic);
  cached.fp8.kv_cache = true;
  quantize("out", cached);
  expect_verified("out");
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  const formats::PackedReader reader(written);
  for (const std::string layer : {"model.layers.0", "model.layers.1"}) {
    const auto rounding = reader.cache_rounding(layer + ".self_attn");
    ASSERT_TRUE(rounding && rounding->scaled);
    EXPECT_EQ(rounding->key.scale, rounding->value.scale);
    // kv_b reads the latent, a part of the row.
    EXPECT_GE(rounding->key.scale, scale_of(written, layer + ".self_attn.kv_b_proj.input_scale"));
  }
}

// Each scale is the maximum of the module that vLLM measures for it, over 448.
TEST_F(Fp8Run, MeasurementsStandForText) {
  MeasureJob measuring;
  measuring.model = fs::path(WHIT_SOURCE_DIR) / "demo/moe-15m";
  measuring.config.mode = formats::IncMode::kMeasure;
  measuring.calibration = folder_ / "ids.jsonl";
  measuring.samples = recipe().samples;
  measuring.out = folder_ / "g3";
  const auto backend = compute::make_cpu_backend(2);
  base::NullSink silent;
  const base::CancelToken never;
  const auto measured = measure(measuring, *backend, silent, never);
  const auto nodes =
      nlohmann::json::parse(base::read_text_file(measured.run.path(0, "json"))).at("Nodes");

  Recipe fixed = fp8(Fp8Activations::kStatic);
  fixed.calibration.clear();
  fixed.fp8.kv_cache = true;
  fixed.fp8.measurements = folder_ / "g3";
  // The layer that predicts further tokens is not measured, and that is said.
  try {
    quantize("all", fixed);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(error.subject().find("model.layers.6."), std::string::npos) << error.subject();
    EXPECT_NE(error.suggestion().find("--mtp keep"), std::string::npos);
  }
  fixed.mtp = MtpMode::kKeep;
  const RunResult result = quantize("out", fixed);
  EXPECT_EQ(result.weights.front().tokens, 0);
  expect_verified("out");
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  const auto expect_scale = [&](const std::string& name, const nlohmann::json& range) {
    EXPECT_FLOAT_EQ(scale_of(written, name), range.at(0).at(0).get<float>() / 448) << name;
  };
  const std::string layer = "model.layers.1.";
  const std::string attention = layer + "self_attn.";
  const auto& fused = nodes.at(attention + "fused_qkv_a_proj").at("inputs").at(0);
  expect_scale(attention + "q_a_proj.input_scale", fused);
  expect_scale(attention + "kv_a_proj_with_mqa.input_scale", fused);
  expect_scale(attention + "o_proj.input_scale", nodes.at(attention + "o_proj").at("inputs").at(0));
  const auto& mixture = nodes.at(layer + "mlp.experts.moe_op");
  for (const int expert : {0, 7, 15}) {
    const std::string module = fmt::format("{}mlp.experts.{}.", layer, expert);
    expect_scale(module + "gate_proj.input_scale", mixture.at("inputs").at(0));
    expect_scale(module + "up_proj.input_scale", mixture.at("inputs").at(0));
    expect_scale(module + "down_proj.input_scale",
                 mixture.at("outputs").at(static_cast<std::size_t>(expert + 1)));
  }
  const auto rounding = formats::PackedReader(written).cache_rounding(layer + "self_attn");
  ASSERT_TRUE(rounding);
  const auto& latent = nodes.at(attention + "mla_attn.mla_attn.impl.latent_cache_k");
  EXPECT_FLOAT_EQ(rounding->key.scale, latent.at("inputs").at(0).at(0).at(0).get<float>() / 448);
  // The fused weight's scale stands at each of its parts.
  EXPECT_EQ(scale_of(written, attention + "q_a_proj.weight_scale"),
            scale_of(written, attention + "kv_a_proj_with_mqa.weight_scale"));
}

// A Llama's q, k and v are one weight to its servers: one scale, three times.
TEST_F(Fp8Run, FusedWeightsShareTheLargestScale) {
  const auto source =
      checkpoint::Checkpoint::open(fs::path(WHIT_TEST_DATA) / "golden/model/llama_gqa_biases");
  const auto backend = compute::make_cpu_backend(1);
  base::NullSink silent;
  const base::CancelToken never;
  run(source, {fp8(Fp8Activations::kNone, Strategy::kTensor), folder_ / "out"}, *backend, silent,
      never);
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  for (const std::string layer : {"model.layers.0.self_attn.", "model.layers.1.self_attn."}) {
    float most = 0;
    for (const char* part : {"q_proj", "k_proj", "v_proj"})
      for (const float w : tensor::to_f32_vector(source.view(layer + part + ".weight")))
        most = std::max(most, std::abs(w));
    for (const char* part : {"q_proj", "k_proj", "v_proj"})
      EXPECT_FLOAT_EQ(scale_of(written, layer + part + ".weight_scale"), most / 448) << part;
  }
}

TEST_F(Fp8Run, AStoppedJobGoesOnToTheSameBytes) {
  const Recipe fixed = fp8(Fp8Activations::kStatic);
  quantize("whole", fixed);
  stop("stopped", fixed, 100);
  EXPECT_TRUE(fs::exists(folder_ / "stopped" / Journal::kFile));
  quantize("stopped", fixed, ExistingOutput::kResume);
  EXPECT_EQ(hashes("whole"), hashes("stopped"));
}

TEST_F(Fp8Run, BlocksThatStayBlocksKeepTheirBytes) {
  Recipe blocks = fp8(Fp8Activations::kDynamic, Strategy::kBlock);
  quantize("ct", blocks);
  expect_verified("ct");
  blocks.format = WeightFormat::kHfFp8;
  quantize("hf", blocks);
  expect_verified("hf");
  const auto source = demo();
  const std::string module = "model.layers.2.mlp.experts.5.down_proj";
  for (const char* name : {"ct", "hf"}) {
    const auto written = checkpoint::Checkpoint::open(folder_ / name);
    const auto before = source.view(module + ".weight").raw();
    const auto after = written.view(module + ".weight").raw();
    EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin(), after.end())) << name;
  }
  const auto hf = checkpoint::Checkpoint::open(folder_ / "hf");
  EXPECT_EQ(hf.config().at("quantization_config").at("quant_method"), "fp8");
  EXPECT_TRUE(hf.has(module + ".weight_scale_inv"));
}

TEST_F(Fp8Run, Gaudi2sBlocksAreHalved) {
  Recipe blocks = fp8(Fp8Activations::kDynamic, Strategy::kBlock);
  blocks.fp8.target.device = scheme::Fp8Device::kGaudi2;
  quantize("out", blocks);
  expect_verified("out");
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  EXPECT_EQ(written.config().at("quantization_config").at("fp8_dtype_flavor"), "float8_e4m3fnuz");
  const auto source = demo();
  const std::string module = "model.layers.0.mlp.up_proj";
  EXPECT_EQ(scale_of(written, module + ".weight_scale"),
            2 * scale_of(source, module + ".weight_scale_inv"));
}

TEST_F(Fp8Run, ConversionsScaleActivationsAlong) {
  Recipe fixed = fp8(Fp8Activations::kStatic, Strategy::kTensor);
  fixed.format = WeightFormat::kHfFp8;
  quantize("source", fixed);
  Recipe channels = fp8(Fp8Activations::kStatic, Strategy::kChannel);
  channels.calibration.clear();
  channels.fp8.stored_scales = true;
  const auto source = checkpoint::Checkpoint::open(folder_ / "source");
  const auto backend = compute::make_cpu_backend(2);
  base::NullSink events;
  const base::CancelToken never;
  run(source, {channels, folder_ / "same", ExistingOutput::kRefuse}, *backend, events, never);
  channels.fp8.target.device = scheme::Fp8Device::kGaudi2;
  run(source, {channels, folder_ / "g2", ExistingOutput::kRefuse}, *backend, events, never);
  const auto same = checkpoint::Checkpoint::open(folder_ / "same");
  const auto g2 = checkpoint::Checkpoint::open(folder_ / "g2");
  std::size_t scales = 0;
  for (const auto& name : source.names()) {
    if (!name.ends_with(".input_scale")) continue;
    ++scales;
    const float before = scale_of(source, name);
    EXPECT_EQ(scale_of(same, name), before) << name;
    EXPECT_FLOAT_EQ(scale_of(g2, name), before * 448 / 240) << name;
  }
  EXPECT_GT(scales, 100U);
  for (const auto& check : formats::verify(g2, &source)) EXPECT_TRUE(check.ok) << check.detail;
  // Of a source without them, the linear is named.
  try {
    quantize("none", channels);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find("input_scale: missing"), std::string::npos)
        << error.what();
  }
}

TEST_F(Fp8Run, RefusesWhatNoLoaderReads) {
  const auto refused = [&](const Recipe& bad, const std::string& flag) {
    try {
      validate(bad);
      FAIL() << flag;
    } catch (const base::Error& error) {
      EXPECT_NE(std::string(error.what()).find(flag), std::string::npos) << error.what();
    }
  };
  refused(fp8(Fp8Activations::kStatic, Strategy::kBlock), "--activations");
  Recipe bad = fp8(Fp8Activations::kStatic);
  bad.calibration.clear();
  refused(bad, "--calibration");
  bad = fp8(Fp8Activations::kNone);
  bad.format = WeightFormat::kHfFp8;
  refused(bad, "--activations");
  bad.format = WeightFormat::kPackQuantized;
  refused(bad, "--format");
  bad = fp8(Fp8Activations::kDynamic);
  bad.fp8.target.format = scheme::Fp8Format::kE5M2;
  refused(bad, "--fp8-format");
  bad = fp8(Fp8Activations::kDynamic);
  bad.fp8.scale_method = "MAXABS_PCS_POW2";
  refused(bad, "--scale-method");
  bad = recipe();
  bad.format = WeightFormat::kFloatQuantized;
  refused(bad, "--format");
}

}  // namespace
}  // namespace whit::pipeline
