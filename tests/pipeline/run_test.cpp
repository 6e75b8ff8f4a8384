#include "pipeline/run.h"

#include <cmath>
#include <fstream>

#include "base/error.h"
#include "formats/verify.h"
#include "pipeline/carry_over.h"
#include "pipeline/journal.h"
#include "pipeline/pipeline_demo.h"

namespace whit::pipeline {
namespace {

using RunTest = DemoJob;

TEST_F(RunTest, WritesAWholeCheckpoint) {
  Recorder recorder;
  const RunResult result = quantize("out", recipe(), ExistingOutput::kRefuse, 2, &recorder);
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  const auto plan = make_plan(demo(), recipe());
  EXPECT_EQ(result.tensors_quantized, static_cast<std::int64_t>(plan->quantized.size()));
  EXPECT_EQ(result.weights.size(), plan->quantized.size());
  EXPECT_EQ(recorder.count("weight"), result.tensors_quantized);
  for (const auto& weight : result.weights) {
    ASSERT_TRUE(weight.proxy_error && weight.proxy_error_rtn) << weight.name;
    EXPECT_TRUE(std::isfinite(*weight.proxy_error)) << weight.name;
    EXPECT_LT(*weight.proxy_error, 0.2) << weight.name;
  }
  for (const auto& shard : plan->shards)
    for (const auto& tensor : shard.tensors) {
      ASSERT_TRUE(written.has(tensor.entry.name)) << tensor.entry.name;
      EXPECT_EQ(written.info(tensor.entry.name).shape, tensor.entry.shape);
      EXPECT_EQ(written.info(tensor.entry.name).dtype, tensor.entry.dtype);
    }
  EXPECT_EQ(written.config().at("quantization_config").at("format"), "pack-quantized");
  EXPECT_EQ(written.config().at("hidden_size"), 256);
  EXPECT_TRUE(fs::exists(folder_ / "out/tokenizer.json"));
  EXPECT_TRUE(fs::exists(folder_ / "out/generation_config.json"));
  EXPECT_FALSE(fs::exists(folder_ / "out" / Journal::kFile));
}

TEST_F(RunTest, CarriesOverWhatLoadersRead) {
  const fs::path from = folder_ / "from", to = folder_ / "to";
  fs::create_directories(from / "additional_chat_templates");
  fs::create_directories(to);
  for (const char* name :
       {"tokenizer.model", "chat_template.jinja", "model.bin", "config.json",
        "additional_chat_templates/tool_use.jinja", "additional_chat_templates/notes.txt"})
    base::write_file_atomic(from / name, name);
  EXPECT_EQ(carry_over_files(from, to),
            (std::vector<std::string>{"additional_chat_templates/tool_use.jinja",
                                      "chat_template.jinja", "tokenizer.model"}));
  EXPECT_EQ(base::read_text_file(to / "additional_chat_templates/tool_use.jinja"),
            "additional_chat_templates/tool_use.jinja");
}

TEST_F(RunTest, CopiesAreBitIdentical) {
  quantize("out", recipe());
  const auto source = demo();
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  const auto plan = make_plan(source, recipe());
  ASSERT_FALSE(plan->copied.empty());
  for (const auto& name : plan->copied) {
    const auto before = source.view(name).raw();
    const auto after = written.view(name).raw();
    EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin(), after.end())) << name;
  }
}

TEST_F(RunTest, SameBytesForAnyThreadsAndMemory) {
  quantize("one", recipe(), ExistingOutput::kRefuse, 1);
  quantize("three", recipe(), ExistingOutput::kRefuse, 3);
  Recipe offloaded = recipe();
  offloaded.offload_activations = true;
  quantize("file", offloaded);
  EXPECT_EQ(hashes("one"), hashes("three"));
  EXPECT_EQ(hashes("one"), hashes("file"));
}

TEST_F(RunTest, AStoppedJobGoesOnToTheSameBytes) {
  quantize("whole", recipe());
  base::CancelToken cancel;
  Recorder recorder;
  recorder.cancel = &cancel;
  recorder.cancel_after = 100;  // inside the third layer
  try {
    quantize("stopped", recipe(), ExistingOutput::kRefuse, 2, &recorder, &cancel);
    FAIL() << "the job was not stopped";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInterrupted);
  }
  EXPECT_FALSE(fs::exists(folder_ / "stopped/config.json"));
  EXPECT_TRUE(fs::exists(folder_ / "stopped" / Journal::kFile));
  const RunResult result = quantize("stopped", recipe(), ExistingOutput::kResume);
  EXPECT_TRUE(result.resumed);
  EXPECT_EQ(result.weights.size(), static_cast<std::size_t>(result.tensors_quantized));
  EXPECT_EQ(hashes("whole"), hashes("stopped"));
}

TEST_F(RunTest, NarrowHiddenStatesKeepTheBytes) {
  Recipe narrow = recipe();
  narrow.hidden_states = tensor::Dtype::kBF16;
  quantize("whole", narrow, ExistingOutput::kRefuse, 1);
  stop("stopped", narrow, 100, 3);
  quantize("stopped", narrow, ExistingOutput::kResume);
  EXPECT_EQ(hashes("whole"), hashes("stopped"));
  narrow.offload_activations = true;
  EXPECT_THROW(quantize("file", narrow), base::Error);
}

TEST_F(RunTest, ExpertsOnlyResumesToTheSameBytes) {
  Recipe only = recipe();
  only.only_experts = true;
  quantize("whole", only);
  stop("stopped", only, 60);
  quantize("stopped", only, ExistingOutput::kResume);
  EXPECT_EQ(hashes("whole"), hashes("stopped"));
}

