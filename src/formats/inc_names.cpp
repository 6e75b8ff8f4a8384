#include "formats/inc_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <tuple>

#include "base/error.h"

namespace whit::formats {

namespace fs = std::filesystem;

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::string_view kHooks = "_hooks_";
constexpr std::string_view kModList = "_mod_list";
constexpr std::array<std::string_view, 4> kObservers{"maxabs_per_channel", "maxabs", "save",
                                                     "shape"};

std::optional<int> number_of(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0)
    return std::nullopt;
  return value;
}

// Takes "_3_16" from the end.
std::optional<RankOf> take_rank(std::string_view& rest) {
  const auto last = rest.rfind('_');
  if (last == std::string_view::npos || last == 0) return std::nullopt;
  const auto first = rest.rfind('_', last - 1);
  if (first == std::string_view::npos) return std::nullopt;
  const auto rank = number_of(rest.substr(first + 1, last - first - 1));
  const auto world = number_of(rest.substr(last + 1));
  if (!rank || !world || *rank >= *world) return std::nullopt;
  rest = rest.substr(0, first);
  return RankOf{*rank, *world};
}

bool is_method(std::string_view text) {
  return !text.empty() && text[0] >= 'A' && text[0] <= 'Z' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

// What follows PREFIX_hooks_.
std::optional<IncFileName> parse_rest(std::string_view rest) {
  IncFileName name;
  name.mod_list = rest.ends_with(kModList);
  if (name.mod_list) rest.remove_suffix(kModList.size());
  for (const auto observer : kObservers) {
    if (!rest.starts_with(observer)) continue;
    std::string_view tail = rest.substr(observer.size());
    name.observer = observer;
    name.rank = take_rank(tail);
    if (tail.empty()) return name;
    if (name.mod_list || tail[0] != '_' || !is_method(tail.substr(1))) return std::nullopt;
    name.method = tail.substr(1);
    return name;
  }
  return std::nullopt;
}

std::vector<IncFileName> names_in(const fs::path& folder) {
  std::vector<IncFileName> names;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error)
    fail(ErrorKind::kInput, folder.string(), "{}; expected a folder of measurements",
         error.message());
  for (const auto& entry : entries)
    if (auto name = parse_inc_file_name(entry.path().filename().string()))
      names.push_back(*std::move(name));
  return names;
}

// PREFIX, observer, method, whether suffixed, world.
using RunKey = std::tuple<std::string, std::string, std::string, bool, int>;
using Runs = std::map<RunKey, std::set<int>>;

Runs runs_in(const fs::path& folder) {
  Runs runs;
  for (const auto& name : names_in(folder)) {
    if (name.mod_list || name.observer == "shape" || name.observer == "save") continue;
    const RankOf rank = name.rank.value_or(RankOf{});
    runs[{name.prefix, name.observer, name.method, name.rank.has_value(), rank.world}].insert(
        rank.rank);
  }
  return runs;
}

IncRun run_of(const fs::path& folder, const RunKey& key) {
  return {folder,           std::get<0>(key), std::get<1>(key),
          std::get<2>(key), std::get<3>(key), std::get<4>(key)};
}

std::string describe(const RunKey& key) {
  const auto& [prefix, observer, method, suffixed, world] = key;
  return fmt::format("{}{}{} of {}", prefix, kHooks, observer,
                     suffixed ? fmt::format("{} ranks", world) : "one process");
}

void check_ranks(const IncRun& run, const std::set<int>& ranks) {
  std::vector<std::string> missing;
  for (int rank = 0; rank < run.world; ++rank)
    if (!ranks.contains(rank)) missing.push_back(run.name(rank, "json").to_string());
  if (missing.empty()) return;
  fail(ErrorKind::kInput, (run.folder / missing.front()).string(),
       "not there, nor as .npz; found ranks {}, expected all of 0 to {}", fmt::join(ranks, ", "),
       run.world - 1);
}

}  // namespace

std::string IncFileName::to_string() const {
  std::string text = prefix + std::string(kHooks) + observer;
  if (!method.empty()) text += "_" + method;
  if (rank) text += fmt::format("_{}_{}", rank->rank, rank->world);
  if (mod_list) text += kModList;
  return text + "." + extension;
}

std::optional<IncFileName> parse_inc_file_name(std::string_view name) {
  std::string_view stem = name;
  std::string extension;
  for (const std::string_view known : {"json", "npz"})
    if (name.ends_with(known) && name.size() > known.size() &&
        name[name.size() - known.size() - 1] == '.') {
      extension = known;
      stem = name.substr(0, name.size() - known.size() - 1);
    }
  if (extension.empty()) return std::nullopt;
  for (auto at = stem.rfind(kHooks); at != std::string_view::npos;
       at = at == 0 ? at : stem.rfind(kHooks, at - 1)) {
    if (auto parsed = parse_rest(stem.substr(at + kHooks.size()))) {
      parsed->prefix = stem.substr(0, at);
      parsed->extension = extension;
      if (parsed->mod_list && extension != "json") return std::nullopt;
      return parsed;
    }
    if (at == 0) break;
  }
  return std::nullopt;
}

IncFileName IncRun::name(int rank, const std::string& extension) const {
  IncFileName name{prefix, observer, method, std::nullopt, false, extension};
  if (suffixed) name.rank = RankOf{rank, world};
  return name;
}

fs::path IncRun::path(int rank, const std::string& extension) const {
  return folder / name(rank, extension).to_string();
}

IncRun find_measurements(const fs::path& folder, const IncRunQuery& query) {
  Runs all = runs_in(folder);
  std::erase_if(all, [](const auto& run) { return !std::get<2>(run.first).empty(); });
  Runs fitting = all;
  std::erase_if(fitting, [&](const auto& run) {
    const auto& [prefix, observer, method, suffixed, world] = run.first;
    return (!query.prefix.empty() && prefix != query.prefix) ||
           (!query.observer.empty() && observer != query.observer) ||
           (query.world != 0 && world != query.world);
  });
  std::vector<std::string> found;
  for (const auto& [key, ranks] : fitting.empty() ? all : fitting) found.push_back(describe(key));
  const std::string wanted =
      fmt::format("{}{}{}{}", query.prefix.empty() ? "PREFIX" : query.prefix, kHooks,
                  query.observer.empty() ? "maxabs" : query.observer,
                  query.world == 0 ? "[_RANK_WORLD].json or .npz"
                                   : fmt::format("_RANK_{}.json or .npz", query.world));
  if (fitting.empty())
    fail(ErrorKind::kInput, folder.string(), "holds {}; expected files {}",
         found.empty() ? "no measurements" : fmt::format("{}", fmt::join(found, "; ")), wanted);
  if (fitting.size() > 1) {
    base::Error error(
        ErrorKind::kInput, folder.string(),
        fmt::format("holds {}; expected the measurements of one run", fmt::join(found, "; ")));
    error.suggest("choose with --world N or --prefix NAME, or keep each run in its own folder");
    throw error;
  }
  const IncRun run = run_of(folder, fitting.begin()->first);
  check_ranks(run, fitting.begin()->second);
  return run;
}

std::vector<IncRun> find_scale_files(const IncRun& run) {
  std::vector<IncRun> found;
  for (const auto& [key, ranks] : runs_in(run.folder)) {
    IncRun scales = run_of(run.folder, key);
    if (scales.method.empty() || scales.prefix != run.prefix || scales.observer != run.observer ||
        scales.suffixed != run.suffixed || scales.world != run.world)
      continue;
    check_ranks(scales, ranks);
    found.push_back(std::move(scales));
  }
  return found;
}

}  // namespace whit::formats
