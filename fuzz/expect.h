#pragma once

#include <cstdlib>

#include "base/error.h"

// Runs `parse` on bytes from a stranger: it may refuse them as input or as unsupported, nothing
// else.
template <typename Parse>
bool accepts(Parse parse) {
  try {
    parse();
    return true;
  } catch (const whit::base::Error& error) {
    const auto kind = error.kind();
    if (kind != whit::base::ErrorKind::kInput && kind != whit::base::ErrorKind::kUnsupported)
      std::abort();
    if (error.subject().empty() || error.detail().empty()) std::abort();
    return false;
  }
}

inline void require(bool holds) {
  if (!holds) std::abort();
}
