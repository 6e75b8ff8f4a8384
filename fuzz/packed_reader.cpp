#include "formats/packed_reader.h"

#include <unistd.h>

#include <array>
#include <fstream>

#include "expect.h"
#include "formats/verify.h"

namespace {

constexpr std::array<const char*, 5> kConfigs{
    "{}",
    R"({"quantization_config":{"config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":4,"group_size":4,"symmetric":false}}}}})",
    R"({"quantization_config":{"config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":3,"strategy":"channel"}}}}})",
    R"({"quantization_config":{"quant_method":"fp8","weight_block_size":[2,2]}})",
    R"({"quantization_config":{"quant_method":"vptq","config_for_layers":{"m":{"in_features":5,"out_features":6,"vector_lens":[4,2],"num_centroids":[2,4],"num_res_centroids":[-1,2],"group_num":2,"group_size":2,"outlier_size":1,"enable_norm":true,"enable_perm":true}}}})"};

struct Folder {
  Folder()
      : path(std::filesystem::temp_directory_path() / ("whit-fuzz-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

}  // namespace

// The first byte chooses a config, the rest is the only shard: every module decodes or is refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  static const Folder folder;
  if (size == 0) return 0;
  std::ofstream(folder.path / "config.json") << kConfigs[data[0] % kConfigs.size()];
  std::ofstream(folder.path / "model.safetensors", std::ios::binary)
      .write(reinterpret_cast<const char*>(data) + 1, static_cast<std::streamsize>(size - 1));
  accepts([&] {
    const auto checkpoint = checkpoint::Checkpoint::open(folder.path);
    const formats::PackedReader reader(checkpoint);
    for (const std::string& module : reader.modules())
      accepts([&] { scheme::decode(reader.read(module).value()); });
    formats::verify(checkpoint, &checkpoint);
  });
  return 0;
}
