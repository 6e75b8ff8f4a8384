#include "report/synthetic_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "checkpoint/writer.h"
#include "model/arch.h"
#include "numeric/float_codec.h"

namespace whit::report {

namespace {

using checkpoint::SafetensorsWriter;
using nlohmann::json;
using tensor::Dtype;
using tensor::TensorView;

constexpr std::int64_t kVocabulary = 16384;  // of every generated model
constexpr std::int64_t kBlock = 128;         // rows and columns of an FP8 scale
constexpr float kWeightSize = 0.02F;

json common_config(const char* model_type, std::int64_t hidden, std::int64_t heads,
                   std::int64_t kv_heads) {
  return {{"model_type", model_type},
          {"hidden_size", hidden},
          {"num_attention_heads", heads},
          {"num_key_value_heads", kv_heads},
          {"num_hidden_layers", 1},
          {"vocab_size", kVocabulary},
          {"rms_norm_eps", 1e-6},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 131072},
          {"rope_theta", 10000.0},
          {"attention_bias", false},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"}};
}

json deepseek_v3_config(bool dense, std::int64_t experts) {
  json config = common_config("deepseek_v3", 7168, 128, 128);
  config.update({{"intermediate_size", 18432},
                 {"moe_intermediate_size", 2048},
                 {"n_routed_experts", experts > 0 ? experts : 256},
                 {"n_shared_experts", 1},
                 {"num_experts_per_tok", 8},
                 {"n_group", 8},
                 {"topk_group", 4},
                 {"norm_topk_prob", true},
                 {"scoring_func", "sigmoid"},
                 {"topk_method", "noaux_tc"},
                 {"routed_scaling_factor", 2.5},
                 {"first_k_dense_replace", dense ? 1 : 0},
                 {"moe_layer_freq", 1},
                 {"kv_lora_rank", 512},
                 {"q_lora_rank", 1536},
                 {"qk_nope_head_dim", 128},
                 {"qk_rope_head_dim", 64},
                 {"v_head_dim", 128},
                 {"num_nextn_predict_layers", 0},
                 {"quantization_config",
                  {{"quant_method", "fp8"},
                   {"fmt", "e4m3"},
                   {"activation_scheme", "dynamic"},
                   {"weight_block_size", {kBlock, kBlock}}}}});
  return config;
}

json qwen3_config(std::int64_t experts) {
  json config = common_config("qwen3_moe", 2048, 32, 4);
  config.update({{"head_dim", 128},
                 {"intermediate_size", 6144},
                 {"moe_intermediate_size", 768},
                 {"num_experts", experts > 0 ? experts : 128},
                 {"num_experts_per_tok", 8},
                 {"norm_topk_prob", true},
                 {"decoder_sparse_step", 1},
                 {"mlp_only_layers", json::array()}});
  return config;
}

// Numbers in the order in which a seed gives them, the same on every machine.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t bits() { return engine_(); }
  // A sum of three uniforms: close enough to normal, and quick.
  float normal() {
    float sum = -3.0F;
    for (int i = 0; i < 3; ++i) sum += static_cast<float>(engine_() >> 40) * 0x1p-23F;
    return sum;
  }
  float log_normal(float sigma) { return std::exp(sigma * normal()); }

 private:
  std::mt19937_64 engine_;
};

// Normal numbers to take pieces from.
template <typename Code>
class Pool {
 public:
  Pool(std::int64_t size, Draw& draw, Code (*encode)(float), float scale) {
    std::vector<Code> table(4096);
    for (Code& code : table) code = encode(scale * draw.normal());
    values_.resize(static_cast<std::size_t>(size));
    std::uint64_t state = draw.bits() | 1U;
    for (Code& value : values_) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      value = table[state >> 52];
    }
  }
  TensorView piece(const tensor::Shape& shape, Dtype dtype, Draw& draw) const {
    const auto spare = values_.size() - static_cast<std::size_t>(tensor::element_count(shape));
    const auto* data = values_.data() + draw.bits() % (spare + 1);
    return {reinterpret_cast<const std::byte*>(data), dtype, shape, {}};
  }

 private:
  std::vector<Code> values_;
};

// One tensor of the file, and how it is made.
struct Planned {
  SafetensorsWriter::Entry entry;
  model::Role role = model::Role::kNorm;
  bool scales = false;
};

class SyntheticCheckpoint {
 public:
  SyntheticCheckpoint(const json& config, std::uint64_t seed)
      : fp8_(config.contains("quantization_config")), draw_(seed) {
    for (const model::TensorSpec& spec : model::inventory(model::spec_from_config(config)))
      if (!spec.optional) plan(spec);
  }

