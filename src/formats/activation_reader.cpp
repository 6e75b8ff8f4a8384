#include <array>
#include <cmath>

#include "base/error.h"
#include "formats/packed_reader.h"
#include "formats/packed_state.h"
#include "formats/stored_module.h"
#include "numeric/float_codec.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using scheme::Strategy;

scheme::Float8Rounding codes_of(const QuantizationConfig& config) {
  scheme::Float8Rounding rounding;
  if (config.e5m2) {
    rounding.dtype = tensor::Dtype::kF8E5M2;
    rounding.limit = numeric::kE5M2Max;
  } else if (config.gaudi2_codes) {
    rounding.limit = numeric::kE4M3MaxGaudi2;
  }
  return rounding;
}

float positive_scale(const checkpoint::Checkpoint& checkpoint, const std::string& name) {
  const auto values = tensor::to_f32_vector(checkpoint.view(name));
  if (values.size() != 1 || !std::isfinite(values[0]) || values[0] <= 0)
    fail(ErrorKind::kInput, checkpoint.folder().string() + ": tensor " + name,
         "{} values, the first {}; expected one positive scale", values.size(),
         values.empty() ? 0.0F : values[0]);
  return values[0];
}

void require_float8(const scheme::QuantArgs& args, const std::string& subject) {
  if (args.type == scheme::NumberType::kFloat && args.num_bits == 8 && args.symmetric) return;
  fail(ErrorKind::kUnsupported, subject, "{} of {} bits; whit rounds activations to FP8 alone",
       args.type == scheme::NumberType::kInt ? "int" : "float", args.num_bits);
}

// DeepSeek's files say _inv of a scale that is none.
std::string input_scale_name(const checkpoint::Checkpoint& checkpoint,
                             const QuantizationConfig& config, const std::string& module) {
  if (config.quant_method == "inc") return module + ".scale_input";
  const std::string inverse = module + ".input_scale_inv";
  return checkpoint.has(inverse) ? inverse : module + ".input_scale";
}

}  // namespace

std::optional<PackedReader::InputScale> PackedReader::input_scale(const std::string& module) const {
  if (!state_->config || !is_quantized(module)) return std::nullopt;
  const std::string name = input_scale_name(state_->checkpoint, *state_->config, module);
  if (!state_->checkpoint.has(name)) return std::nullopt;
  return InputScale{positive_scale(state_->checkpoint, name), codes_of(*state_->config).limit};
}

std::optional<scheme::Float8Rounding> PackedReader::input_rounding(
    const std::string& module) const {
  const auto& config = state_->config;
  if (!config || !is_quantized(module)) return std::nullopt;
  const ConfigGroup* group = state_->finder->find(module);
  if (group == nullptr || !group->scheme.input_activations) return std::nullopt;
  const scheme::QuantArgs& args = *group->scheme.input_activations;
  const std::string subject =
      (state_->checkpoint.folder() / "config.json").string() + ": input_activations";
  require_float8(args, subject);
  scheme::Float8Rounding rounding = codes_of(*config);
  if (!args.dynamic) {
    const std::string name = input_scale_name(state_->checkpoint, *config, module);
    if (args.strategy != Strategy::kTensor)
      fail(ErrorKind::kUnsupported, subject, "static by {}; expected static by tensor",
           scheme::name_of(args.strategy));
    if (!state_->checkpoint.has(name))
      fail(ErrorKind::kInput, state_->checkpoint.folder().string() + ": tensor " + name,
           "missing; expected the scale of static activations");
    rounding.scale = positive_scale(state_->checkpoint, name);
  } else if (args.strategy == Strategy::kGroup) {
    rounding.piece = args.group_size;
  } else if (args.strategy != Strategy::kToken) {
    fail(ErrorKind::kUnsupported, subject, "dynamic by {}; expected by token or group",
         scheme::name_of(args.strategy));
  }
  return rounding;
}

std::optional<CacheRounding> PackedReader::cache_rounding(const std::string& attention) const {
  const auto& config = state_->config;
  if (!config || !config->kv_cache) return std::nullopt;
  const std::string subject =
      (state_->checkpoint.folder() / "config.json").string() + ": kv_cache_scheme";
  require_float8(*config->kv_cache, subject);
  if (config->kv_cache->dynamic || config->kv_cache->strategy != Strategy::kTensor)
    fail(ErrorKind::kUnsupported, subject, "{}{}; expected static by tensor",
         config->kv_cache->dynamic ? "dynamic by " : "by ",
         scheme::name_of(config->kv_cache->strategy));
  CacheRounding rounding;
  rounding.key = rounding.value = codes_of(*config);
  rounding.key.scale = rounding.value.scale = 1;
  const auto find = [&](std::initializer_list<const char*> places) -> std::optional<float> {
    for (const char* place : places)
      if (const std::string name = attention + place; state_->checkpoint.has(name))
        return positive_scale(state_->checkpoint, name);
    return std::nullopt;
  };
  const auto key =
      find({".k_scale", ".attn.k_scale", ".k_proj.k_scale", ".k_cache.dequant_output.scale",
            ".latent_cache_k.dequant_output.scale", ".kv_scale"});
  const auto value = find({".v_scale", ".attn.v_scale", ".v_proj.v_scale",
                           ".v_cache.dequant_output.scale", ".kv_scale"});
  // INC's files say of no cache that it is there but by its scales.
  if (config->quant_method == "inc" && !key) return std::nullopt;
  rounding.scaled = key || value;
  if (key) rounding.key.scale = *key;
  if (value)
    rounding.value.scale = *value;
  else if (key)
    rounding.value.scale = *key;
  return rounding;
}

}  // namespace whit::formats
