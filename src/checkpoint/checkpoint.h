#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/resolve.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"

namespace whit::checkpoint {

inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";

// A Hugging Face folder: config.json and the tensors of its shards, by name.
class Checkpoint {
 public:
  // Opens the folder. Reads model.safetensors.index.json or, without one, every *.safetensors (a
  // single model.safetensors as a rule); `consolidated*` is passed over. With an index, shards and
  // index must name the same tensors. config.json may be absent where `require_config` is false.
  // Errors: kInput.
  static Checkpoint open(const fs::path& folder, bool require_config = true);

  // Only these files of a folder that is still being written; its config and index are not read.
  static Checkpoint open_shards(const fs::path& folder, const std::vector<std::string>& files);

  const fs::path& folder() const { return folder_; }
  const nlohmann::json& config() const { return config_; }  // null where there is none
  bool has_index() const { return has_index_; }

  std::vector<std::string> names() const;  // sorted
  bool has(std::string_view name) const;
  const TensorInfo& info(std::string_view name) const;   // kInput where there is none
  tensor::TensorView view(std::string_view name) const;  // on the mapping
  const SafetensorsFile& file_of(std::string_view name) const;
  void release(std::string_view name) const;
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const { return files_; }
  std::uint64_t tensor_bytes() const;

 private:
  void open_with_index(const fs::path& index_path);
  void open_without_index();
  void add_shard(const std::string& file_name);

  fs::path folder_;
  nlohmann::json config_;
  bool has_index_ = false;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::size_t, std::less<>> file_by_tensor_;
};

}  // namespace whit::checkpoint
