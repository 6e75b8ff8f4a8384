#include "pipeline/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "formats/format.h"
#include "pipeline/fp8_recipe.h"
#include "pipeline/vptq_recipe.h"

namespace whit::pipeline {

using base::ErrorKind;
using base::fail;

namespace {

constexpr std::array<std::int64_t, 3> kGroupSizes{128, 64, 32};

std::vector<const model::LinearSpec*> all_linears(const model::ModelSpec& spec) {
  std::vector<const model::LinearSpec*> all = model::outer_linears(spec);
  for (const auto* layers : {&spec.layers, &spec.mtp_layers})
    for (const auto& layer : *layers) {
      const auto linears = model::linears_of(layer);
      all.insert(all.end(), linears.begin(), linears.end());
    }
  return all;
}

bool belongs_to_mtp(const model::ModelSpec& spec, const model::LinearSpec& linear) {
  return std::any_of(spec.mtp_layers.begin(), spec.mtp_layers.end(),
                     [&](const auto& layer) { return linear.module.starts_with(layer.prefix); });
}

std::vector<const model::LinearSpec*> select(const Recipe& recipe, const model::ModelSpec& spec) {
  const formats::NameMatcher targets(recipe.targets);
  const formats::NameMatcher ignore(recipe.ignore);
  std::vector<const model::LinearSpec*> selected;
  for (const auto* linear : all_linears(spec)) {
    if (!linear->quantizable) continue;
    if (recipe.mtp == MtpMode::kKeep && belongs_to_mtp(spec, *linear)) continue;
    if (recipe.only_experts && linear->reads.expert < 0) continue;
    if (!recipe.targets.empty() && !targets.matches(linear->module)) continue;
    if (ignore.matches(linear->module)) continue;
    selected.push_back(linear);
  }
  if (selected.empty())
    throw base::Error(ErrorKind::kUsage,
                      recipe.only_experts ? "--quantize-only-experts" : "--targets",
                      "no linear of the model is left to quantize")
        .suggest("'whit inspect MODEL' lists the names that patterns are matched against");
  return selected;
}

// DEVIATION: what is stored as [in, out] (GPT-2's Conv1D) is not quantized. Transformers'
// compressed-tensors looks for modules of class Linear and would leave such a layer at random: see
// docs/architectures.md.
void refuse_transposed(const model::LinearSpec& linear) {
  if (!linear.transposed) return;
  throw base::Error(ErrorKind::kUnsupported, linear.weight(),
                    "stored as [in, out], a Conv1D; expected a Linear, the only kind of layer that "
                    "Transformers loads quantized")
      .suggest("leave such weights out with --ignore");
}

// The group size that fits every width, or the one asked for.
std::int64_t choose_group_size(const Recipe& recipe,
                               const std::vector<const model::LinearSpec*>& linears,
                               std::vector<std::string>& notes) {
  const auto misfit = [&](std::int64_t size) {
    return std::find_if(linears.begin(), linears.end(),
                        [&](const auto* linear) { return linear->in_features % size != 0; });
  };
  const auto refuse = [&](const model::LinearSpec& linear, const std::string& what) {
    throw base::Error(
        ErrorKind::kUsage, "--group-size",
        fmt::format("{} the input width {} of {}", what, linear.in_features, linear.module))
        .suggest(
            "choose a divisor, '--group-size channel', or leave such weights out with --ignore");
  };
  if (recipe.group_size) {
    const auto bad = misfit(*recipe.group_size);
    if (bad != linears.end()) refuse(**bad, fmt::format("{} does not divide", *recipe.group_size));
    return *recipe.group_size;
  }
  for (const std::int64_t size : kGroupSizes) {
    if (misfit(size) != linears.end()) continue;
    notes.push_back(
        fmt::format("group size {}: the largest of 128, 64, 32 that divides every width", size));
    return size;
  }
  refuse(**misfit(kGroupSizes.back()), "none of 128, 64, 32 divides");
  return 0;
}

std::string escape_regex(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view(".+*?()[]{}|^$\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// One pattern for each name that routers and gates of shared experts have below their layers.
std::vector<std::string> gate_patterns(const model::ModelSpec& spec) {
  std::set<std::string> names;
  for (const auto* layers : {&spec.layers, &spec.mtp_layers})
    for (const auto& layer : *layers)
      for (const auto* linear : model::linears_of(layer))
        if (linear->role == model::Role::kRouter || linear->role == model::Role::kSharedGate)
          names.insert(linear->module.substr(layer.prefix.size()));
  std::vector<std::string> patterns;
  for (const std::string& name : names) patterns.push_back("re:.*" + escape_regex(name) + "$");
  return patterns;
}

// Loaders match the names of modules, which have the base's prefix where the files leave it away.
void add_full_names(std::vector<std::string>& list, const model::ModelSpec& spec) {
  if (spec.embedding.module.starts_with(spec.base_prefix)) return;
  std::vector<std::string> full;
  for (const auto* linear : all_linears(spec))
    if (std::find(list.begin(), list.end(), linear->module) != list.end())
      full.push_back(spec.base_prefix + linear->module);
  list.insert(list.end(), full.begin(), full.end());
}

// Patterns that loaders of this field know, then exact names for whatever they miss.
std::vector<std::string> ignore_list(const Recipe& recipe, const model::ModelSpec& spec,
                                     const BoundRecipe& bound) {
  std::vector<std::string> list{"lm_head"};
  if (spec.head_module != list.front()) list.push_back(spec.head_module);
  const auto linears = all_linears(spec);
  const auto has_role = [&](model::Role role) {
    return std::any_of(linears.begin(), linears.end(),
                       [&](const auto* l) { return l->role == role; });
  };
  if (has_role(model::Role::kRouter)) list.push_back("re:.*mlp\\.gate$");
  for (std::string& pattern : gate_patterns(spec))
    if (std::find(list.begin(), list.end(), pattern) == list.end())
      list.push_back(std::move(pattern));
  if (has_role(model::Role::kMtpProj)) list.push_back("re:.*eh_proj$");
  // MTP layers may hold copies of the head, which loaders build as linears of their own.
  if (std::any_of(spec.mtp_layers.begin(), spec.mtp_layers.end(),
                  [](const auto& layer) { return layer.mtp && layer.mtp->head; }))
    list.push_back("re:.*shared_head\\.head$");
  if (recipe.only_experts) {
    list.push_back("re:.*self_attn.*");
    list.push_back("re:.*shared_experts.*");
    list.push_back("re:.*mlp\\.(gate|up|gate_up|down)_proj.*");
  }
  if (recipe.mtp == MtpMode::kKeep)
    for (const auto& layer : spec.mtp_layers)
      list.push_back("re:" + escape_regex(layer.prefix) + ".*");
  list.insert(list.end(), recipe.ignore.begin(), recipe.ignore.end());

  const formats::NameMatcher matcher(list);
  for (const auto* linear : linears) {
    const bool quantized = bound.quantizes(*linear);
    if (quantized)
      base::check(!matcher.matches(linear->module), "a quantized module is not in the ignore list");
    else if (linear->role != model::Role::kEmbedding && !matcher.matches(linear->module))
      list.push_back(linear->module);
  }
  add_full_names(list, spec);
  return list;
}

// Every module that stays as it is, by name: quant_method "fp8" knows no patterns.
std::vector<std::string> unquantized_names(const model::ModelSpec& spec, const BoundRecipe& bound) {
  std::vector<std::string> list{spec.head_module};
  for (const auto* linear : all_linears(spec))
    if (!bound.quantizes(*linear) && linear->role != model::Role::kEmbedding)
      list.push_back(linear->module);
  add_full_names(list, spec);
  return list;
}

void bind_integers(BoundRecipe& bound, const std::vector<const model::LinearSpec*>& selected,
                   std::string_view model_dtype) {
  const Recipe& recipe = bound.recipe;
  bound.weights.num_bits = recipe.bits;
  bound.weights.symmetric = recipe.symmetric;
  bound.weights.strategy = recipe.channel ? scheme::Strategy::kChannel : scheme::Strategy::kGroup;
  if (!recipe.channel) bound.weights.group_size = choose_group_size(recipe, selected, bound.notes);
  // Loaders read scales in the model's dtype; an fp32 model takes BF16, as the bits are counted.
  bound.scale_dtype = model_dtype == "float16" ? tensor::Dtype::kF16 : tensor::Dtype::kBF16;
  if (recipe.bits != 4 && recipe.bits != 8)
    bound.notes.push_back(
        fmt::format("{}-bit codes are packed densely, as compressed-tensors does; many releases of "
                    "vLLM load only 4 and 8",
                    recipe.bits));
  const bool experts = std::any_of(selected.begin(), selected.end(),
                                   [](const auto* linear) { return linear->reads.expert >= 0; });
  if (experts && !recipe.symmetric)
    bound.notes.push_back(
        "asymmetric experts: vLLM's and Transformers' expert loaders take symmetric ones only");
}

}  // namespace

std::optional<Quality> quality_from_name(std::string_view name) {
  if (name == "fast") return Quality::kFast;
  if (name == "default") return Quality::kDefault;
  if (name == "best") return Quality::kBest;
  return std::nullopt;
}

Refinement refinement_of(Quality quality) {
  Refinement refinement;
  if (quality == Quality::kFast) return refinement;
  refinement.signed_scales = true;
  refinement.weighted_scales = true;
  refinement.refit_scales = true;
  refinement.descent_passes = 1;
  refinement.output_metric = true;
  refinement.teacher = true;
  refinement.teacher_part = 0.125;
  refinement.teacher_share = 0.75;  // an eighth of the tokens: more would aim at their noise
  refinement.lean = true;
  if (quality == Quality::kDefault) return refinement;
  refinement.lean = false;  // with all tokens taught it has not been measured
  refinement.descent_passes = 3;
  refinement.teacher_part = 1;
  refinement.teacher_share = 1;
  refinement.unquantized = true;
  refinement.embedding = true;
  refinement.route_weights = true;
  refinement.held_out = true;
  return refinement;
}

std::string_view name_of(Method method) {
  constexpr std::array<std::string_view, 4> kNames{"rtn", "gptq", "fp8", "vptq"};
  return kNames[static_cast<std::size_t>(method)];
}

void validate(const Recipe& recipe) {
  if (recipe.offload_activations && recipe.hidden_states != tensor::Dtype::kF32)
    base::fail(ErrorKind::kUsage, "--hidden-states",
               "bf16 with --offload-activations, which keeps F32; expected one of them");
  if (recipe.bits < 2 || recipe.bits > 8)
    fail(ErrorKind::kUsage, "--bits", "{}; expected 2 to 8", recipe.bits);
  if (recipe.channel && recipe.group_size)
    fail(ErrorKind::kUsage, "--group-size", "both 'channel' and a number; expected one of them");
  if (recipe.group_size && *recipe.group_size <= 0)
    fail(ErrorKind::kUsage, "--group-size", "{}; expected a positive number or 'channel'",
         *recipe.group_size);
  if (!(recipe.rel_damp >= 0) || recipe.rel_damp > 1e6)
    fail(ErrorKind::kUsage, "--rel-damp", "{}; expected a number from 0", recipe.rel_damp);
  if (recipe.block_size <= 0)
    fail(ErrorKind::kUsage, "--block-size", "{}; expected a positive number", recipe.block_size);
  if (recipe.min_expert_tokens < 0)
    fail(ErrorKind::kUsage, "--min-expert-tokens", "{}; expected 0 or more",
         recipe.min_expert_tokens);
  if (recipe.samples.samples <= 0)
    fail(ErrorKind::kUsage, "--num-calibration-samples", "{}; expected a positive number",
         recipe.samples.samples);
  if (recipe.samples.max_length < 2)
    fail(ErrorKind::kUsage, "--max-sequence-length", "{}; expected 2 or more",
         recipe.samples.max_length);
  if (recipe.method == Method::kGptq && recipe.calibration.empty())
    throw base::Error(ErrorKind::kUsage, "--calibration",
                      "absent; expected a file of text for gptq")
        .suggest("give --calibration FILE.jsonl, or use --method rtn, which needs no text");
  validate_fp8(recipe);
  validate_vptq(recipe);
  if (recipe.dtype != tensor::Dtype::kBF16 && recipe.dtype != tensor::Dtype::kF16 &&
      recipe.dtype != tensor::Dtype::kF32)
    fail(ErrorKind::kUsage, "--dtype", "{}; expected bfloat16, float16 or float32",
         numeric::name_of(recipe.dtype));
}

compute::GridArgs BoundRecipe::grid(const model::LinearSpec& linear) const {
  compute::GridArgs args;
  args.bits = recipe.bits;
  args.symmetric = recipe.symmetric;
  args.group_size = recipe.channel ? linear.in_features : weights.group_size;
  args.search = recipe.search;
  args.scale_dtype = scale_dtype;
  args.either_sign = recipe.method == Method::kGptq && recipe.refinement.signed_scales;
  return args;
}

BoundRecipe bind_recipe(const Recipe& recipe, const model::ModelSpec& spec,
                        std::string_view model_dtype) {
  validate(recipe);
  BoundRecipe bound;
  bound.recipe = recipe;
  const auto selected = select(recipe, spec);
  for (const auto* linear : selected) {
    refuse_transposed(*linear);
    bound.quantized.insert(linear->module);
  }

  if (recipe.method == Method::kFp8)
    bind_fp8(bound, selected);
  else if (recipe.method == Method::kVptq)
    bind_vptq(bound, selected, model_dtype);
  else
    bind_integers(bound, selected, model_dtype);
  const bool by_name = recipe.format == formats::WeightFormat::kHfFp8 ||
                       recipe.format == formats::WeightFormat::kVptq;
  bound.ignore = by_name ? unquantized_names(spec, bound) : ignore_list(recipe, spec, bound);
  return bound;
}

}  // namespace whit::pipeline
