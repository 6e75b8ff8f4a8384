#include "formats/inc_checkpoint.h"

#include <algorithm>
#include <bit>
#include <cctype>

#include "base/error.h"
#include "numeric/float_codec.h"
#include "tensor/rounded.h"

namespace whit::formats {

namespace {

using base::check;
using scheme::ScaledFloat8;
using scheme::Strategy;
using tensor::Dtype;
using tensor::Tensor;

Tensor bf16_of(tensor::Shape shape, std::span<const float> values, bool exact) {
  for (const float value : values)
    check(!exact || numeric::round_to_bf16(value) == value, "INC's scales are BF16");
  return tensor::make_rounded(std::move(shape), values, Dtype::kBF16);
}

NamedTensor scalar(std::string name, float value, bool exact = true) {
  return {std::move(name), bf16_of({}, std::span(&value, 1), exact)};
}

Tensor transposed(const Tensor& codes) {
  const std::int64_t rows = codes.shape()[0];
  const std::int64_t cols = codes.shape()[1];
  Tensor out({cols, rows}, codes.dtype());
  const auto* from = codes.as<std::uint8_t>();
  for (std::int64_t n = 0; n < rows; ++n)
    for (std::int64_t k = 0; k < cols; ++k)
      out.as<std::uint8_t>()[k * rows + n] = from[n * cols + k];
  return out;
}

// A compressed-tensors pattern as a regular expression that is searched for.
std::string searched(const std::string& pattern) {
  if (pattern.starts_with("re:")) return "^" + pattern.substr(3);
  std::string escaped = "^";
  for (const char c : pattern) {
    if (std::string_view(".+*?()[]{}|^$\\").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped + "$";
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::vector<checkpoint::SafetensorsWriter::Entry> inc_layout(const std::string& module,
                                                             std::int64_t rows, std::int64_t cols,
                                                             Strategy strategy, Dtype codes) {
  check(strategy == Strategy::kTensor || strategy == Strategy::kChannel,
        "inc_layout: scales by tensor or channel");
  const tensor::Shape scales =
      strategy == Strategy::kTensor ? tensor::Shape{} : tensor::Shape{rows};
  return {{module + ".weight", codes, {cols, rows}},
          {module + ".scale_weight", Dtype::kBF16, scales},
          {module + ".scale_input", Dtype::kBF16, {}},
          {module + ".quant_input.scale_inv", Dtype::kBF16, {}}};
}

std::vector<NamedTensor> encode_inc(const std::string& module, const ScaledFloat8& weight,
                                    float input_scale) {
  const bool whole = weight.strategy == Strategy::kTensor;
  check(whole || weight.strategy == Strategy::kChannel, "encode_inc: scales by tensor or channel");
  const std::span scales(weight.scales.as<float>(),
                         static_cast<std::size_t>(weight.scales.elements()));
  std::vector<NamedTensor> tensors;
  tensors.push_back({module + ".weight", transposed(weight.codes)});
  tensors.push_back(
      {module + ".scale_weight",
       bf16_of(whole ? tensor::Shape{} : tensor::Shape{weight.rows()}, scales, true)});
  tensors.push_back(scalar(module + ".scale_input", input_scale));
  tensors.push_back(scalar(module + ".quant_input.scale_inv", 1 / input_scale, false));
  return tensors;
}

ScaledFloat8 read_inc_float8(const StoredModule& stored) {
  const tensor::TensorView codes = stored.view("weight");
  if (codes.shape.size() != 2 || codes.elements() == 0)
    base::fail(base::ErrorKind::kInput, stored.subject("weight"), "shape {}; expected [in, out]",
               tensor::to_string(codes.shape));
  const std::int64_t cols = codes.shape[0];
  const std::int64_t rows = codes.shape[1];
  const std::vector<float> scales = stored.scales("scale_weight");
  const bool whole = scales.size() == 1;
  if (!whole && static_cast<std::int64_t>(scales.size()) != rows)
    base::fail(base::ErrorKind::kInput, stored.subject("scale_weight"),
               "{} scales; expected 1, or one for each of {} outputs", scales.size(), rows);
  ScaledFloat8 weight;
  weight.strategy = whole ? Strategy::kTensor : Strategy::kChannel;
  weight.block_rows = whole ? rows : 1;
  weight.block_cols = cols;
  Tensor stored_codes(codes.shape, codes.dtype);
  std::copy_n(codes.data, codes.bytes(), stored_codes.data());
  weight.codes = transposed(stored_codes);
  weight.scales = tensor::make_f32({static_cast<std::int64_t>(scales.size()), 1}, scales);
  return weight;
}

std::vector<NamedTensor> encode_inc_cache(const std::string& attention, bool latent, float key,
                                          float value) {
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& cache, float scale) {
    tensors.push_back(scalar(attention + cache + ".quant_input.scale_inv", 1 / scale, false));
    tensors.push_back(scalar(attention + cache + ".dequant_output.scale", scale));
  };
  if (latent) {
    add(".latent_cache_k", key);
  } else {
    add(".k_cache", key);
    add(".v_cache", value);
  }
  return tensors;
}

nlohmann::ordered_json inc_config_json(const QuantizationConfig& config) {
  std::vector<std::string> blocked;
  for (const std::string& pattern : config.ignore) blocked.push_back(searched(pattern));
  const bool per_channel = config.groups.at(0).scheme.weights.strategy == Strategy::kChannel;
  std::vector<std::string> types{"Linear"};
  if (config.kv_cache) types.insert(types.end(), {"KVCache", "VLLMKVCache"});
  return {{"mode", "LOAD"},
          {"observer", "maxabs"},
          {"dump_stats_path", "./hqt_output/measure"},
          {"fp8_config", config.e5m2 ? "E5M2" : "E4M3"},
          {"hp_dtype", "bf16"},
          {"allowlist", {{"names", nlohmann::json::array()}, {"types", types}}},
          {"blocklist", {{"names", blocked}, {"types", nlohmann::json::array()}}},
          {"scale_method", lower(config.scale_method)},
          {"scale_params", nlohmann::json::object()},
          {"scale_format", per_channel ? "const" : "scalar"},
          {"measure_exclude", "OUTPUT"},
          {"device_for_scales", config.gaudi2_codes ? "GAUDI2" : "GAUDI3"},
          {"use_qdq", "False"},
          {"fake_quant", "False"},
          {"measure_on_hpu", true},
          {"mod_dict", nlohmann::json::object()},
          {"world_size", 1}};
}

bool is_inc_config(const nlohmann::json& value) {
  return value.is_object() && !value.contains("quant_method") && value.contains("fp8_config") &&
         value.value("mode", nlohmann::json()) == "LOAD";
}

QuantizationConfig parse_inc_checkpoint_config(const nlohmann::json& value) {
  QuantizationConfig config;
  config.quant_method = "inc";
  config.format = "inc";
  const auto text = [&](const char* key) {
    const auto found = value.find(key);
    return found != value.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  config.e5m2 = lower(text("fp8_config")) == "e5m2";
  config.gaudi2_codes = lower(text("device_for_scales")) == "gaudi2";
  for (const char c : text("scale_method"))
    config.scale_method += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const scheme::QuantArgs args{8,    scheme::NumberType::kFloat, true, Strategy::kTensor, 0, 0, 0,
                               false};
  // What is quantized, the tensors tell: their scales are there or not.
  config.groups.push_back({{"Linear"}, {args, args}, "inc"});
  config.kv_cache = args;
  return config;
}

}  // namespace whit::formats
