#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace whit::report {

inline constexpr double kGiga = 1e9;
inline constexpr double kSearchTrials = 100;  // scales tried a group by grid searches

// One measured piece of work beside what the machine allows.
struct BenchRow {
  std::string name;    // "gram 2048x7168"
  double work = 0;     // in `unit`
  std::string unit;    // "GFLOP", "GB", "tokens"
  double seconds = 0;  // measured
  // At the machine's own measured limit (BLAS peak, memory bandwidth); NaN: no limit is known.
  double floor_seconds = std::numeric_limits<double>::quiet_NaN();
  std::string note;
};

// What `whit bench WHAT` prints.
struct BenchTable {
  std::string title;
  std::string machine;  // backend, threads, measured limit
  std::vector<BenchRow> rows;
};

// Columns: work, floor, measured, rate, share of the limit.
std::string to_text(const BenchTable& table);
// {"title", "machine", "rows": [{"name", "work", "unit", "seconds", "floor_seconds", "share",
// ...}]}
nlohmann::ordered_json to_json(const BenchTable& table);

}  // namespace whit::report
