#include "model/spec.h"

namespace whit::model {

namespace {

// Visits every name of a spec.
class Stripper {
 public:
  explicit Stripper(std::string prefix) : prefix_(std::move(prefix)) {}

  void name(std::string& name) const {
    if (name.starts_with(prefix_)) name.erase(0, prefix_.size());
  }
  void one(LinearSpec& linear) const { name(linear.module); }
  void one(VectorSpec& vector) const { name(vector.name); }
  void one(NormSpec& norm) const {
    one(norm.weight);
    one(norm.bias);
  }
  void one(GqaSpec& attention) const {
    all(attention.qkv, attention.o, attention.q_norm, attention.k_norm);
  }
  void one(MlaSpec& attention) const {
    all(attention.q_a, attention.q_a_norm, attention.q_b, attention.kv_a, attention.kv_a_norm,
        attention.kv_b, attention.o);
  }
  void one(MlpSpec& mlp) const { all(mlp.in, mlp.down); }
  void one(MoeSpec& moe) const {
    all(moe.router.weight, moe.router.bias, moe.experts, moe.shared, moe.shared_gate);
  }
  void one(MtpSpec& mtp) const {
    all(mtp.enorm, mtp.hnorm, mtp.eh_proj, mtp.head_norm, mtp.head, mtp.embedding);
  }
  void one(LayerSpec& layer) const {
    name(layer.prefix);
    all(layer.attention_norm, layer.mlp_norm, layer.attention_out_norm, layer.mlp_out_norm);
    std::visit([this](auto& attention) { one(attention); }, layer.attention);
    std::visit([this](auto& mlp) { one(mlp); }, layer.mlp);
    one(layer.mtp);
  }
  template <typename Part>
  void one(std::optional<Part>& part) const {
    if (part) one(*part);
  }
  template <typename Part>
  void one(std::vector<Part>& parts) const {
    for (Part& part : parts) one(part);
  }
  template <typename... Parts>
  void all(Parts&... parts) const {
    (one(parts), ...);
  }

 private:
  std::string prefix_;
};

}  // namespace

void strip_base_prefix(ModelSpec& spec) {
  const Stripper strip(spec.base_prefix);
  strip.all(spec.embedding, spec.embedding_proj, spec.positions, spec.embedding_norm,
            spec.final_norm, spec.head_proj, spec.head, spec.layers, spec.mtp_layers);
}

}  // namespace whit::model
