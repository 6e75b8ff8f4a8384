#include "data/dataset_spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "checkpoint/resolve.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

constexpr const char* kFlag = "--calibration";

bool exists(const fs::path& path) {
  std::error_code code;
  return fs::exists(path, code);
}

std::optional<double> read_share(const std::string& text) {
  double share = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, share);
  if (code != std::errc() || stop != end || !std::isfinite(share)) return std::nullopt;
  return share;
}

struct NamedPart {
  DatasetPart part;
  bool has_share;
};

NamedPart parse_part(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (exists(text) || colon == std::string::npos) return {{text, 1}, false};
  const std::string name = text.substr(0, colon);
  const auto share = read_share(text.substr(colon + 1));
  if (!share || *share <= 0) {
    fail(ErrorKind::kUsage, kFlag, "{}: share {:?}; expected NAME:SHARE with a number above 0",
         text, text.substr(colon + 1));
  }
  if (name.empty()) fail(ErrorKind::kUsage, kFlag, "{:?} names nothing; expected NAME:SHARE", text);
  return {{name, *share}, true};
}

// Names that MoE-Quant knows, the repositories they stand for, and the part of them that is read.
struct KnownDataset {
  std::string_view name, repository, folder;
};
constexpr std::array<KnownDataset, 3> kKnown{
    {{"open-thoughts", "open-thoughts/OpenThoughts-114k", "data"},
     {"open-platypus", "garage-bAInd/Open-Platypus", "data"},
     {"fineweb-edu", "HuggingFaceFW/fineweb-edu", "sample/10BT"}}};

bool looks_like_repository(const std::string& name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string::npos || name.find('/', slash + 1) != std::string::npos) return false;
  const std::string extension = fs::path(name).extension().string();
  for (const char* known : {".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pkl",
                            ".pickle", ".txt", ".gz", ".zst"}) {
    if (extension == known) return false;
  }
  return true;
}

fs::path find_in_cache(const std::string& name, const KnownDataset& dataset,
                       const fs::path& hub_cache) {
  const std::string repository(dataset.repository);
  try {
    const fs::path snapshot =
        checkpoint::find_snapshot(checkpoint::Repository::kDataset, repository, hub_cache);
    const fs::path part = snapshot / dataset.folder;
    if (fs::is_directory(part)) return part;
    return fs::is_directory(snapshot / "data") ? snapshot / "data" : snapshot;
  } catch (const base::Error& error) {
    if (error.subject() != repository) throw;
    const std::size_t at = repository.find('@');
    std::string command = "hf download --repo-type dataset " + repository.substr(0, at);
    if (at != std::string::npos) command += " --revision " + repository.substr(at + 1);
    if (dataset.folder == "sample/10BT") command += " --include 'sample/10BT/*'";
    base::Error renamed(ErrorKind::kInput, name, error.detail());
    throw renamed.suggest("download it with: " + command);
  }
}

}  // namespace

std::vector<DatasetPart> parse_dataset(const std::string& text) {
  if (exists(text)) return {{text, 1}};
  std::vector<NamedPart> named;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end == begin) {
      fail(ErrorKind::kUsage, kFlag, "{:?}; expected NAME, or NAME:SHARE,NAME:SHARE", text);
    }
    named.push_back(parse_part(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  std::vector<DatasetPart> parts;
  for (const NamedPart& part : named) {
    if (part.has_share != named.front().has_share) {
      fail(ErrorKind::kUsage, kFlag, "{:?}; expected a share for every set or for none", text);
    }
    parts.push_back(part.part);
  }
  return parts;
}

std::vector<std::int64_t> divide_samples(const std::vector<DatasetPart>& parts,
                                         std::int64_t samples) {
  double sum = 0;
  for (const auto& part : parts) sum += part.share;
  std::vector<std::int64_t> counts;
  std::vector<double> rests;
  for (const auto& part : parts) {
    const double exact = static_cast<double>(samples) * (part.share / sum);
    counts.push_back(static_cast<std::int64_t>(exact));
    rests.push_back(exact - std::floor(exact));
  }
  std::vector<std::size_t> order(parts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return rests[a] > rests[b]; });
  std::int64_t left = samples - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (std::size_t i = 0; left > 0; i = (i + 1) % order.size(), --left) ++counts[order[i]];
  return counts;
}

fs::path find_dataset(const std::string& name, const fs::path& hub_cache) {
  if (exists(name)) return name;
  for (const KnownDataset& known : kKnown) {
    if (known.name == name) return find_in_cache(name, known, hub_cache);
  }
  if (!looks_like_repository(name)) {
    fail(ErrorKind::kInput, name,
         "no such file or folder; expected one, or open-thoughts, open-platypus, fineweb-edu, or "
         "org/name of the Hugging Face cache");
  }
  return find_in_cache(name, {name, name, "data"}, hub_cache);
}

}  // namespace whit::data
