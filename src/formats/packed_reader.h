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

// Reads quantized weights of a checkpoint, whatever of our formats they are in, by their tensors
// first and the config second: pack-quantized and int-quantized integers, and FP8 by tensor,
// channel, group or block (weight_scale, or DeepSeek's weight_scale_inv). The checkpoint must
// outlive it. Errors: kInput (subject: tensor or field), kUnsupported.
class PackedReader {
 public:
  explicit PackedReader(const checkpoint::Checkpoint& checkpoint);
  ~PackedReader();
  // nullopt: `module` is stored unquantized (plain .weight). A grouped-by-index file (weight_g_idx)
  // comes back with one scale for each element; one scale for the tensor as one for each row.
  std::optional<scheme::QuantizedWeight> read(const std::string& module) const;
  bool is_quantized(const std::string& module) const;
  // Modules with quantized tensors, sorted; those of formats that `read` refuses included.
  std::vector<std::string> modules() const;
  // Tensor names that belong to quantized modules (packed, scales, shapes, zero points), sorted.
  std::vector<std::string> tensors_of(const std::string& module) const;
  // As the checkpoint has it; nullopt where config.json has none.
  const std::optional<QuantizationConfig>& config() const;

 private:
  struct Found;
  struct State;
  static std::optional<Found> detect(const checkpoint::Checkpoint& checkpoint,
                                     const std::string& module, std::string_view suffix,
                                     tensor::Dtype dtype);
  std::unique_ptr<State> state_;
};

}  // namespace whit::formats
