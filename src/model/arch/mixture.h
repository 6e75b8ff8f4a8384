#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "model/arch/architectures.h"
#include "model/arch/fields.h"
#include "model/spec.h"

namespace whit::model::arch {

inline constexpr std::int64_t kMostExperts = 16384;

// One mixture of experts: `expert` is the shape of each, under `module`experts.E.; `shared` that of
// the shared expert under `module``shared_name`., absent where its inner width is 0.
struct MixtureShape {
  std::int64_t experts = 0;
  MlpShape expert, shared;
  std::string shared_name = "shared_experts";
  bool shared_gate = false;      // `module`shared_expert_gate
  bool correction_bias = false;  // `module`gate.e_score_correction_bias
};

// `router`: all but its tensors.
MoeSpec mixture(const std::string& module, int layer, const MixtureShape& shape, RouterSpec router);

// The number of experts under any of its names. Errors: kInput where all layers together would
// have more than any model has, a bound on what a hostile config can make whit allocate.
std::int64_t read_experts(const Fields& config, std::initializer_list<std::string_view> keys,
                          std::int64_t layers);

// routed_scaling_factor, 1 where absent.
float read_routed_scaling(const Fields& config);

// num_experts_per_tok, n_group and topk_group, checked against each other; the scaling.
RouterSpec read_grouped_router(const Fields& config, std::int64_t experts);

// The same with DeepSeek-V3's scores: sigmoids, and groups that rank by the sum of their two best
// experts. Weights are made to sum to one unless norm_topk_prob is false.
RouterSpec read_sigmoid_router(const Fields& config, std::int64_t experts);

// Qwen's way: softmax over all experts, weights made to sum to one where norm_topk_prob says so.
RouterSpec read_softmax_router(const Fields& config, std::int64_t experts);

// Replaces the MLP of those layers of `spec` that decoder_sparse_step and mlp_only_layers make
// mixtures, under `mlp.`.
void set_sparse_layers(const Fields& config, const MixtureShape& shape, const RouterSpec& router,
                       ModelSpec& spec);

}  // namespace whit::model::arch
