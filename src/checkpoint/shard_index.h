#pragma once

#include <map>
#include <string>
#include <string_view>

namespace whit::checkpoint {

// model.safetensors.index.json: which shard holds which tensor. Every shard name is a plain file
// name.
struct ShardIndex {
  std::map<std::string, std::string> weight_map;
};

// Errors: kInput, subject = `subject` (": tensor NAME" where one entry is at fault).
ShardIndex parse_shard_index(std::string_view text, const std::string& subject);

}  // namespace whit::checkpoint
