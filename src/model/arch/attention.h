#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/arch/fields.h"
#include "model/spec.h"

namespace whit::model::arch {

struct AttentionShape {
  std::int64_t hidden = 0, heads = 0, kv_heads = 0, head_dim = 0;
  bool qkv_bias = false, o_bias = false;

  std::int64_t q_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
};

// What transformers takes where config.json does not have the key at all (null is another matter).
struct AttentionDefaults {
  std::optional<std::int64_t> kv_heads;  // none: as many as heads
  std::optional<std::int64_t> head_dim;  // none: hidden_size / num_attention_heads
};

// hidden_size, num_attention_heads, num_key_value_heads, head_dim; both biases by attention_bias.
AttentionShape read_attention(const Fields& config, const AttentionDefaults& defaults = {});

// As many key heads as heads, each hidden / heads wide, under the names that a config gives them.
// Errors: kInput where heads do not divide hidden.
AttentionShape equal_heads(const Fields& config, std::string_view hidden_key,
                           std::string_view heads_key);

// One linear that makes queries, keys and values, and the output's; scale head_dim^-1/2.
GqaSpec fused_attention(const std::string& qkv, const std::string& o, int layer,
                        const AttentionShape& shape, QkvLayout layout, const RopeSpec& rope);

// q_proj, k_proj, v_proj and o_proj under `module`; scale head_dim^-1/2.
GqaSpec separate_attention(const std::string& module, int layer, const AttentionShape& shape,
                           const RopeSpec& rope);

// q_norm and k_norm under `module`, over `q_size` and `k_size` columns at a time.
void add_query_key_norms(GqaSpec& attention, const std::string& module, std::int64_t q_size,
                         std::int64_t k_size, float eps);

// Which layers see a window only: layer_types where stated, else `otherwise` of each index.
// Errors: kUnsupported for a layer type that is neither sliding_attention nor full_attention.
std::vector<bool> sliding_layers(const Fields& config, std::int64_t layers,
                                 const std::function<bool(std::int64_t)>& otherwise);

// sliding_window; 0 where it is null. `otherwise` where it is absent. Errors: kInput.
std::int64_t read_window(const Fields& config, std::int64_t otherwise);

// Sets the window of the sliding ones among the layers of `spec`. Errors: kInput where there is
// such a layer and no window.
void set_windows(const Fields& config, const std::vector<bool>& sliding, std::int64_t window,
                 ModelSpec& spec);

}  // namespace whit::model::arch
