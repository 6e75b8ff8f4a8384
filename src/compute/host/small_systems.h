#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"

namespace whit::compute::host {

// Number of systems of Solve::solve_small; kBug where the sizes do not fit together.
inline std::int64_t checked_systems(std::int64_t size, std::span<const double> a,
                                    std::span<const double> b) {
  base::check(size > 0 && b.size() % static_cast<std::size_t>(size) == 0 &&
                  a.size() == b.size() * static_cast<std::size_t>(size),
              "solve_small: sizes");
  return static_cast<std::int64_t>(b.size()) / size;
}

}  // namespace whit::compute::host
