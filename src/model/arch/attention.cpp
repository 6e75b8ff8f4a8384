#include "model/arch/attention.h"

#include <cmath>

#include "base/error.h"
#include "model/arch/architectures.h"

namespace whit::model::arch {

using base::ErrorKind;
using stats::Site;

AttentionShape read_attention(const Fields& config, const AttentionDefaults& defaults) {
  AttentionShape shape;
  shape.hidden = config.integer("hidden_size");
  shape.heads = config.integer("num_attention_heads");
  shape.kv_heads = config.has("num_key_value_heads")
                       ? config.maybe_integer("num_key_value_heads").value_or(shape.heads)
                       : defaults.kv_heads.value_or(shape.heads);
  if (shape.heads % shape.kv_heads != 0)
    base::fail(ErrorKind::kInput, config.subject("num_key_value_heads"),
               "found {}; expected a divisor of {} heads", shape.kv_heads, shape.heads);
  auto head_dim = config.maybe_integer("head_dim");
  if (!head_dim && !config.has("head_dim")) head_dim = defaults.head_dim;
  if (!head_dim && shape.hidden % shape.heads != 0)
    base::fail(ErrorKind::kInput, config.subject("hidden_size"),
               "found {} with no head_dim; expected a multiple of {} heads", shape.hidden,
               shape.heads);
  shape.head_dim = head_dim.value_or(shape.hidden / shape.heads);
  shape.qkv_bias = shape.o_bias = config.boolean_or("attention_bias", false);
  return shape;
}

GqaSpec separate_attention(const std::string& module, int layer, const AttentionShape& shape,
                           const RopeSpec& rope) {
  const stats::TapId in{layer, Site::kAttnIn};
  const auto projection = [&](const char* name, Role role, std::int64_t width) {
    return linear(module + name, role, width, shape.hidden, in, shape.qkv_bias);
  };
  GqaSpec spec;
  spec.qkv = {projection("q_proj", Role::kAttnQ, shape.q_width()),
              projection("k_proj", Role::kAttnK, shape.kv_width()),
              projection("v_proj", Role::kAttnV, shape.kv_width())};
  spec.o = linear(module + "o_proj", Role::kAttnO, shape.hidden, shape.q_width(),
                  {layer, Site::kAttnOut}, shape.o_bias);
  spec.heads = shape.heads;
  spec.kv_heads = shape.kv_heads;
  spec.head_dim = shape.head_dim;
  spec.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
  spec.rope = rope;
  return spec;
}

AttentionShape equal_heads(const Fields& config, std::string_view hidden_key,
                           std::string_view heads_key) {
  AttentionShape shape;
  shape.hidden = config.integer(hidden_key);
  shape.heads = shape.kv_heads = config.integer(heads_key);
  if (shape.hidden % shape.heads != 0)
    base::fail(ErrorKind::kInput, config.subject(hidden_key),
               "found {}; expected a multiple of {} heads", shape.hidden, shape.heads);
  shape.head_dim = shape.hidden / shape.heads;
  return shape;
}

GqaSpec fused_attention(const std::string& qkv, const std::string& o, int layer,
                        const AttentionShape& shape, QkvLayout layout, const RopeSpec& rope) {
  GqaSpec spec = separate_attention("", layer, shape, rope);
  spec.qkv = {linear(qkv, Role::kAttnQkv, shape.q_width() + 2 * shape.kv_width(), shape.hidden,
                     {layer, Site::kAttnIn}, shape.qkv_bias)};
  spec.layout = layout;
  spec.o.module = o;
  return spec;
}

void add_query_key_norms(GqaSpec& attention, const std::string& module, std::int64_t q_size,
                         std::int64_t k_size, float eps) {
  attention.q_norm = norm(module + "q_norm", q_size, eps);
  attention.k_norm = norm(module + "k_norm", k_size, eps);
}

std::vector<bool> sliding_layers(const Fields& config, std::int64_t layers,
                                 const std::function<bool(std::int64_t)>& otherwise) {
  std::vector<bool> sliding;
  if (!config.present("layer_types")) {
    for (std::int64_t i = 0; i < layers; ++i) sliding.push_back(otherwise(i));
    return sliding;
  }
  for (const std::string& type : config.texts("layer_types")) {
    if (type != "sliding_attention" && type != "full_attention")
      base::fail(ErrorKind::kUnsupported, config.subject("layer_types"),
                 "found \"{}\"; expected sliding_attention or full_attention", type.substr(0, 80));
    sliding.push_back(type == "sliding_attention");
  }
  if (static_cast<std::int64_t>(sliding.size()) != layers)
    base::fail(ErrorKind::kInput, config.subject("layer_types"),
               "found {}; expected one for each of {} layers", sliding.size(), layers);
  return sliding;
}

std::int64_t read_window(const Fields& config, std::int64_t otherwise) {
  constexpr std::string_view kKey = "sliding_window";
  if (!config.has(kKey)) return otherwise;
  return config.present(kKey) ? config.integer(kKey, 1) : 0;
}

void set_windows(const Fields& config, const std::vector<bool>& sliding, std::int64_t window,
                 ModelSpec& spec) {
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (!sliding[i]) continue;
    if (window <= 0)
      base::fail(ErrorKind::kInput, config.subject("sliding_window"),
                 "none, yet layer {} slides; expected a number of tokens", i);
    std::get<GqaSpec>(spec.layers[i].attention).window = window;
  }
}

}  // namespace whit::model::arch
