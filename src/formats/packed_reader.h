#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "formats/quantization_config.h"
#include "scheme/scheme.h"

namespace whit::formats {

// How a KV cache keeps its rows.
struct CacheRounding {
  scheme::Float8Rounding key, value;
  bool scaled = false;  // scales are in the checkpoint; else they are 1, as servers take them
};

// Reads quantized weights of a checkpoint, whatever of our formats they are in, by their tensors
// first and the config second: pack-quantized and int-quantized integers, and FP8 by tensor,
// channel, group or block (weight_scale, or DeepSeek's weight_scale_inv), and VPTQ's vectors (whose
// sizes only the config tells). The checkpoint must
// outlive it. Errors: kInput (subject: tensor or field), kUnsupported.
class PackedReader {
 public:
  explicit PackedReader(const checkpoint::Checkpoint& checkpoint);
  // The same with a config in place of the checkpoint's.
  PackedReader(const checkpoint::Checkpoint& checkpoint, QuantizationConfig config);
  ~PackedReader();
  // nullopt: `module` is stored unquantized (plain .weight). A grouped-by-index file (weight_g_idx)
  // comes back with one scale for each element; one scale for the tensor as one for each row.
  std::optional<scheme::QuantizedWeight> read(const std::string& module) const;
  bool is_quantized(const std::string& module) const;
  // Whether any module's weight is FP8 codes.
  bool has_float8() const;
  // Modules with quantized tensors, sorted; those of formats that `read` refuses included.
  std::vector<std::string> modules() const;
  // Tensor names that belong to quantized modules (packed, scales, shapes, zero points), sorted.
  std::vector<std::string> tensors_of(const std::string& module) const;
  // How a server rounds what `module` reads; nullopt: not at all. Errors: kInput where a static
  // scale is missing or not positive; kUnsupported for other numbers than FP8.
  std::optional<scheme::Float8Rounding> input_rounding(const std::string& module) const;
  // The scale that is stored for what `module` reads, whatever the config says of it, and the
  // largest code that it was made for; nullopt: there is none. Errors: kInput where it is not
  // positive.
  struct InputScale {
    float scale = 1, limit = 0;
  };
  std::optional<InputScale> input_scale(const std::string& module) const;
  // The same of what the cache of an attention ("model.layers.0.self_attn") keeps: k_scale and
  // v_scale, or kv_scale, of the attention or of its k_proj and v_proj; with k_scale alone it is
  // both.
  std::optional<CacheRounding> cache_rounding(const std::string& attention) const;
  // Tensors that are scales of a KV cache, sorted; none where the config has no such cache.
  std::vector<std::string> cache_tensors() const;
  // As the checkpoint has it; nullopt where config.json has none.
  const std::optional<QuantizationConfig>& config() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace whit::formats
