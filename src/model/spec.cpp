#include "model/spec.h"

#include <numeric>
#include <utility>

namespace whit::model {

std::string_view name_of(Role role) {
  switch (role) {
    case Role::kEmbedding:
      return "embedding";
    case Role::kPositions:
      return "positions";
    case Role::kEmbeddingProj:
      return "embedding_proj";
    case Role::kHeadProj:
      return "head_proj";
    case Role::kHead:
      return "head";
    case Role::kNorm:
      return "norm";
    case Role::kRouter:
      return "router";
    case Role::kRouterBias:
      return "router_bias";
    case Role::kMtpProj:
      return "mtp_proj";
    case Role::kAttnQ:
      return "attn_q";
    case Role::kAttnK:
      return "attn_k";
    case Role::kAttnV:
      return "attn_v";
    case Role::kAttnQkv:
      return "attn_qkv";
    case Role::kAttnO:
      return "attn_o";
    case Role::kAttnQA:
      return "attn_q_a";
    case Role::kAttnQB:
      return "attn_q_b";
    case Role::kAttnKvA:
      return "attn_kv_a";
    case Role::kAttnKvB:
      return "attn_kv_b";
    case Role::kMlpGate:
      return "mlp_gate";
    case Role::kMlpUp:
      return "mlp_up";
    case Role::kMlpGateUp:
      return "mlp_gate_up";
    case Role::kMlpDown:
      return "mlp_down";
    case Role::kSharedGate:
      return "shared_gate";
  }
  return "unknown";
}

namespace {

class Collector {
 public:
  explicit Collector(std::vector<TensorSpec>& out) : out_(&out) {}

  void linear(const LinearSpec& spec, bool optional = false) {
    const int expert = spec.reads.expert;
    out_->push_back(
        {spec.weight(), spec.role, layer_, expert, stored_shape(spec), spec.quantizable, optional});
    if (spec.bias)
      out_->push_back(
          {spec.module + ".bias", spec.role, layer_, expert, {spec.out_features}, false, optional});
  }

  void vector(const VectorSpec& spec) {
    out_->push_back({spec.name, spec.role, layer_, -1, {spec.size}, false, false});
  }

  void norm(const std::optional<NormSpec>& spec) {
    if (!spec) return;
    if (!spec->weight.name.empty()) vector(spec->weight);
    if (spec->bias) vector(*spec->bias);
  }

  // A tied head may be stored all the same; its bias is never the embedding's.
  void head(const ModelSpec& spec) {
    LinearSpec head = spec.head;
    head.module = spec.head_module;
    const bool bias = std::exchange(head.bias, false);
    linear(head, spec.tied);
    if (bias) out_->push_back({spec.head_bias(), Role::kHead, -1, -1, {head.out_features}});
  }

  void layer(const LayerSpec& spec) {
    layer_ = spec.index;
    if (spec.mtp) entry(*spec.mtp);
    norm(spec.attention_norm);
    std::visit([this](const auto& attention) { this->attention(attention); }, spec.attention);
    norm(spec.attention_out_norm);
    norm(spec.mlp_norm);
    std::visit([this](const auto& mlp) { this->mlp(mlp); }, spec.mlp);
    norm(spec.mlp_out_norm);
    if (spec.mtp) exit(*spec.mtp);
    layer_ = -1;
  }

 private:
  void entry(const MtpSpec& spec) {
    if (spec.embedding) linear(*spec.embedding, true);
    norm(spec.enorm);
    norm(spec.hnorm);
    linear(spec.eh_proj);
  }

  void exit(const MtpSpec& spec) {
    norm(spec.head_norm);
    if (spec.head) linear(*spec.head, true);
  }

  void attention(const GqaSpec& spec) {
    for (const LinearSpec& one : spec.qkv) linear(one);
    norm(spec.q_norm);
    norm(spec.k_norm);
    linear(spec.o);
  }