  void write(const std::filesystem::path& file) {
    std::int64_t codes = 1;
    std::int64_t halves = 1;
    std::vector<SafetensorsWriter::Entry> entries;
    for (const Planned& tensor : tensors_) {
      std::int64_t& most = tensor.entry.dtype == Dtype::kF8E4M3 ? codes : halves;
      if (tensor.entry.dtype != Dtype::kF32)
        most = std::max(most, tensor::element_count(tensor.entry.shape));
      entries.push_back(tensor.entry);
    }
    const auto spare = [](std::int64_t most) { return most + most / 4 + 1; };
    const Pool<std::uint8_t> fp8(spare(codes), draw_, numeric::f32_to_e4m3, 64.0F);
    const Pool<std::uint16_t> bf16(spare(halves), draw_, numeric::f32_to_bf16, kWeightSize);
    SafetensorsWriter writer(file, std::move(entries));
    for (const Planned& tensor : tensors_) {
      const auto& entry = tensor.entry;
      if (entry.dtype == Dtype::kF8E4M3)
        writer.write(entry.name, fp8.piece(entry.shape, entry.dtype, draw_));
      else if (entry.dtype == Dtype::kBF16 && !is_drawn(tensor))
        writer.write(entry.name, bf16.piece(entry.shape, entry.dtype, draw_));
      else
        writer.write(entry.name, drawn(tensor).view());
    }
    writer.finish();
  }

 private:
  void plan(const model::TensorSpec& spec) {
    const bool block = fp8_ && spec.quantizable;
    const bool f32 = spec.role == model::Role::kRouterBias;
    const Dtype dtype = block ? Dtype::kF8E4M3 : f32 ? Dtype::kF32 : Dtype::kBF16;
    tensors_.push_back({{spec.name, dtype, spec.shape}, spec.role, false});
    if (!block) return;
    tensors_.push_back(
        {{spec.name + "_scale_inv",
          Dtype::kF32,
          {base::ceil_div(spec.shape[0], kBlock), base::ceil_div(spec.shape[1], kBlock)}},
         spec.role,
         true});
  }

  static bool is_drawn(const Planned& tensor) {
    return tensor.role == model::Role::kNorm || tensor.role == model::Role::kEmbedding ||
           tensor.role == model::Role::kRouter;
  }

  float value(const Planned& tensor, float of_row, float of_column) {
    using model::Role;
    if (tensor.scales) return kWeightSize / 64.0F * draw_.log_normal(0.3F);
    switch (tensor.role) {
      case Role::kNorm:
        return 1.0F + 0.1F * draw_.normal();
      case Role::kEmbedding:
        return of_column * draw_.normal();
      case Role::kRouter:
        return kWeightSize * of_row * draw_.normal();
      default:
        return 0.02F * draw_.normal();  // what balances the router
    }
  }

  tensor::Tensor drawn(const Planned& tensor) {
    const auto& [name, dtype, shape] = tensor.entry;
    const std::int64_t cols = shape.back();
    std::vector<float> columns(static_cast<std::size_t>(cols));
    for (float& c : columns) c = draw_.log_normal(0.5F) * (draw_.bits() % 128 == 0 ? 8.0F : 1.0F);
    tensor::Tensor out(shape, dtype);
    for (std::int64_t i = 0; i < out.elements() / cols; ++i) {
      const float row = draw_.log_normal(0.3F);
      for (std::int64_t j = 0; j < cols; ++j) {
        const float v = value(tensor, row, columns[static_cast<std::size_t>(j)]);
        if (dtype == Dtype::kF32)
          out.as<float>()[i * cols + j] = v;
        else
          out.as<std::uint16_t>()[i * cols + j] = numeric::f32_to_bf16(v);
      }
    }
    return out;
  }

  bool fp8_;
  Draw draw_;
  std::vector<Planned> tensors_;
};

}  // namespace

nlohmann::json layer_config(std::string_view arch, bool dense, std::int64_t experts) {
  if (arch == "deepseek_v3") return deepseek_v3_config(dense, experts);
  if (arch == "llama3_8b") {
    json config = common_config("llama", 4096, 32, 8);
    config["intermediate_size"] = 14336;
    return config;
  }
  if (arch == "qwen3_30b_a3b") {
    if (dense)
      base::fail(base::ErrorKind::kUsage, "--layer", "dense; every layer of {} is a mixture", arch);
    return qwen3_config(experts);
  }
  base::fail(base::ErrorKind::kUsage, "--arch",
             "{}; expected deepseek_v3, llama3_8b or qwen3_30b_a3b", arch);
}

void write_synthetic_checkpoint(const nlohmann::json& config, const std::filesystem::path& folder,
                                std::uint64_t seed) {
  std::filesystem::create_directories(folder);
  SyntheticCheckpoint(config, seed).write(folder / "model.safetensors");
  base::write_file_atomic(folder / "config.json", config.dump(2));
}

void write_random_ids(const std::filesystem::path& file, std::int64_t sequences,
                      std::int64_t length, std::int64_t vocabulary, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::string rows;
  for (std::int64_t s = 0; s < sequences; ++s) {
    rows += "{\"input_ids\": [";
    for (std::int64_t i = 0; i < length; ++i) {
      if (i > 0) rows += ',';
      rows += std::to_string(engine() % static_cast<std::uint64_t>(vocabulary));
    }
    rows += "]}\n";
  }
  base::write_file_atomic(file, rows);
}

}  // namespace whit::report
