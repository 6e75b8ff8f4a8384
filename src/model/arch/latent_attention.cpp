#include "model/arch/latent_attention.h"

#include <cmath>

#include "base/error.h"
#include "model/arch/architectures.h"

namespace whit::model::arch {

using stats::Site;

LatentShape read_latent(const Fields& config) {
  LatentShape shape;
  shape.hidden = config.integer("hidden_size");
  shape.heads = config.integer("num_attention_heads");
  shape.nope = config.integer("qk_nope_head_dim");
  shape.rope = config.integer("qk_rope_head_dim", 2);
  shape.v = config.integer("v_head_dim");
  shape.kv_rank = config.integer("kv_lora_rank");
  // Absence would be read as 1536 by transformers: too easy to get wrong, so it must be said.
  shape.q_rank = config.has("q_lora_rank") ? config.maybe_integer("q_lora_rank")
                                           : config.integer("q_lora_rank");
  shape.bias = config.boolean_or("attention_bias", false);
  const std::int64_t kv_heads = config.maybe_integer("num_key_value_heads").value_or(shape.heads);
  if (kv_heads != shape.heads)
    base::fail(base::ErrorKind::kUnsupported, config.subject("num_key_value_heads"),
               "found {}; expected {}, as many as num_attention_heads", kv_heads, shape.heads);
  return shape;
}

MlaSpec latent_attention(const std::string& module, int layer, const LatentShape& shape,
                         const Rope& rope) {
  // The norms inside keep their own epsilon, whatever rms_norm_eps says.
  constexpr float kLatentNormEps = 1e-6F;
  const stats::TapId in{layer, Site::kAttnIn};
  const std::int64_t qk_dim = shape.nope + shape.rope;
  MlaSpec spec;
  if (shape.q_rank) {
    spec.q_a =
        linear(module + "q_a_proj", Role::kAttnQA, *shape.q_rank, shape.hidden, in, shape.bias);
    spec.q_a_norm = norm(module + "q_a_layernorm", *shape.q_rank, kLatentNormEps);
    spec.q_b = linear(module + "q_b_proj", Role::kAttnQB, shape.heads * qk_dim, *shape.q_rank,
                      {layer, Site::kQLatent});
  } else {
    spec.q_b = linear(module + "q_proj", Role::kAttnQB, shape.heads * qk_dim, shape.hidden, in);
  }
  spec.kv_a = linear(module + "kv_a_proj_with_mqa", Role::kAttnKvA, shape.kv_rank + shape.rope,
                     shape.hidden, in, shape.bias);
  spec.kv_a_norm = norm(module + "kv_a_layernorm", shape.kv_rank, kLatentNormEps);
  spec.kv_b = linear(module + "kv_b_proj", Role::kAttnKvB, shape.heads * (shape.nope + shape.v),
                     shape.kv_rank, {layer, Site::kKvLatent});
  spec.o = linear(module + "o_proj", Role::kAttnO, shape.hidden, shape.heads * shape.v,
                  {layer, Site::kAttnOut}, shape.bias);
  spec.heads = shape.heads;
  spec.nope_dim = shape.nope;
  spec.rope_dim = shape.rope;
  spec.v_dim = shape.v;
  spec.kv_rank = shape.kv_rank;
  spec.scale = static_cast<float>(rope.softmax_factor / std::sqrt(static_cast<double>(qk_dim)));
  spec.rope = rope.spec;
  return spec;
}

}  // namespace whit::model::arch