  void attention(const MlaSpec& spec) {
    if (spec.q_a) linear(*spec.q_a);
    norm(spec.q_a_norm);
    linear(spec.q_b);
    linear(spec.kv_a);
    norm(spec.kv_a_norm);
    linear(spec.kv_b);
    linear(spec.o);
  }

  void mlp(const MlpSpec& spec) {
    for (const LinearSpec& one : spec.in) linear(one);
    linear(spec.down);
  }

  void mlp(const MoeSpec& spec) {
    linear(spec.router.weight);
    if (spec.router.bias) vector(*spec.router.bias);
    if (spec.shared_gate) linear(*spec.shared_gate);
    // As they are evaluated, so that a writer need not hold what comes early.
    for (const MlpSpec& expert : spec.experts) mlp(expert);
    if (spec.shared) mlp(*spec.shared);
  }

  std::vector<TensorSpec>* out_;
  int layer_ = -1;
};

void add(std::vector<const LinearSpec*>& out, const MlpSpec& mlp) {
  for (const LinearSpec& one : mlp.in) out.push_back(&one);
  out.push_back(&mlp.down);
}

void add_attention(std::vector<const LinearSpec*>& out, const LayerSpec& layer) {
  if (const auto* gqa = std::get_if<GqaSpec>(&layer.attention)) {
    for (const LinearSpec& one : gqa->qkv) out.push_back(&one);
    out.push_back(&gqa->o);
    return;
  }
  const auto& mla = std::get<MlaSpec>(layer.attention);
  if (mla.q_a)
    out.insert(out.end(), {&*mla.q_a, &mla.kv_a, &mla.q_b});
  else
    out.insert(out.end(), {&mla.q_b, &mla.kv_a});
  out.insert(out.end(), {&mla.kv_b, &mla.o});
}

}  // namespace

std::vector<TensorSpec> inventory(const ModelSpec& spec) {
  std::vector<TensorSpec> tensors;
  Collector collect(tensors);
  collect.linear(spec.embedding);
  if (spec.positions) collect.linear(*spec.positions);
  if (spec.embedding_proj) collect.linear(*spec.embedding_proj);
  collect.norm(spec.embedding_norm);
  for (const LayerSpec& layer : spec.layers) collect.layer(layer);
  for (const LayerSpec& layer : spec.mtp_layers) collect.layer(layer);
  collect.norm(spec.final_norm);
  if (spec.head_proj) collect.linear(*spec.head_proj);
  collect.head(spec);
  return tensors;
}

std::vector<const LinearSpec*> outer_linears(const ModelSpec& spec) {
  std::vector<const LinearSpec*> linears;
  if (spec.embedding_proj) linears.push_back(&*spec.embedding_proj);
  if (spec.head_proj) linears.push_back(&*spec.head_proj);
  return linears;
}

tensor::Shape stored_shape(const LinearSpec& linear) {
  if (linear.transposed) return {linear.in_features, linear.out_features};
  return {linear.out_features, linear.in_features};
}

std::int64_t out_columns(const std::vector<LinearSpec>& linears) {
  return std::accumulate(
      linears.begin(), linears.end(), std::int64_t{0},
      [](std::int64_t sum, const LinearSpec& linear) { return sum + linear.out_features; });
}

std::vector<const LinearSpec*> linears_of(const LayerSpec& layer) {
  std::vector<const LinearSpec*> linears;
  if (layer.mtp) linears.push_back(&layer.mtp->eh_proj);
  add_attention(linears, layer);
  if (const auto* dense = std::get_if<MlpSpec>(&layer.mlp)) {
    add(linears, *dense);
    return linears;
  }
  const auto& moe = std::get<MoeSpec>(layer.mlp);
  linears.push_back(&moe.router.weight);
  if (moe.shared_gate) linears.push_back(&*moe.shared_gate);
  for (const MlpSpec& expert : moe.experts) add(linears, expert);
  if (moe.shared) add(linears, *moe.shared);
  return linears;
}

}  // namespace whit::model
