#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "base/error.h"
#include "data/rows.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::size_t kMaxFiles = 100000;

// Kinds of files, in the order in which a folder's rows are looked for.
constexpr std::array<std::array<std::string_view, 6>, 5> kKinds{
    {{".parquet"},
     {".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst"},
     {".json"},
     {".csv", ".tsv"},
     {".txt"}}};

// Metadata that lie beside the rows in datasets.
bool is_metadata(const std::string& name) {
  return name == "dataset_info.json" || name == "dataset_infos.json" ||
         name == "dataset_dict.json" || name == "state.json" || name == "config.json";
}

std::optional<std::size_t> kind_of(const std::string& name) {
  if (is_metadata(name) || name.starts_with('.')) return std::nullopt;
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
    for (const std::string_view ending : kKinds[kind]) {
      if (!ending.empty() && name.size() > ending.size() && name.ends_with(ending)) return kind;
    }
  }
  return std::nullopt;
}

// Whether a path within the folder has `word` between characters that are no letters: train-00000.
bool has_word(const std::string& path, std::string_view word) {
  const auto letter = [&](std::size_t at) {
    return at < path.size() && std::isalpha(static_cast<unsigned char>(path[at])) != 0;
  };
  for (std::size_t at = path.find(word); at != std::string::npos; at = path.find(word, at + 1)) {
    if ((at == 0 || !letter(at - 1)) && !letter(at + word.size())) return true;
  }
  return false;
}

bool is_other_split(const std::string& path) {
  for (const std::string_view word : {"test", "testing", "validation", "valid", "dev", "eval"}) {
    if (has_word(path, word)) return true;
  }
  return false;
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::array<std::vector<std::string>, kKinds.size()> found;
  std::size_t total = 0;
  const auto options = fs::directory_options::follow_directory_symlink;
  for (auto entry = fs::recursive_directory_iterator(folder, options);
       entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory()) {
      if (name.starts_with('.') || entry.depth() >= 8) entry.disable_recursion_pending();
      continue;
    }
    if (++total > kMaxFiles) {
      fail(ErrorKind::kInput, folder.string(), "more than {} files; expected a dataset's folder",
           kMaxFiles);
    }
    const auto kind = kind_of(name);
    if (kind) found[*kind].push_back(entry->path().lexically_relative(folder).string());
  }
  const auto kind = std::find_if(found.begin(), found.end(), [](auto& f) { return !f.empty(); });
  if (kind == found.end()) {
    fail(ErrorKind::kInput, folder.string(),
         "no rows among {} files; expected .parquet, .jsonl, .json, .csv, .tsv or .txt", total);
  }
  std::sort(kind->begin(), kind->end());
  std::vector<fs::path> training, others;
  for (const auto& path : *kind) {
    if (has_word(path, "train")) training.push_back(folder / path);
    if (!is_other_split(path)) others.push_back(folder / path);
  }
  if (!training.empty()) return training;
  if (!others.empty()) return others;
  fail(ErrorKind::kInput, folder.string(), "only splits for tests; expected one to train with");
}

// The rows of several files, one behind the other.
class FolderRows final : public RowSource {
 public:
  explicit FolderRows(std::vector<std::unique_ptr<RowSource>> parts) : parts_(std::move(parts)) {
    for (const auto& part : parts_) {
      begins_.push_back(count_);
      count_ += part->count();
    }
  }

  std::uint64_t count() const override { return count_; }
  std::string name(std::uint64_t row) const override {
    const std::size_t part = part_of(row);
    return parts_[part]->name(row - begins_[part]);
  }
  std::string_view format() const override { return parts_.front()->format(); }
  bool sequential() const override {
    return std::any_of(parts_.begin(), parts_.end(), [](auto& part) { return part->sequential(); });
  }
  std::vector<fs::path> files() const override {
    std::vector<fs::path> all;
    for (const auto& part : parts_) {
      for (auto& file : part->files()) all.push_back(std::move(file));
    }
    return all;
  }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    bool more = true;
    for (std::size_t i = 0; i < rows.size() && more;) {
      const std::size_t part = part_of(rows[i]);
      const std::uint64_t begin = begins_[part];
      std::vector<std::uint64_t> own;
      for (; i < rows.size() && rows[i] < begin + parts_[part]->count(); ++i) {
        own.push_back(rows[i] - begin);
      }
      parts_[part]->read(own, [&](std::uint64_t row, Json columns) {
        more = take(begin + row, std::move(columns));
        return more;
      });
    }
  }

 private:
  std::size_t part_of(std::uint64_t row) const {
    const auto after = std::upper_bound(begins_.begin(), begins_.end(), row);
    return static_cast<std::size_t>(after - begins_.begin()) - 1;
  }

  std::vector<std::unique_ptr<RowSource>> parts_;
  std::vector<std::uint64_t> begins_;
  std::uint64_t count_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> folder_rows(const fs::path& folder, const RowArgs& args) {
  std::vector<std::unique_ptr<RowSource>> parts;
  for (const auto& file : files_of(folder)) parts.push_back(open_rows(file, args));
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<FolderRows>(std::move(parts));
}

}  // namespace whit::data
