#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace whit::cli {

template <typename T>
struct Word {
  std::string_view name;
  T value;
};

// The value of a word; kUsage where it is none of `words`.
template <typename T, std::size_t N>
T choose(const std::string& word, const char* flag, const Word<T> (&words)[N]) {
  std::string known;
  for (const auto& candidate : words) {
    if (candidate.name == word) return candidate.value;
    known += (known.empty() ? "" : ", ") + std::string(candidate.name);
  }
  base::fail(base::ErrorKind::kUsage, flag, "{}; expected one of {}", word, known);
}

}  // namespace whit::cli
