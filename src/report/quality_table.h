#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "report/json.h"

namespace whit::report {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// "-" where `value` is not finite.
std::string finite_or_dash(double value, const char* format);

// A text that every row is scored on.
struct QualityText {
  std::string name, file;
  std::int64_t tokens = 0, windows = 0;  // scored
  double perplexity = kUnknown;          // of the original
};

// How far one row is from the original on one text.
struct QualityScore {
  double mean_kl_nats = kUnknown, mean_kl_standard_error_nats = kUnknown, p99_kl_nats = kUnknown;
  double perplexity = kUnknown, top1_agreement = kUnknown;
  // Mean KL over the baseline's of the same bits; its standard error is that of the windows' pairs,
  // so that what both rows find hard cancels.
  double relative_kl = kUnknown, relative_kl_standard_error = kUnknown;
  std::vector<double> window_kl_nats;
};

struct QualityRowResult {
  std::string name, does, flags;
  int bits = 0;
  std::optional<base::Error> error;             // why there are no scores
  double seconds = kUnknown;                    // of quantization
  double bits_per_weight = kUnknown;            // the whole checkpoint, over the model's parameters
  double bits_per_quantized_weight = kUnknown;  // codes, scales, zero points of what is quantized
  double peak_memory_bytes = kUnknown;          // of the process, while it quantized
  std::vector<std::string> warnings;
  std::vector<QualityScore> scores;  // one a text
};

struct QualityTable {
  std::string model, machine, calibration, baseline;
  std::int64_t parameters = 0;
  std::vector<QualityText> texts;
  std::vector<QualityRowResult> rows;

  bool complete() const;  // every row has its scores
};

// Fills relative_kl of every score from the baseline's row of the same bits, where that has scores.
void compare_with_baseline(QualityTable& table);

// A table for each text and number of bits.
std::string to_text(const QualityTable& table);
// {"model", "machine", "calibration", "baseline", "complete", "texts": [...], "rows": [{"name",
// "flags", "bits", "seconds", "bits_per_weight", "peak_memory_bytes", "texts": [{"text",
// "mean_kl_nats", ...}]} or {"name", ..., "error": {"exit_code", "subject", "detail"}}]}
Json to_json(const QualityTable& table);

// "12.3", "1:02:03": seconds for people. "-" where unknown.
std::string seconds_text(double seconds);

}  // namespace whit::report
