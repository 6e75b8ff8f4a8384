#include "cli/quantize_flags.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "cli/choose.h"
#include "cli/session.h"

namespace whit::cli {

namespace {

using base::ErrorKind;

pipeline::Method method_of(const std::string& name) {
  return choose<pipeline::Method>(name, "--method",
                                  {{"gptq", pipeline::Method::kGptq},
                                   {"rtn", pipeline::Method::kRtn},
                                   {"fp8", pipeline::Method::kFp8},
                                   {"vptq", pipeline::Method::kVptq}});
}

void read_group_size(const std::string& text, pipeline::Recipe& recipe) {
  if (text.empty()) return;
  if (text == "channel" || text == "-1") {
    recipe.channel = true;
    return;
  }
  std::int64_t size = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (code != std::errc() || end != text.data() + text.size() || size <= 0)
    base::fail(ErrorKind::kUsage, "--group-size", "{}; expected a positive number or channel",
               text);
  recipe.group_size = size;
}

formats::WeightFormat format_of(const std::string& name, pipeline::Method method) {
  using formats::WeightFormat;
  if (name == "auto" || name == "compressed-tensors")
    return method == pipeline::Method::kFp8    ? WeightFormat::kFloatQuantized
           : method == pipeline::Method::kVptq ? WeightFormat::kVptq
                                               : WeightFormat::kPackQuantized;
  if (const auto format = formats::weight_format_from_name(name)) return *format;
  base::fail(ErrorKind::kUnsupported, "--format",
             "{}; this version writes pack-quantized, float-quantized, hf-fp8, inc and vptq", name);
}

void declare_search(CLI::App& app, QuantizeFlags& flags) {
  app.add_option("--quantization-order", flags.order, "columns by activation or as they stand")
      ->type_name("default|activation")
      ->capture_default_str();
  app.add_option("--quantization-scale", flags.search, "how a group's scale is chosen")
      ->type_name("absmax|mse")
      ->capture_default_str();
}

void declare_grid(CLI::App& app, QuantizeFlags& flags) {
  auto& recipe = flags.recipe;
  app.add_option("--group-size", flags.group_size,
                 "columns that share a scale; left out: the largest of 128, 64, 32 that fits")
      ->type_name("N|channel");
  app.add_flag("--sym,!--asym", flags.symmetric, "codes around zero, or with a zero point");
  app.add_option("--rel-damp", recipe.rel_damp, "damping, relative to the mean of the diagonal")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--block-size,--blocksize", flags.block_size,
                 "columns that are swept at once; left out: 128, on a GPU 1024")
      ->type_name("N");
  app.add_option("--min-expert-tokens", recipe.min_expert_tokens,
                 "experts that see fewer are topped up; 0: as many as their input is wide")
      ->type_name("N");
}

void declare_scope(CLI::App& app, QuantizeFlags& flags) {
  auto& recipe = flags.recipe;
  app.add_flag("--quantize-only-experts", recipe.only_experts, "routed experts only");
  app.add_option("--targets", recipe.targets, "modules to quantize: names or re:PATTERN")
      ->type_name("PATTERN");
  app.add_option("--ignore", recipe.ignore, "modules to leave alone: names or re:PATTERN")
      ->type_name("PATTERN");
  app.add_option("--mtp", flags.mtp, "the layers that predict further tokens")
      ->type_name("quantize|keep")
      ->capture_default_str();
  app.add_option("--format", flags.format, "how the result is stored")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--dtype", flags.dtype, "of FP8 weights that are not quantized: bf16, f16, f32")
      ->type_name("DTYPE")
      ->capture_default_str();
}

void declare_calibration(CLI::App& app, QuantizeFlags& flags) {
  app.add_option("--calibration,--dataset-name-or-path", flags.calibration,
                 std::string("rows to calibrate on: ") + kDatasetHelp)
      ->type_name("DATASET");
  declare_sample_flags(app, flags.samples);
  app.add_flag("--offload-activations", flags.recipe.offload_activations,
               "keep activations in a file");
  app.add_option("--hidden-states", flags.hidden_states,
                 "how they are kept between linears: bf16 takes half of the memory, and what is "
                 "wider than they are is computed twice instead of kept")
      ->type_name("f32|bf16")
      ->capture_default_str();
}

// What would be ignored is refused: of integers with FP8, and of FP8 with integers.
void refuse_other_methods_flags(const CLI::App& app, pipeline::Method method) {
  const bool fp8 = method == pipeline::Method::kFp8;
  static const std::vector<std::string> kOfIntegers{"--bits",
                                                    "--sym",
                                                    "--rel-damp",
                                                    "--block-size",
                                                    "--quantization-order",
                                                    "--quantization-scale"};
  static const std::vector<std::string> kOfFp8{"--weight-scales", "--activations", "--kv-cache",
                                               "--target",        "--fp8-format",  "--scale-method",
                                               "--measurements"};
  for (const auto& name : fp8 ? kOfIntegers : kOfFp8) {
    const CLI::Option* option = app.get_option_no_throw(name);
    if (option != nullptr && option->count() > 0)
      base::fail(base::ErrorKind::kUsage, name,
                 "given with --method {}, which does not read it; expected {}",
                 pipeline::name_of(method), fp8 ? "--method gptq or rtn" : "--method fp8");
  }
}

}  // namespace

