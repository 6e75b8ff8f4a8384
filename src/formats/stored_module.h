#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "formats/quantization_config.h"
#include "scheme/scheme.h"

// One quantized module as it lies in a checkpoint; what the decoders of packed_reader share.
namespace whit::formats {

struct StoredModule {
  const checkpoint::Checkpoint& checkpoint;
  std::string module;
  const ConfigGroup* group;  // null: the config says nothing of it

  std::string name(std::string_view suffix) const;  // "MODULE.weight_scale"
  bool has(std::string_view suffix) const { return checkpoint.has(name(suffix)); }
  // "PATH: tensor NAME".
  std::string subject(std::string_view suffix) const;
  tensor::TensorView view(std::string_view suffix) const { return checkpoint.view(name(suffix)); }
  // What the config says of its weights where that is of `type`; else null.
  const scheme::QuantArgs* args(scheme::NumberType type) const;
  // Values of a scale tensor. Errors: kInput where one is not finite or the dtype is no float.
  std::vector<float> scales(std::string_view suffix) const;
};

// weight_packed I32 (pack-quantized).
scheme::GroupedInt read_packed_int(const StoredModule& stored);
// weight I8 (int-quantized).
scheme::GroupedInt read_plain_int(const StoredModule& stored);
// weight F8_E4M3 or F8_E5M2 with weight_scale or weight_scale_inv.
scheme::ScaledFloat8 read_float8(const StoredModule& stored);

}  // namespace whit::formats
