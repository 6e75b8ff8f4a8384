#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace whit::formats {

// Where a pattern may match: from a name's start, not to its end (re.match), or anywhere
// (re.search).
enum class PatternPlace : std::uint8_t { kStart, kAnywhere };

// A Python `re` pattern. Errors: `kind` (subject: the pattern) where it does not compile or takes
// too long on a name.
class NamePattern {
 public:
  NamePattern(const std::string& pattern, base::ErrorKind kind,
              PatternPlace place = PatternPlace::kStart);
  bool matches(std::string_view name) const;

 private:
  std::string pattern_;
  base::ErrorKind kind_;
  std::shared_ptr<void> compiled_;
};

// compressed-tensors' matching: an exact name, "re:PATTERN" matched from the start of the name, or
// the class of the module. Errors: `kind` for a pattern that does not compile.
class NameMatcher {
 public:
  explicit NameMatcher(const std::vector<std::string>& patterns,
                       base::ErrorKind kind = base::ErrorKind::kUsage);
  bool matches(std::string_view module, std::string_view class_name = "Linear") const;

 private:
  std::vector<std::string> exact_;
  std::vector<NamePattern> patterns_;
};

}  // namespace whit::formats
