#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "scheme/scheme.h"

// Names and bytes of quantized checkpoints. A format turns a logical QuantizedWeight into named
// tensors and JSON and back; decode(encode(q)) == q.
namespace whit::formats {

struct NamedTensor {
  std::string name;
  tensor::Tensor tensor;
};

// The tensors that `module` will have on disk under `scheme`, before any data exists.
std::vector<checkpoint::SafetensorsWriter::Entry> packed_layout(const std::string& module,
                                                                std::int64_t rows, std::int64_t cols,
                                                                const scheme::QuantArgs& weights,
                                                                tensor::Dtype scale_dtype);
std::vector<NamedTensor> encode_packed(const std::string& module, const scheme::GroupedInt& weight);

// config.json's quantization_config.
struct ConfigGroup {
  std::vector<std::string> targets;
  scheme::Scheme scheme;
  std::string format;  // "pack-quantized"
};
struct QuantizationConfig {
  std::string quant_method = "compressed-tensors";
  std::string format = "pack-quantized";
  std::vector<ConfigGroup> groups;
  std::vector<std::string> ignore;
};
nlohmann::ordered_json to_json(const QuantizationConfig& config);

// compressed-tensors' matching: an exact name, or "re:PATTERN" matched from the start of the name.
// Errors: kUsage for a pattern that does not compile.
class NameMatcher {
 public:
  explicit NameMatcher(const std::vector<std::string>& patterns);
  bool matches(std::string_view module, std::string_view class_name = "Linear") const;

 private:
  std::vector<std::string> exact_;
  std::vector<std::shared_ptr<void>> compiled_;
};

// Reads quantized weights of a checkpoint, whatever of our formats they are in, by their tensors
// first and the config second. Errors: kInput (subject: tensor or field), kUnsupported.
class PackedReader {
 public:
  explicit PackedReader(const checkpoint::Checkpoint& checkpoint);
  ~PackedReader();
  // nullopt: `module` is stored unquantized (plain .weight).
  std::optional<scheme::QuantizedWeight> read(const std::string& module) const;
  bool is_quantized(const std::string& module) const;
  // Modules with packed tensors, sorted.
  std::vector<std::string> modules() const;
  // Tensor names that belong to quantized modules (packed, scales, shapes, zero points).
  std::vector<std::string> tensors_of(const std::string& module) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace whit::formats
