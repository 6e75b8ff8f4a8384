#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>

#include "base/error.h"
#include "base/memory.h"
#include "cli/quantize_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "pipeline/plan.h"

namespace whit::cli {

namespace verb_plan {

// What one quality of the same job would cost.
struct QualityCost {
  std::string name;
  double flops = 0;
  std::uint64_t peak_memory_bytes = 0;
};

std::vector<QualityCost> costs_of_qualities(const checkpoint::Checkpoint& checkpoint,
                                            pipeline::Recipe recipe) {
  std::vector<QualityCost> costs;
  if (recipe.method != pipeline::Method::kGptq) return costs;
  for (const char* name : {"fast", "default", "best"}) {
    recipe.refinement = pipeline::refinement_of(*pipeline::quality_from_name(name));
    try {
      const auto plan = pipeline::make_plan(checkpoint, recipe);
      costs.push_back({name, plan->flops, plan->peak_memory_bytes});
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kResource) throw;  // what does not fit is not listed
    }
  }
  return costs;
}

// FLOP/s of a matrix product that fits the caches, the best of a few.
double measured_rate(compute::Backend& backend) {
  constexpr std::int64_t kSize = 1024;
  const auto a = backend.memory().allocate({kSize, kSize}, tensor::Dtype::kF32);
  const auto b = backend.memory().allocate({kSize, kSize}, tensor::Dtype::kF32);
  auto c = backend.memory().allocate({kSize, kSize}, tensor::Dtype::kF32);
  double best = 0;
  for (int i = 0; i < 4; ++i) {
    const auto start = std::chrono::steady_clock::now();
    backend.linalg().gemm(1.0F, a.matrix(), compute::Transpose::kNo, b.matrix(),
                          compute::Transpose::kNo, 0.0F, c.matrix());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * kSize * kSize * kSize / took.count());
  }
  return best;
}

std::string to_text(const std::vector<QualityCost>& costs, double rate) {
  if (costs.empty()) return {};
  std::string text = fmt::format("\n{:<16}{:>12}{:>10}{:>16}{:>16}\n", "--quality", "TFLOP",
                                 "x fast", "peak memory", "time at least");
  for (const auto& cost : costs)
    text += fmt::format("{:<16}{:>12.3f}{:>10.2f}{:>16}{:>14.0f} s\n", cost.name,
                        cost.flops * 1e-12, cost.flops / costs.front().flops,
                        base::format_bytes(cost.peak_memory_bytes), cost.flops / rate);
  text += fmt::format(
      "Time: the work at the {:.0f} GFLOP/s of a matrix product, measured now; a run takes 1.5 to "
      "3 "
      "times that.\n",
      rate * 1e-9);
  return text;
}

report::Json to_json(const std::vector<QualityCost>& costs, double rate) {
  report::Json json = report::Json::array();
  for (const auto& cost : costs)
    json.push_back({{"quality", cost.name},
                    {"flops", cost.flops},
                    {"peak_memory_bytes", cost.peak_memory_bytes},
                    {"seconds_at_least", cost.flops / rate}});
  return json;
}

report::Json to_json(const pipeline::Plan& plan, bool on_gpu) {
  report::Json stages = report::Json::array();
  for (const auto& step : plan.steps)
    stages.push_back({{"name", step.name},
                      {"flops", step.flops},
                      {"peak_memory_bytes", step.peak_memory_bytes}});
  return {{"quantized", plan.quantized},
          {"copied", plan.copied},
          {"dequantized", plan.dequantized},
          {"refitted", plan.refitted},
          {"ignored", plan.ignored},
          {"peak_memory_bytes", plan.peak_memory_bytes},
          {"peak_gpu_memory_bytes", on_gpu ? plan.peak_memory_bytes : 0},
          {"disk_bytes", plan.disk_bytes},
          {"output_bytes", plan.output_bytes},
          {"bits_per_weight", plan.bits_per_weight},
          {"parameters", plan.parameters},
          {"calibration_tokens", plan.tokens},
          {"activations_in_file", plan.activations_in_file},
          {"flops", plan.flops},
          {"notes", plan.bound.notes},
          {"stages", std::move(stages)}};
}

std::string to_text(const pipeline::Plan& plan) {
  std::string text = fmt::format("{:<28}{:>12}{:>16}\n", "stage", "TFLOP", "peak memory");
  for (const auto& step : plan.steps)
    text += fmt::format("{:<28}{:>12.3f}{:>16}\n", step.name, step.flops * 1e-12,
                        base::format_bytes(step.peak_memory_bytes));
  text += fmt::format(
      "\nquantized        {} tensors\ncopied           {} tensors, {} of them decoded from FP8\n"
      "refitted         {} tensors\n"
      "ignored          {} tensors\noutput           {}, {:.3f} bits per weight\n"
      "disk             {}\npeak memory      {}{}\nwork             {:.3f} TFLOP, {} tokens at "
      "most\n",
      plan.quantized.size(), plan.copied.size(), plan.dequantized.size(), plan.refitted.size(),
      plan.ignored.size(), base::format_bytes(plan.output_bytes), plan.bits_per_weight,
      base::format_bytes(plan.disk_bytes), base::format_bytes(plan.peak_memory_bytes),
      plan.activations_in_file ? ", activations in a file" : "", plan.flops * 1e-12, plan.tokens);
  for (const auto& note : plan.bound.notes) text += fmt::format("note             {}\n", note);
  return text;
}

Job declare(CLI::App& app) {
  auto flags = declare_quantize_flags(app);
  app.add_option("MODEL", flags->model, "model folder or org/name[@revision]")->required();
  app.add_option("OUT", flags->out, "where quantize would write; nothing is written");
  return [flags](Session& session) {
    const auto recipe = recipe_from(*flags, session, Purpose::kPlan);
    const auto checkpoint = checkpoint::Checkpoint::open(session.model_folder(flags->model));
    const auto plan = pipeline::make_plan(checkpoint, recipe);
    const auto costs = costs_of_qualities(checkpoint, recipe);
    const double rate = measured_rate(session.backend());
    report::Json json = to_json(*plan, session.on_gpu());
    json["qualities"] = to_json(costs, rate);
    session.print(json, to_text(*plan) + to_text(costs, rate));
    return 0;
  };
}

}  // namespace verb_plan

Verb plan_verb() {
  return {"plan", "What quantize would do and cost, reading headers only",
          "  whit plan demo/moe-15m\n"
          "  whit plan deepseek-ai/DeepSeek-V3 --num-calibration-samples 512 --max-memory 64GiB\n"
          "  whit plan demo/moe-15m --ignore 're:.*self_attn.*' --json\n",
          verb_plan::declare};
}

}  // namespace whit::cli
