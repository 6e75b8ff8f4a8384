#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "compute/backend.h"
#include "data/samples.h"
#include "formats/weight_format.h"
#include "model/spec.h"
#include "quant/gptq.h"
#include "quant/kmeans.h"
#include "scheme/fp8_scaling.h"
#include "scheme/scheme.h"

namespace whit::pipeline {

namespace fs = std::filesystem;

enum class Method : std::uint8_t { kRtn, kGptq, kFp8, kVptq };
enum class MtpMode : std::uint8_t { kQuantize, kKeep };

std::string_view name_of(Method method);  // "gptq"

// What is done beyond the reference's equations to lose less, within the same file format.
struct Refinement {
  bool signed_scales = false;    // scales of either sign, where codes are symmetric and searched
  bool weighted_scales = false;  // scale search weighted by the Hessian's diagonal
  bool refit_scales = false;     // least squares after the sweep
  int descent_passes = 0;        // coordinate descent on the proxy error
  bool output_metric = false;    // attention's linears: which errors matter to its output, together
  bool teacher = false;          // a second stream: the original model's activations
  double teacher_part = 1.0;     // of the sequences that run through the original model too
  bool held_out = false;         // damping, shrinkage and share chosen on held-out tokens
  double teacher_share = 1.0;    // how much of the difference between the streams is aimed at
  bool residual = true;          // output projections also correct the residual stream
  bool unquantized = false;      // routers and the head aim at the teacher's output too
  bool embedding = false;        // token embeddings aim at the original's first layer
  bool route_weights = false;    // experts' Grams weighted by the router
  bool lean = false;             // experts' sums lean on their layer's
  bool operator==(const Refinement&) const = default;
};

enum class Quality : std::uint8_t { kFast, kDefault, kBest };
std::optional<Quality> quality_from_name(std::string_view name);  // "best"
// fast and default are GPTQ's equations alone; best does everything.
Refinement refinement_of(Quality quality);

// What FP8 does to what linears read.
enum class Fp8Activations : std::uint8_t {
  kNone,     // weights alone
  kDynamic,  // scaled per token by the server; beside blocks, per token and block of columns
  kStatic,   // one scale a linear, from calibration
};

// What --method fp8 makes. Where a choice is unset, the format decides (docs/methods/fp8.md).
struct Fp8Recipe {
  std::optional<scheme::Strategy> strategy;  // kTensor, kChannel or kBlock
  std::optional<Fp8Activations> activations;
  bool kv_cache = false;  // scales for an FP8 KV cache too
  scheme::Fp8Target target{scheme::Fp8Format::kE4M3, scheme::Fp8Device::kGeneric};
  // How scales come of maxima; unset: the maximum becomes the largest code.
  std::string scale_method;  // "MAXABS_POW2"
  fs::path measurements;     // INC's files, instead of calibration text
  // Static scales are the source's own, in proportion to the largest codes of then and now.
  bool stored_scales = false;
};

// What --method vptq makes (docs/methods/vptq.md).
struct VptqRecipe {
  // On disk a weight, codebooks included: layouts are chosen for it. Unset: `layout` holds.
  std::optional<double> bits;
  scheme::VectorLayout layout;  // outliers apart
  double outlier_percent = 0;
  std::int64_t group_size = 0;  // columns that share codebooks, in place of a number of groups
  bool permute = true;
  bool absorb = true;
  bool fold_norm = true;  // H follows the norm, which in VPTQ's code it does not
  quant::KMeansArgs kmeans;
  std::int64_t beam = 8;
  int rounds = 2;
  fs::path hessians;  // VPTQ's files, instead of calibration text
  fs::path inverses;  // and factors of their inverses, which must be theirs
};

// What the user asked for, free of any model. Defaults are the best that MoE-Quant's cost buys.
struct Recipe {
  Method method = Method::kGptq;
  int bits = 4;
  std::optional<std::int64_t> group_size;  // unset: largest of 128, 64, 32 that divides every width
  bool channel = false;                    // one scale a row; excludes group_size
  bool symmetric = true;
  double rel_damp = 0.1;
  std::int64_t block_size = 128;
  quant::ColumnOrder order = quant::ColumnOrder::kActivation;
  compute::ScaleSearch search = compute::ScaleSearch::kMse;
  bool only_experts = false;         // routed experts only
  std::vector<std::string> targets;  // compressed-tensors patterns; empty: every linear
  std::vector<std::string> ignore;
  MtpMode mtp = MtpMode::kQuantize;
  // Tokens below which an expert is topped up; 0: as many as its input is wide.
  std::int64_t min_expert_tokens = 0;
  // Dtype of what was FP8 at the source and stays unquantized; other tensors keep theirs.
  tensor::Dtype dtype = tensor::Dtype::kBF16;

  formats::WeightFormat format = formats::WeightFormat::kPackQuantized;
  Fp8Recipe fp8;
  VptqRecipe vptq;

  fs::path calibration;  // may be empty for rtn and fp8
  data::SampleArgs samples;
  Refinement refinement;
  bool offload_activations = false;  // keep activations in a file
  // How activations are kept: F32, or BF16, in memory alone.
  tensor::Dtype hidden_states = tensor::Dtype::kF32;
  std::uint64_t max_memory = 0;                  // bytes; 0: what the machine has free
  std::string max_memory_flag = "--max-memory";  // where it was stated
  std::int64_t tile_tokens = 2048;  // rows of a hidden state that the backend computes at once
};

// Errors: kUsage (subject: the flag), kUnsupported.
void validate(const Recipe& recipe);

// A recipe bound to a model.
struct BoundRecipe {
  Recipe recipe;
  scheme::QuantArgs weights;
  std::optional<scheme::QuantArgs> inputs;  // FP8 activations
  scheme::ScaleMethod scaling;              // of FP8
  std::string scale_method;                 // its name, where it has one
  tensor::Dtype scale_dtype = tensor::Dtype::kBF16;
  std::set<std::string, std::less<>> quantized;                      // modules
  std::map<std::string, scheme::VectorLayout, std::less<>> vectors;  // of VPTQ, by module
  std::vector<std::string> ignore;                                   // for quantization_config
  std::vector<std::string> notes;                                    // choices made for the user

  bool quantizes(const model::LinearSpec& linear) const {
    return quantized.contains(linear.module);
  }
  compute::GridArgs grid(const model::LinearSpec& linear) const;
  scheme::Scheme scheme() const { return {weights, inputs}; }
  // Whether FP8 needs maxima of hidden states, and whether it must see them to find them.
  bool needs_maxima() const { return (inputs && !inputs->dynamic) || recipe.fp8.kv_cache; }
  bool sees_maxima() const {
    return needs_maxima() && recipe.fp8.measurements.empty() && !recipe.fp8.stored_scales;
  }
};

// `model_dtype`: what config.json names ("float16"). Errors: kUsage where patterns match nothing or
// the group size does not divide a width.
BoundRecipe bind_recipe(const Recipe& recipe, const model::ModelSpec& spec,
                        std::string_view model_dtype);

}  // namespace whit::pipeline
