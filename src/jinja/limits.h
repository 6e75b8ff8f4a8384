#pragma once

#include <cstddef>
#include <cstdint>

namespace whit::jinja {

// What one template may cost. Each limit has an error of its own, which names the template's line.
struct Limits {
  std::size_t template_bytes = 4'000'000;
  int nesting = 150;                       // expressions and blocks within each other
  std::uint64_t steps = 100'000'000;       // nodes evaluated, items visited, 64 bytes of text
  int depth = 3'000;                       // evaluations within each other
  int calls = 200;                         // macros and recursive loops within each other
  std::size_t value_bytes = 64'000'000;    // one text, or 16 bytes an item of one list
  std::size_t memory_bytes = 512'000'000;  // all values alive at once
  std::size_t output_bytes = 128'000'000;  // one rendering
  std::size_t range_items = 100'000;       // of range(), as jinja2's sandbox has it
  int value_depth = 200;                   // lists within lists
};

}  // namespace whit::jinja
