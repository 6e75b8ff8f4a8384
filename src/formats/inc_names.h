#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whit::formats {

// What follows the last dot of a module's name.
inline std::string_view last_word(std::string_view module) {
  return module.substr(module.rfind('.') + 1);
}

// One of how many processes; a file without it belongs to a job of one.
struct RankOf {
  int rank = 0;
  int world = 1;
  bool operator==(const RankOf&) const = default;
};

// PREFIX_hooks_OBSERVER[_METHOD][_RANK_WORLD][_mod_list].(json|npz): what INC calls its files.
// METHOD makes it a file of scales.
struct IncFileName {
  std::string prefix;
  std::string observer = "maxabs";
  std::string method;
  std::optional<RankOf> rank;
  bool mod_list = false;
  std::string extension = "json";

  std::string to_string() const;
  bool operator==(const IncFileName&) const = default;
};

// Of a file's name, without its folder; nothing where it is none of INC's.
std::optional<IncFileName> parse_inc_file_name(std::string_view name);

// The files of one run, by rank in order.
struct IncRun {
  std::filesystem::path folder;
  std::string prefix;
  std::string observer;
  std::string method;  // of scale files
  bool suffixed = true;
  int world = 1;

  IncFileName name(int rank, const std::string& extension) const;
  std::filesystem::path path(int rank, const std::string& extension) const;
  bool operator==(const IncRun&) const = default;
};

// What to look for; empty or 0: whatever is there.
struct IncRunQuery {
  std::string prefix;
  std::string observer;
  int world = 0;
};

// The one run of measurements in a folder that fits, every rank's file present as JSON or NPZ.
// Errors: kInput where there is none, several (with how to choose), or a rank is missing (with what
// was expected and found).
IncRun find_measurements(const std::filesystem::path& folder, const IncRunQuery& query);

// Runs of scale files beside the measurements of `run`: one for each method.
std::vector<IncRun> find_scale_files(const IncRun& run);

}  // namespace whit::formats
