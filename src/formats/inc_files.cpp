#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/json_file.h"
#include "formats/inc_measurement.h"

namespace whit::formats {

namespace fs = std::filesystem;

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::uint64_t kMaxBytes = 1ULL << 30;

bool is_numeric(const IncTree& tree) {
  return tree.array() != nullptr || tree.list() != nullptr ||
         std::holds_alternative<double>(tree.value) ||
         std::holds_alternative<std::int64_t>(tree.value);
}

bool holds_dicts(const IncTree& tree) {
  if (tree.dict() != nullptr) return true;
  return tree.list() != nullptr && !tree.list()->empty() && holds_dicts(tree.list()->front());
}

// Lists of the one are arrays of the other: numbers are compared in their order.
void compare(const IncTree& json, const IncTree& npz, const std::string& subject) {
  if (const auto* dict = json.dict()) {
    const std::size_t others = npz.dict() == nullptr ? 0 : npz.dict()->size();
    if (dict->size() != others)
      fail(ErrorKind::kInput, subject, "{} entries, {} in the .npz; expected the same",
           dict->size(), others);
    // The order is the same as a rule; a name that stands elsewhere is looked for.
    for (std::size_t i = 0; i < dict->size(); ++i) {
      const auto& [key, value] = (*dict)[i];
      const auto& aligned = (*npz.dict())[i];
      const IncTree* other = aligned.first == key ? &aligned.second : npz.find(key);
      if (other == nullptr)
        fail(ErrorKind::kInput, subject + ": " + key, "is not in the .npz; expected it in both");
      compare(value, *other, subject + ": " + key);
    }
    return;
  }
  if (is_numeric(json) && !holds_dicts(json)) {
    const bool empty = json.list() != nullptr && json.list()->empty();
    if (!is_numeric(npz))
      fail(ErrorKind::kInput, subject, "{}, {} in the .npz; expected the same", json.kind(),
           npz.kind());
    if (empty && (npz.list() != nullptr && npz.list()->empty())) return;
    const auto one = numbers_of(json, subject);
    const auto other = numbers_of(npz, subject);
    for (std::size_t i = 0; i < std::max(one.size(), other.size()); ++i)
      if (i >= one.size() || i >= other.size() || one[i] != other[i])
        fail(ErrorKind::kInput, subject, "{}, {} in the .npz; expected the same",
             i < one.size() ? fmt::format("{}", one[i]) : "nothing",
             i < other.size() ? fmt::format("{}", other[i]) : "nothing");
    return;
  }
  if (json.value != npz.value)
    fail(ErrorKind::kInput, subject, "{}, {} in the .npz; expected the same", json.kind(),
         npz.kind());
}

IncTree read_npz(const fs::path& path) {
  const base::MappedFile file(path);
  const auto bytes = file.bytes();
  return parse_inc_npz({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

fs::path mod_list_path(const IncRun& run, int rank) {
  IncFileName name = run.name(rank, "json");
  name.mod_list = true;
  return run.folder / name.to_string();
}

}  // namespace

IncTree read_inc_file(const IncRun& run, int rank) {
  const fs::path json = run.path(rank, "json");
  const fs::path npz = run.path(rank, "npz");
  if (!fs::exists(json)) return read_npz(npz);
  IncTree tree = parse_inc_json(base::read_text_file(json, kMaxBytes), json.string());
  if (fs::exists(npz)) {
    const IncTree other = read_npz(npz);
    const IncTree* nodes = tree.find("Nodes");
    const IncTree* other_nodes = other.find("Nodes");
    if (nodes != nullptr && other_nodes != nullptr) compare(*nodes, *other_nodes, json.string());
  }
  return tree;
}

std::vector<IncMeasurement> read_measurements(const IncRun& run) {
  std::vector<IncMeasurement> ranks;
  for (int rank = 0; rank < run.world; ++rank) {
    const std::string subject = fs::exists(run.path(rank, "json")) ? run.path(rank, "json").string()
                                                                   : run.path(rank, "npz").string();
    ranks.push_back(read_measurement(read_inc_file(run, rank), {rank, run.world}, subject));
  }
  return ranks;
}

std::vector<fs::path> write_inc_files(const IncRun& run, int rank, const IncTree& tree) {
  std::vector<fs::path> paths{run.path(rank, "json"), run.path(rank, "npz")};
  base::write_file_atomic(paths[0], to_inc_json(tree));
  base::write_file_atomic(paths[1], to_inc_npz(tree));
  return paths;
}

fs::path write_mod_list(const IncRun& run, int rank, const std::vector<std::string>& modules) {
  const fs::path path = mod_list_path(run, rank);
  IncTree::List names;
  for (const auto& module : modules) names.push_back({module});
  base::write_file_atomic(path, to_inc_json({std::move(names)}));
  return path;
}

std::optional<std::vector<std::string>> read_mod_list(const IncRun& run, int rank) {
  const fs::path path = mod_list_path(run, rank);
  if (!fs::exists(path)) return std::nullopt;
  const IncTree tree = parse_inc_json(base::read_text_file(path, kMaxBytes), path.string());
  std::vector<std::string> names;
  if (tree.list() == nullptr)
    fail(ErrorKind::kInput, path.string(), "{}; expected a list of modules", tree.kind());
  for (const auto& entry : *tree.list()) {
    if (entry.text() == nullptr)
      fail(ErrorKind::kInput, path.string(), "{}; expected the name of a module", entry.kind());
    names.push_back(*entry.text());
  }
  return names;
}

}  // namespace whit::formats