TEST_F(RunTest, TheTeachersStreamKeepsTheBytes) {
  Recipe best = recipe();
  best.refinement = refinement_of(Quality::kBest);
  quantize("in memory", best, ExistingOutput::kRefuse, 1);
  best.offload_activations = true;
  stop("stopped", best, 100, 3);
  quantize("stopped", best, ExistingOutput::kResume);
  EXPECT_EQ(hashes("in memory"), hashes("stopped"));
}

TEST_F(RunTest, DefaultKeepsItsBytesAndCopies) {
  Recipe usual = recipe();
  usual.refinement = refinement_of(Quality::kDefault);
  quantize("whole", usual, ExistingOutput::kRefuse, 1);
  stop("stopped", usual, 100, 3);
  quantize("stopped", usual, ExistingOutput::kResume);
  EXPECT_EQ(hashes("whole"), hashes("stopped"));
  const auto plan = make_plan(demo(), usual);
  EXPECT_TRUE(plan->refitted.empty());
}

// GPTQ's equations know positive scales alone; what goes beyond them mirrors about half of the
// groups.
TEST_F(RunTest, ScalesHaveTheSignsThatWereAskedFor) {
  const auto negative_scales = [&](const std::string& out, bool either_sign) {
    Recipe signs = recipe();
    signs.refinement.signed_scales = either_sign;
    quantize(out, signs);
    const auto written = checkpoint::Checkpoint::open(folder_ / out);
    for (const auto& check : formats::verify(written, nullptr))
      EXPECT_TRUE(check.ok) << check.name << ": " << check.detail;
    std::int64_t negative = 0, all = 0;
    for (const std::string& name : written.names())
      if (name.ends_with(".weight_scale"))
        for (const float scale : tensor::to_f32_vector(written.view(name))) {
          negative += scale < 0 ? 1 : 0;
          ++all;
        }
    return static_cast<double>(negative) / static_cast<double>(all);
  };
  EXPECT_EQ(negative_scales("positive", false), 0.0);
  EXPECT_NEAR(negative_scales("either", true), 0.5, 0.1);
}

TEST_F(RunTest, BestMovesRoutersAndHeadAndSaysSo) {
  Recipe best = recipe();
  best.refinement = refinement_of(Quality::kBest);
  best.refinement.held_out = false;  // random tokens hold nothing to aim at
  best.refinement.embedding = false;
  quantize("out", best);
  const auto source = demo();
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  const auto plan = make_plan(source, best);
  ASSERT_TRUE(plan->refits("lm_head.weight"));
  ASSERT_TRUE(plan->refits("model.layers.1.mlp.gate.weight"));
  for (const auto& name : plan->refitted) {
    const auto before = tensor::to_f32_vector(source.view(name));
    const auto after = tensor::to_f32_vector(written.view(name));
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      difference += std::pow(static_cast<double>(after[i] - before[i]), 2);
      norm += std::pow(static_cast<double>(before[i]), 2);
    }
    EXPECT_GT(difference, 0) << name;
    EXPECT_LT(difference, 0.25 * norm) << name;
  }
  for (const auto& check : formats::verify(written, &source))
    EXPECT_TRUE(check.ok) << check.name << ": " << check.detail;
}

TEST_F(RunTest, ColdExpertsAreToppedUpAndSaid) {
  Recorder recorder;
  const RunResult result = quantize("out", recipe(), ExistingOutput::kRefuse, 2, &recorder);
  EXPECT_GT(recorder.count("expert_topped_up"), 0);
  for (const auto& weight : result.weights) {
    if (weight.name.find(".experts.") != std::string::npos) {
      EXPECT_GE(weight.tokens, 128) << weight.name;
    }
  }
}

TEST_F(RunTest, RtnNeedsNoText) {
  Recipe plain = recipe();
  plain.method = Method::kRtn;
  plain.calibration.clear();
  const RunResult result = quantize("out", plain);
  EXPECT_EQ(result.weights.size(), static_cast<std::size_t>(result.tensors_quantized));
  EXPECT_FALSE(result.weights.front().proxy_error.has_value());
}

TEST_F(RunTest, RefusesAFullFolder) {
  fs::create_directories(folder_ / "out");
  std::ofstream(folder_ / "out/notes.txt") << "mine";
  for (const auto existing : {ExistingOutput::kRefuse, ExistingOutput::kResume}) {
    try {
      quantize("out", recipe(), existing);
      FAIL() << "a folder with other files was taken";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    }
  }
  quantize("out", recipe(), ExistingOutput::kOverwrite);
  EXPECT_TRUE(fs::exists(folder_ / "out/notes.txt")) << "files that are not whit's stay";
}

TEST_F(RunTest, ResumeOfAFinishedJobSaysSo) {
  quantize("out", recipe());
  const auto before = hashes("out");
  const RunResult again = quantize("out", recipe(), ExistingOutput::kResume);
  EXPECT_TRUE(again.resumed);
  EXPECT_EQ(hashes("out"), before);
}

TEST_F(RunTest, AnotherRecipeDoesNotResume) {
  base::CancelToken cancel;
  Recorder recorder;
  recorder.cancel = &cancel;
  recorder.cancel_after = 20;
  EXPECT_THROW(quantize("out", recipe(), ExistingOutput::kRefuse, 2, &recorder, &cancel),
               base::Error);
  Recipe other = recipe();
  other.rel_damp = 0.02;
  try {
    quantize("out", other, ExistingOutput::kResume);
    FAIL() << "another job was resumed";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_NE(error.detail().find("rel_damp"), std::string::npos) << error.detail();
  }
}

}  // namespace
}  // namespace whit::pipeline
