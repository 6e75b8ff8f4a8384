#include <CLI/CLI.hpp>
#include <memory>

#include "base/memory.h"
#include "cli/quantize_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "pipeline/plan.h"

namespace whit::cli {

namespace {

report::Json to_json(const pipeline::Plan& plan) {
  report::Json stages = report::Json::array();
  for (const auto& step : plan.steps)
    stages.push_back({{"name", step.name},
                      {"flops", step.flops},
                      {"peak_memory_bytes", step.peak_memory_bytes}});
  return {{"quantized", plan.quantized},
          {"copied", plan.copied},
          {"dequantized", plan.dequantized},
          {"ignored", plan.ignored},
          {"peak_memory_bytes", plan.peak_memory_bytes},
          {"peak_gpu_memory_bytes", 0},
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
      "ignored          {} tensors\noutput           {}, {:.3f} bits per weight\n"
      "disk             {}\npeak memory      {}{}\nwork             {:.3f} TFLOP, {} tokens at "
      "most\n",
      plan.quantized.size(), plan.copied.size(), plan.dequantized.size(), plan.ignored.size(),
      base::format_bytes(plan.output_bytes), plan.bits_per_weight,
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
    session.print(to_json(*plan), to_text(*plan));
    return 0;
  };
}

}  // namespace

Verb plan_verb() {
  return {"plan", "What quantize would do and cost, reading headers only",
          "  whit plan demo/moe-15m\n"
          "  whit plan deepseek-ai/DeepSeek-V3 --num-calibration-samples 512 --max-memory 64GiB\n"
          "  whit plan demo/moe-15m --ignore 're:.*self_attn.*' --json\n",
          declare};
}

}  // namespace whit::cli
