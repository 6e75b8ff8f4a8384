#include "cli/quality_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "base/error.h"
#include "base/nearest.h"

namespace whit::cli {

namespace {

constexpr std::array kBases{
    NamedFlags{"rtn", "plain rounding; the calibration text is not read", "--method rtn", ""},
    NamedFlags{"fast", "GPTQ's equations", "--method gptq --quality fast", ""},
    NamedFlags{"default", "what quantize does unless told otherwise",
               "--method gptq --quality default", ""},
    NamedFlags{"best", "everything", "--method gptq --quality best", ""},
};

constexpr std::array kParts{
    NamedFlags{"signed", "scales of either sign", "--signed-scales", "--no-signed-scales"},
    NamedFlags{"weighted", "scale search weighted by the Hessian's diagonal", "--weighted-scales",
               "--no-weighted-scales"},
    NamedFlags{"refit", "scales by least squares after the sweep", "--refit-scales",
               "--no-refit-scales"},
    NamedFlags{"descent", "coordinate descent over the codes", "--descent-passes 3",
               "--descent-passes 0"},
    NamedFlags{"teacher", "aims at the original model's activations",
               "--teacher-share 1 --no-correct-residual", "--teacher-share 0"},
    NamedFlags{"residual", "teacher, and output projections correct the residual stream",
               "--teacher-share 1 --correct-residual", "--no-correct-residual"},
    NamedFlags{"eighth", "the original model sees an eighth of the sequences",
               "--teacher-part 0.125 --teacher-share 0.75", "--teacher-part 1 --teacher-share 1"},
    NamedFlags{"metric", "attention's errors weighed by what its output makes of them",
               "--output-metric", "--no-output-metric"},
    NamedFlags{"unquantized", "routers and the head aim at the original's output too",
               "--correct-unquantized", "--no-correct-unquantized"},
    NamedFlags{"embedding", "token embeddings aim at the original's first layer",
               "--correct-embedding", "--no-correct-embedding"},
    NamedFlags{"route", "experts' sums weighted by the router", "--route-weights",
               "--no-route-weights"},
    NamedFlags{"lean", "experts lean on their layer", "--lean-on-layer", "--no-lean-on-layer"},
    NamedFlags{"heldout", "damping, shrinkage and share chosen by held-out tokens", "--held-out",
               "--no-held-out"},
    NamedFlags{"mse", "scales that lose least, not the largest value's", "--quantization-scale mse",
               "--quantization-scale absmax"},
    NamedFlags{"order", "columns by activation", "--quantization-order activation",
               "--quantization-order default"},
};

const NamedFlags* find(std::span<const NamedFlags> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const auto& entry) { return entry.name == name; });
  return found == table.end() ? nullptr : &*found;
}

[[noreturn]] void refuse(const std::string& row, const std::string& word, bool base_allowed) {
  std::vector<std::string> known;
  if (base_allowed)
    for (const auto& entry : kBases) known.emplace_back(entry.name);
  for (const auto& entry : kParts) known.emplace_back(entry.name);
  base::Error error(base::ErrorKind::kUsage, "--rows",
                    fmt::format("{}: '{}' is no {}; expected one of {}", row, word,
                                base_allowed ? "row" : "part", fmt::join(known, ", ")));
  if (const auto guess = base::nearest(word, known); !guess.empty())
    error.suggest(fmt::format("did you mean {}?", guess));
  throw error;
}

void add_words(std::string_view flags, QualityRow& row) {
  std::istringstream words{std::string(flags)};
  for (std::string word; words >> word;) row.flags.push_back(word);
}

}  // namespace

std::span<const NamedFlags> quality_bases() {
  return kBases;
}

std::span<const NamedFlags> quality_parts() {
  return kParts;
}

QualityRow quality_row(const std::string& name) {
  QualityRow row{name, {}, {}};
  const auto end_of = [&](std::size_t from) {
    return std::min(name.find_first_of("+-", from), name.size());
  };
  std::size_t at = 0, end = end_of(0);
  const auto first = name.substr(0, end);
  if (const auto* base = find(kBases, first)) {
    row.does = base->does;
    add_words(base->flags, row);
    at = end;
  } else {
    if (find(kParts, first) == nullptr) refuse(name, first, true);
    add_words(find(kBases, kBaselineRow)->flags, row);
  }
  while (at < name.size()) {
    const bool without = name[at] == '-';
    if (name[at] == '+' || name[at] == '-') ++at;
    end = end_of(at);
    const auto word = name.substr(at, end - at);
    const auto* part = find(kParts, word);
    if (part == nullptr) refuse(name, word, false);
    add_words(without ? part->without : part->flags, row);
    row.does +=
        fmt::format("{}{}{}", row.does.empty() ? "" : "; ", without ? "without: " : "", part->does);
    at = end;
  }
  return row;
}

std::string quality_rows_help() {
  std::string text = "rows begin with one of\n";
  for (const auto& entry : kBases)
    text += fmt::format("  {:<10} {}\n{:13}{}\n", entry.name, entry.does, "", entry.flags);
  text += fmt::format("or with a part, which is then added to {}:\n", kBaselineRow);
  for (const auto& entry : kParts)
    text += fmt::format("  {:<10} {}\n{:13}{}\n", entry.name, entry.does, "", entry.flags);
  return text + "and go on with +PART or -PART: weighted+refit, best-descent\n";
}

}  // namespace whit::cli
