#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/error.h"
#include "checkpoint/json_file.h"
#include "checkpoint/shard_index.h"

namespace whit::checkpoint {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::string_view kExtension = ".safetensors";

// "model-00002-of-00007.safetensors" -> {2, 7}.
struct ShardNumber {
  int number = 0;
  int count = 0;
};
std::optional<ShardNumber> shard_number(const std::string& stem) {
  const std::size_t of = stem.rfind("-of-");
  if (of == std::string::npos) return std::nullopt;
  const std::size_t dash = stem.rfind('-', of - 1);
  if (of == 0 || dash == std::string::npos) return std::nullopt;
  ShardNumber shard;
  const auto read = [&](std::size_t begin, std::size_t end, int* value) {
    const auto [rest, error] = std::from_chars(stem.data() + begin, stem.data() + end, *value);
    return error == std::errc{} && rest == stem.data() + end;
  };
  if (!read(dash + 1, of, &shard.number) || !read(of + 4, stem.size(), &shard.count))
    return std::nullopt;
  return shard;
}

// Without an index only the names tell that a shard is missing.
void check_all_shards_present(const std::vector<std::string>& file_names, const fs::path& folder) {
  std::map<int, std::set<int>> seen;
  for (const std::string& name : file_names)
    if (const auto shard = shard_number(name.substr(0, name.size() - kExtension.size())))
      seen[shard->count].insert(shard->number);
  for (const auto& [count, numbers] : seen)
    if (static_cast<int>(numbers.size()) != count)
      fail(ErrorKind::kInput, folder.string(), "{} of {} numbered shards and no {}; expected all",
           numbers.size(), count, kIndexFile);
}

std::vector<std::string> list_safetensors(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string name = item.path().filename().string();
    if (item.path().extension() == kExtension && name.rfind("consolidated", 0) != 0 &&
        name[0] != '.')
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& folder, bool require_config) {
  std::error_code code;
  if (!fs::is_directory(folder, code))
    fail(ErrorKind::kInput, folder.string(), "no such folder; expected a Hugging Face checkpoint");
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  const fs::path config = folder / "config.json";
  if (fs::exists(config, code)) {
    checkpoint.config_ = read_json_object(config);
  } else if (require_config) {
    fail(ErrorKind::kInput, config.string(), "no such file; expected the model's configuration");
  }
  const fs::path index = folder / kIndexFile;
  if (fs::exists(index, code)) {
    checkpoint.open_with_index(index);
  } else {
    checkpoint.open_without_index();
  }
  return checkpoint;
}

Checkpoint Checkpoint::open_shards(const fs::path& folder, const std::vector<std::string>& files) {
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  for (const std::string& file : files) checkpoint.add_shard(file);
  return checkpoint;
}

void Checkpoint::add_shard(const std::string& file_name) {
  files_.push_back(std::make_unique<SafetensorsFile>(folder_ / file_name));
  for (const TensorInfo& info : files_.back()->tensors()) {
    const auto [it, added] = file_by_tensor_.emplace(info.name, files_.size() - 1);
    if (!added)
      fail(ErrorKind::kInput, files_.back()->path().string() + ": tensor " + info.name,
           "also in {}; expected in one shard", files_[it->second]->path().filename().string());
  }
}

void Checkpoint::open_with_index(const fs::path& index_path) {
  has_index_ = true;
  const std::string subject = index_path.string();
  const ShardIndex index = parse_shard_index(base::read_text_file(index_path), subject);
  std::set<std::string> shards;
  for (const auto& [name, shard] : index.weight_map) shards.insert(shard);
  for (const std::string& shard : shards) {
    std::error_code code;
    if (!fs::exists(folder_ / shard, code))
      fail(ErrorKind::kInput, (folder_ / shard).string(), "missing; {} names it", kIndexFile);
    add_shard(shard);
  }
  for (const auto& [name, shard] : index.weight_map) {
    const auto it = file_by_tensor_.find(name);
    const bool there =
        it != file_by_tensor_.end() && files_[it->second]->path().filename() == shard;
    if (!there)
      fail(ErrorKind::kInput, subject + ": tensor " + name, "not in {}; the index says it is",
           shard);
  }
  for (const auto& [name, file] : file_by_tensor_)
    if (index.weight_map.count(name) == 0)
      fail(ErrorKind::kInput, files_[file]->path().string() + ": tensor " + name,
           "not in {}; expected every tensor there", kIndexFile);
}

void Checkpoint::open_without_index() {
  const std::vector<std::string> names = list_safetensors(folder_);
  if (names.empty())
    fail(ErrorKind::kInput, folder_.string(), "no {} and no *.safetensors; expected weights",
         kIndexFile);
  check_all_shards_present(names, folder_);
  for (const std::string& name : names) add_shard(name);
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> result;
  result.reserve(file_by_tensor_.size());
  for (const auto& [name, file] : file_by_tensor_) result.push_back(name);
  return result;
}

bool Checkpoint::has(std::string_view name) const {
  return file_by_tensor_.find(name) != file_by_tensor_.end();
}

const SafetensorsFile& Checkpoint::file_of(std::string_view name) const {
  const auto it = file_by_tensor_.find(name);
  if (it == file_by_tensor_.end())
    fail(ErrorKind::kInput, fmt::format("{}: tensor {}", folder_.string(), name),
         "not in the checkpoint; expected there");
  return *files_[it->second];
}

const TensorInfo& Checkpoint::info(std::string_view name) const {
  return *file_of(name).find(name);
}

tensor::TensorView Checkpoint::view(std::string_view name) const {
  const SafetensorsFile& file = file_of(name);
  return file.view(*file.find(name));
}

void Checkpoint::release(std::string_view name) const {
  const SafetensorsFile& file = file_of(name);
  file.release(*file.find(name));
}

std::uint64_t Checkpoint::tensor_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& file : files_)
    for (const TensorInfo& info : file->tensors()) bytes += info.bytes;
  return bytes;
}

}  // namespace whit::checkpoint
