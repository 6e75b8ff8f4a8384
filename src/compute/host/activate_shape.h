#pragma once

#include "base/error.h"
#include "compute/backend.h"

namespace whit::compute::host {

// Throws kBug where the matrices of Neural::activate differ in extents.
inline void check_activate(ConstMatrixView x, ConstMatrixView times, ConstMatrixView out) {
  base::check(x.rows == out.rows && x.cols == out.cols, "activate: extents");
  base::check(times.data == nullptr || (times.rows == out.rows && times.cols == out.cols),
              "activate: extents of the factor");
}

}  // namespace whit::compute::host
