#pragma once

#include <map>
#include <optional>
#include <string>

#include "formats/packed_reader.h"

// What a PackedReader knows of its checkpoint.
namespace whit::formats {

enum class Storage : std::uint8_t {
  kPackedInt,
  kPlainInt,
  kFloat8,
  kIncFloat8,
  kVectors,
  kForeign
};

struct StoredAs {
  Storage storage = Storage::kForeign;
  std::string format;  // of foreign ones
};

struct PackedReader::State {
  State(const checkpoint::Checkpoint& opened, std::optional<QuantizationConfig> says);

  const checkpoint::Checkpoint& checkpoint;
  std::optional<QuantizationConfig> config;
  std::optional<GroupFinder> finder;
  std::map<std::string, StoredAs> modules;
};

}  // namespace whit::formats
