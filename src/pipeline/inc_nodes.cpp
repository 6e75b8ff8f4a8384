#include "pipeline/inc_nodes.h"

#include <string_view>

namespace whit::pipeline {

using model::LinearSpec;
using Kind = IncNode::Kind;

namespace {

std::string parent_of(std::string_view module) {
  const auto dot = module.rfind('.');
  return dot == std::string_view::npos ? std::string() : std::string(module.substr(0, dot + 1));
}

class Builder {
 public:
  Builder(const model::ModelSpec& spec, bool fp8) : spec_(spec), fp8_(fp8) {}

  std::vector<IncNode> build(bool mtp) {
    for (const auto& layer : spec_.layers) add_layer(layer);
    layer_ = nullptr;
    nodes_.push_back({spec_.head_module, "ParallelLMHead", Kind::kLinear, {&spec_.head}, nullptr});
    if (mtp)
      for (const auto& layer : spec_.mtp_layers) add_prediction(layer);
    return std::move(nodes_);
  }

 private:
  // Files may leave the base prefix away; modules never do.
  std::string module_name(const std::string& module) const {
    return module.starts_with(spec_.base_prefix) ? module : spec_.base_prefix + module;
  }

  void add_layer(const model::LayerSpec& layer) {
    layer_ = &layer;
    std::visit([&](const auto& attention) { add_attention(attention); }, layer.attention);
    std::visit([&](const auto& mlp) { add_mlp(mlp); }, layer.mlp);
  }

  // A head of its own, where it is stored; else it is the model's.
  void add_prediction(const model::LayerSpec& layer) {
    add_linear(layer.mtp->eh_proj, "Linear");
    const std::size_t first = nodes_.size();
    add_layer(layer);
    const std::string prefix = module_name(layer.prefix);
    for (std::size_t i = first; i < nodes_.size(); ++i)
      nodes_[i].name.insert(prefix.size(), kPredictionBlock);
    if (layer.mtp->head) add_linear(*layer.mtp->head, "ParallelLMHead");
  }

  void add_linear(const std::string& module, const char* class_name,
                  std::vector<const LinearSpec*> linears) {
    nodes_.push_back({module_name(module), class_name, Kind::kLinear, std::move(linears), nullptr});
  }
  void add_linear(const LinearSpec& linear, const char* class_name) {
    add_linear(linear.module, class_name, {&linear});
  }
  void add(const std::string& name, const char* class_name, Kind kind) {
    nodes_.push_back({name, class_name, kind, {}, layer_});
  }

  void add_attention(const model::GqaSpec& attention) {
    const std::string parent = parent_of(attention.o.module);
    if (attention.qkv.size() == 1)
      add_linear(attention.qkv.front(), "QKVParallelLinear");
    else
      add_linear(parent + "qkv_proj", "QKVParallelLinear",
                 {&attention.qkv[0], &attention.qkv[1], &attention.qkv[2]});
    const std::string impl = module_name(parent) + "attn.impl.";
    add_products(impl);
    add(impl + "k_cache", "VLLMKVCache", Kind::kKeyCache);
    add(impl + "v_cache", "VLLMKVCache", Kind::kValueCache);
    add(impl + "fused_scaled_dot_product_attention", "ModuleFusedSDPA", Kind::kSdpa);
    add_linear(attention.o, "RowParallelLinear");
  }

  void add_attention(const model::MlaSpec& attention) {
    const std::string parent = parent_of(attention.o.module);
    if (attention.q_a) {
      add_linear(parent + "fused_qkv_a_proj", "MergedColumnParallelLinear",
                 {&*attention.q_a, &attention.kv_a});
    } else {
      add_linear(attention.kv_a, "ReplicatedLinear");
    }
    add_linear(attention.q_b, "ColumnParallelLinear");
    add_linear(attention.kv_b, "ColumnParallelLinear");
    const std::string impl = module_name(parent) + "mla_attn.mla_attn.impl.";
    add_products(impl);
    add(impl + "latent_cache_k", "VLLMKVCache", Kind::kLatentKeyCache);
    add(impl + "latent_cache_v", "VLLMKVCache", Kind::kLatentValueCache);
    add(impl + "fused_scaled_dot_product_attention", "ModuleFusedSDPA", Kind::kSdpa);
    add_linear(attention.o, "RowParallelLinear");
  }

  void add_products(const std::string& impl) {
    add(impl + "matmul_qk", "Matmul", Kind::kMatmulQk);
    add(impl + "softmax", "Softmax", Kind::kSoftmax);
    add(impl + "matmul_av", "Matmul", Kind::kMatmulAv);
    add(impl + "batch2block_matmul", "B2BMatmul", Kind::kToBlocks);
    add(impl + "block2batch_matmul", "B2BMatmul", Kind::kFromBlocks);
  }

  void add_mlp(const model::MlpSpec& mlp) {
    if (mlp.in.size() == 2)
      add_linear(parent_of(mlp.in[0].module) + "gate_up_proj", "MergedColumnParallelLinear",
                 {&mlp.in[0], &mlp.in[1]});
    else
      add_linear(mlp.in[0], mlp.gated ? "MergedColumnParallelLinear" : "ColumnParallelLinear");
    add_linear(mlp.down, "RowParallelLinear");
  }

  void add_mlp(const model::MoeSpec& moe) {
    add_linear(moe.router.weight, "ReplicatedLinear");
    if (moe.shared_gate) add_linear(*moe.shared_gate, "ReplicatedLinear");
    add(module_name(parent_of(moe.router.weight.module)) + "experts.moe_op",
        fp8_ ? "VllmMixtureOfExpertsOpFP8" : "VllmMixtureOfExpertsOp", Kind::kMixture);
    if (moe.shared) add_mlp(*moe.shared);
  }

  const model::ModelSpec& spec_;
  bool fp8_;
  const model::LayerSpec* layer_ = nullptr;
  std::vector<IncNode> nodes_;
};

}  // namespace

std::string served_name(const model::LayerSpec& layer, std::string module) {
  if (layer.mtp && module.starts_with(layer.prefix))
    module.insert(layer.prefix.size(), kPredictionBlock);
  return module;
}

std::vector<IncNode> inc_nodes(const model::ModelSpec& spec, bool fp8, bool mtp) {
  return Builder(spec, fp8).build(mtp);
}

}  // namespace whit::pipeline