void declare_method_flags(CLI::App& app, QuantizeFlags& flags) {
  app.add_option("--method", flags.method, "gptq, rtn, fp8 or vptq")
      ->type_name("NAME")
      ->capture_default_str();
  declare_search(app, flags);
  declare_refinement_flags(app, flags.refinement);
  declare_fp8_flags(app, flags.fp8);
  declare_vptq_flags(app, flags.vptq);
}

void declare_shared_flags(CLI::App& app, QuantizeFlags& flags) {
  declare_grid(app, flags);
  declare_scope(app, flags);
  declare_calibration(app, flags);
}

std::shared_ptr<QuantizeFlags> declare_quantize_flags(CLI::App& app) {
  auto flags = std::make_shared<QuantizeFlags>();
  flags->app = &app;
  app.add_option("--bits", flags->bits,
                 "bits of a code: 4 or 8; vptq: bits a weight, such as 2, 2.3, 3, 3.5")
      ->type_name("N")
      ->capture_default_str();
  declare_method_flags(app, *flags);
  declare_shared_flags(app, *flags);
  return flags;
}

void fit_to_machine(Session& session, std::optional<std::int64_t> block_size,
                    pipeline::Recipe& recipe) {
  if (session.on_gpu()) recipe.max_memory_flag = "--max-gpu-memory";
  recipe.max_memory = session.memory_flag_bytes();
  // What is free is for all ranks of this machine.
  if (recipe.max_memory == 0 && session.ranks().local_size() > 1)
    recipe.max_memory = session.max_memory_bytes() / 10 * 9;
  recipe.tile_tokens = session.backend().tile_tokens();
  recipe.block_size = block_size.value_or(session.backend().sweep_columns());
}

tensor::Dtype hidden_states_of(const std::string& name) {
  return choose<tensor::Dtype>(name, "--hidden-states",
                               {{"f32", tensor::Dtype::kF32}, {"bf16", tensor::Dtype::kBF16}});
}

pipeline::Recipe recipe_from(const QuantizeFlags& flags, Session& session, Purpose purpose) {
  using tensor::Dtype;
  pipeline::Recipe recipe = flags.recipe;
  recipe.method = method_of(flags.method);
  if (flags.app != nullptr) refuse_other_methods_flags(*flags.app, recipe.method);
  read_group_size(flags.group_size, recipe);
  recipe.symmetric = flags.symmetric;
  recipe.order = choose<quant::ColumnOrder>(
      flags.order, "--quantization-order",
      {{"activation", quant::ColumnOrder::kActivation}, {"default", quant::ColumnOrder::kDefault}});
  recipe.search = choose<compute::ScaleSearch>(
      flags.search, "--quantization-scale",
      {{"mse", compute::ScaleSearch::kMse}, {"absmax", compute::ScaleSearch::kAbsmax}});
  if (recipe.method == pipeline::Method::kVptq) {
    recipe.vptq =
        vptq_from(flags.vptq, {flags.bits, recipe.group_size.value_or(0), session.flags().seed,
                               quality_of(flags.refinement.quality)});
    recipe.group_size.reset();
    recipe.channel = false;
  } else if (flags.bits == static_cast<int>(flags.bits)) {
    recipe.bits = static_cast<int>(flags.bits);
  } else {
    base::fail(ErrorKind::kUsage, "--bits", "{} with --method {}; expected a whole number",
               flags.bits, flags.method);
  }
  recipe.refinement = refinement_from(flags.refinement);
  recipe.format = format_of(flags.format, recipe.method);
  if (recipe.method == pipeline::Method::kVptq)
    recipe.refinement = vector_refinement_from(flags.refinement, recipe.vptq.hessians.empty());
  if (recipe.method == pipeline::Method::kFp8) {
    recipe.refinement = {};
    recipe.fp8 = fp8_from(flags.fp8);
  }
  recipe.mtp = choose<pipeline::MtpMode>(
      flags.mtp, "--mtp",
      {{"quantize", pipeline::MtpMode::kQuantize}, {"keep", pipeline::MtpMode::kKeep}});
  recipe.dtype = choose<Dtype>(flags.dtype, "--dtype",
                               {{"auto", Dtype::kBF16},
                                {"bf16", Dtype::kBF16},
                                {"bfloat16", Dtype::kBF16},
                                {"f16", Dtype::kF16},
                                {"float16", Dtype::kF16},
                                {"f32", Dtype::kF32},
                                {"float32", Dtype::kF32}});
  recipe.hidden_states = hidden_states_of(flags.hidden_states);
  recipe.calibration = flags.calibration;
  const bool statics = recipe.fp8.activations == pipeline::Fp8Activations::kStatic;
  if (purpose == Purpose::kPlan && recipe.calibration.empty() &&
      (recipe.method == pipeline::Method::kGptq ||
       (recipe.method == pipeline::Method::kVptq && recipe.vptq.hessians.empty()) ||
       (recipe.fp8.measurements.empty() && (statics || recipe.fp8.kv_cache))))
    recipe.calibration = "(a text to be named)";
  recipe.samples = samples_from(flags.samples, session);
  fit_to_machine(session, flags.block_size, recipe);
  pipeline::validate(recipe);
  return recipe;
}

}  // namespace whit::cli
