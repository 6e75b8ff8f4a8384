#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace whit::cli {

// A name for flags of `whit quantize`.
struct NamedFlags {
  std::string_view name;
  std::string_view does;     // a line for people
  std::string_view flags;    // "--quality best"
  std::string_view without;  // what undoes them: "--descent-passes 0"; a base has none
};

// What a row of the ablation table may begin with, and the parts that may be added or taken away.
std::span<const NamedFlags> quality_bases();
std::span<const NamedFlags> quality_parts();

// The base of rows that name none; every row's loss is told relative to it, too.
inline constexpr std::string_view kBaselineRow = "fast";

// A row as it was asked for: "best", "teacher" (the baseline and this part), "weighted+refit",
// "best-descent".
struct QualityRow {
  std::string name, does;
  std::vector<std::string> flags;  // words of `whit quantize`
};

// Errors: kUsage, subject = --rows, for unknown or repeated names; suggests the nearest one.
QualityRow quality_row(const std::string& name);

// The table of names, as help shows it.
std::string quality_rows_help();

}  // namespace whit::cli
