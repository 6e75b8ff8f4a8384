#include "checkpoint/shard_index.h"

#include "base/error.h"
#include "checkpoint/json_file.h"

namespace whit::checkpoint {

namespace {

using base::ErrorKind;
using base::fail;

// A shard is a file of the folder itself; anything that could lead elsewhere is refused.
void check_shard_name(const std::string& shard, const std::string& subject) {
  const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  const bool named = shard.size() > 12 && shard.compare(shard.size() - 12, 12, ".safetensors") == 0;
  if (!plain || !named || shard.front() == '.')
    fail(ErrorKind::kInput, subject, "shard name '{}'; expected a plain NAME.safetensors", shard);
}

}  // namespace

ShardIndex parse_shard_index(std::string_view text, const std::string& subject) {
  const nlohmann::json json = parse_json(text, subject, {.max_depth = 16, .unique_keys = true});
  if (!json.is_object())
    fail(ErrorKind::kInput, subject, "top level is {}; expected an object", json.type_name());
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object())
    fail(ErrorKind::kInput, subject,
         "no object 'weight_map'; expected tensor names with their shards");
  ShardIndex index;
  for (const auto& [name, shard] : map->items()) {
    const std::string where = subject + ": tensor " + name;
    if (!shard.is_string())
      fail(ErrorKind::kInput, where, "shard is {}; expected a file name", shard.type_name());
    check_shard_name(shard.get_ref<const std::string&>(), where);
    index.weight_map.emplace(name, shard.get<std::string>());
  }
  if (index.weight_map.empty())
    fail(ErrorKind::kInput, subject, "'weight_map' is empty; expected at least one tensor");
  return index;
}

}  // namespace whit::checkpoint
