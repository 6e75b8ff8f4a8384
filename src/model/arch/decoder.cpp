#include <utility>

#include "base/error.h"
#include "model/arch/architectures.h"

namespace whit::model::arch {

LinearSpec linear(std::string module, Role role, std::int64_t out, std::int64_t in,
                  stats::TapId reads, bool bias) {
  if (out > Fields::kLargestExtent || in > Fields::kLargestExtent)
    base::fail(base::ErrorKind::kInput, "config.json",
               "{} of {} x {}; expected at most {} each way", module, out, in,
               Fields::kLargestExtent);
  LinearSpec spec;
  spec.module = std::move(module);
  spec.role = role;
  spec.out_features = out;
  spec.in_features = in;
  spec.bias = bias;
  spec.reads = reads;
  return spec;
}

float norm_epsilon(const Fields& config) {
  const double eps = config.number_or("rms_norm_eps", 1e-6);
  if (eps < 0)
    base::fail(base::ErrorKind::kInput, config.subject("rms_norm_eps"),
               "found {}; expected 0 or more", eps);
  return static_cast<float>(eps);
}

NormSpec norm(std::string module, std::int64_t size, float eps) {
  return {{std::move(module) + ".weight", Role::kNorm, size}, eps};
}

MlpSpec gated_mlp(const std::string& module, const MlpShape& shape, stats::TapId in,
                  stats::TapId mid) {
  MlpSpec mlp;
  mlp.gate =
      linear(module + "gate_proj", Role::kMlpGate, shape.inner, shape.hidden, in, shape.bias);
  mlp.up = linear(module + "up_proj", Role::kMlpUp, shape.inner, shape.hidden, in, shape.bias);
  mlp.down =
      linear(module + "down_proj", Role::kMlpDown, shape.hidden, shape.inner, mid, shape.bias);
  return mlp;
}

ModelSpec decoder_frame(const Fields& config, std::string architecture, float norm_eps) {
  ModelSpec spec;
  spec.architecture = std::move(architecture);
  spec.vocabulary = config.integer("vocab_size");
  spec.hidden = config.integer("hidden_size");
  spec.max_position = config.integer_or("max_position_embeddings", 2048);
  spec.embedding = linear("model.embed_tokens", Role::kEmbedding, spec.vocabulary, spec.hidden,
                          {-1, stats::Site::kHeadIn});
  spec.embedding.quantizable = false;
  spec.final_norm = norm("model.norm", spec.hidden, norm_eps);
  spec.tied = config.boolean_or("tie_word_embeddings", false);
  spec.head = spec.embedding;
  spec.head.role = Role::kHead;
  spec.head_module = "lm_head";
  if (!spec.tied) spec.head.module = spec.head_module;
  spec.ignored_buffers = {"rotary_emb.inv_freq"};
  return spec;
}

}  // namespace whit::model::arch
