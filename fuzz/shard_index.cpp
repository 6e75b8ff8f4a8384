#include "checkpoint/shard_index.h"

#include <filesystem>

#include "expect.h"

// A shard name that is accepted stays inside its folder.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  accepts([&] {
    const auto index = whit::checkpoint::parse_shard_index(text, "fuzz");
    require(!index.weight_map.empty());
    for (const auto& [name, shard] : index.weight_map)
      require(std::filesystem::path(shard).filename() == shard && shard != "..");
  });
  return 0;
}
