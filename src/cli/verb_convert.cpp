#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/memory.h"
#include "cli/choose.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "formats/packed_reader.h"
#include "model/inventory.h"
#include "pipeline/run.h"
#include "runtime/convert.h"

namespace whit::cli {

namespace verb_convert {

struct Flags {
  std::string model, out, to = "bf16", target = "generic";
  bool overwrite = false;
};

// FP8 as another FP8: the same weights with other scales, one in memory at a time.
std::optional<scheme::Strategy> fp8_of(const std::string& name) {
  if (name == "fp8-channel") return scheme::Strategy::kChannel;
  if (name == "fp8-block") return scheme::Strategy::kBlock;
  return std::nullopt;
}

tensor::Dtype dtype_of(const std::string& name) {
  if (name == "f32" || name == "float32") return tensor::Dtype::kF32;
  if (name == "bf16" || name == "bfloat16") return tensor::Dtype::kBF16;
  if (name == "f16" || name == "float16") return tensor::Dtype::kF16;
  base::fail(base::ErrorKind::kUnsupported, "--to",
             "{}; expected f32, bf16, f16, fp8-channel or fp8-block", name);
}

// Whether what linears read is to be scaled as the source has it. What the source keeps
// unquantized then stays so, for it has no such scale.
bool keeps_input_scales(Session& session, const checkpoint::Checkpoint& checkpoint,
                        scheme::Strategy strategy, pipeline::Recipe& recipe) {
  const formats::PackedReader packed(checkpoint);
  bool any = false;
  std::vector<std::string> plain;
  const auto spec = model::load_spec(checkpoint);
  for (const auto* layers : {&spec.layers, &spec.mtp_layers})
    for (const auto& layer : *layers)
      for (const auto* linear : model::linears_of(layer)) {
        if (!linear->quantizable) continue;
        any = any || packed.input_scale(linear->module).has_value();
        if (!packed.is_quantized(linear->module)) plain.push_back(linear->module);
      }
  if (!any) return false;
  if (strategy == scheme::Strategy::kBlock) {
    session.warn(
        "the source's scales of activations are left out: beside blocks, servers scale them at run "
        "time");
    return false;
  }
  recipe.ignore.insert(recipe.ignore.end(), plain.begin(), plain.end());
  return true;
}

// Weights that are FP8 blocks stay as exact as they are: decoded in fp32, scaled anew.
int run_fp8(Session& session, const Flags& flags, scheme::Strategy strategy) {
  pipeline::RunArgs args;
  args.recipe.method = pipeline::Method::kFp8;
  args.recipe.format = formats::WeightFormat::kFloatQuantized;
  args.recipe.fp8.strategy = strategy;
  args.recipe.fp8.activations = pipeline::Fp8Activations::kDynamic;
  args.recipe.fp8.target.device =
      choose<scheme::Fp8Device>(flags.target, "--target",
                                {{"generic", scheme::Fp8Device::kGeneric},
                                 {"gaudi2", scheme::Fp8Device::kGaudi2},
                                 {"gaudi3", scheme::Fp8Device::kGaudi3}});
  args.recipe.max_memory = session.memory_flag_bytes();
  args.output = flags.out;
  args.existing =
      flags.overwrite ? pipeline::ExistingOutput::kOverwrite : pipeline::ExistingOutput::kRefuse;
  const auto checkpoint = checkpoint::Checkpoint::open(session.model_folder(flags.model));
  args.recipe.fp8.stored_scales = keeps_input_scales(session, checkpoint, strategy, args.recipe);
  if (args.recipe.fp8.stored_scales)
    args.recipe.fp8.activations = pipeline::Fp8Activations::kStatic;
  pipeline::validate(args.recipe);
  const auto result =
      pipeline::run(checkpoint, args, session.backend(), session.events(), session.cancel());
  const std::int64_t tensors = result.tensors_quantized + result.tensors_copied;
  std::uint64_t bytes = 0;
  const auto written = checkpoint::Checkpoint::open(flags.out);
  for (const auto& name : written.names()) bytes += written.view(name).bytes();
  session.print({{"output", flags.out},
                 {"bytes", bytes},
                 {"tensors", tensors},
                 {"rescaled", result.tensors_quantized}},
                fmt::format("{}: {} tensors, {} of them scaled anew, {}\n", flags.out, tensors,
                            result.tensors_quantized, base::format_bytes(bytes)));
  return 0;
}

int run(Session& session, const Flags& flags) {
  if (const auto strategy = fp8_of(flags.to)) return run_fp8(session, flags, *strategy);
  if (flags.target != "generic")
    base::fail(base::ErrorKind::kUsage, "--target",
               "{} with --to {}; expected --to fp8-channel or fp8-block", flags.target, flags.to);
  const auto dtype = dtype_of(flags.to);
  const auto checkpoint = checkpoint::Checkpoint::open(session.model_folder(flags.model));
  runtime::ConvertArgs args;
  args.output = flags.out;
  args.dtype = dtype;
  args.overwrite = flags.overwrite;
  const auto result =
      runtime::convert(checkpoint, args, session.backend(), session.events(), session.cancel());
  session.print({{"output", flags.out},
                 {"bytes", result.bytes},
                 {"tensors", result.tensors},
                 {"decoded", result.decoded}},
                fmt::format("{}: {} tensors, {} of them decoded, {}\n", flags.out, result.tensors,
                            result.decoded, base::format_bytes(result.bytes)));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "model folder or org/name[@revision]")->required();
  app.add_option("OUT", flags->out, "new folder")->required();
  app.add_option(
         "--to", flags->to,
         "f32, bf16 or f16: every weight decoded; fp8-channel, fp8-block: weights as FP8 with "
         "a scale a row or a block of 128 x 128")
      ->type_name("DTYPE")
      ->capture_default_str();
  app.add_option("--target", flags->target, "of fp8: gaudi2's codes end at 240, other's at 448")
      ->type_name("generic|gaudi2|gaudi3")
      ->capture_default_str();
  app.add_flag("--overwrite", flags->overwrite, "replace what OUT holds");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_convert

Verb convert_verb() {
  return {"convert", "The checkpoint with every weight decoded, or in another FP8",
          "  whit convert demo/moe-15m moe-15m-bf16 --to bf16\n"
          "  whit convert out out-f32 --to f32 --json\n"
          "  whit convert deepseek deepseek-channel --to fp8-channel\n"
          "  whit convert deepseek deepseek-g2 --to fp8-block --target gaudi2\n",
          verb_convert::declare};
}

}  // namespace whit::cli
