#pragma once

#include <functional>
#include <unordered_map>

#include "data/rows.h"

namespace whit::data {

// Rows by number. Of a source that is read from the front, the rows that will be asked for next are
// read along, within a bound of memory.
class RowWindow {
 public:
  // next_rows: the rows that will probably be asked for after `row`, soonest first.
  using NextRows = std::function<std::vector<std::uint64_t>()>;

  explicit RowWindow(const RowSource& source) : source_(source) {}

  // Errors: those of RowSource::read.
  Json read(std::uint64_t row, const NextRows& next_rows);

  static constexpr std::size_t kRows = 512;
  static constexpr std::size_t kBytes = 64U << 20;

 private:
  const RowSource& source_;
  std::unordered_map<std::uint64_t, Json> kept_;
};

}  // namespace whit::data
