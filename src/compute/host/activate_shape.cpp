#include "compute/host/activate_shape.h"

#include "base/error.h"

namespace whit::compute::host {

void check_activate(ConstMatrixView x, ConstMatrixView times, ConstMatrixView out) {
  base::check(x.rows == out.rows && x.cols == out.cols, "activate: extents");
  base::check(times.data == nullptr || (times.rows == out.rows && times.cols == out.cols),
              "activate: extents of the factor");
}

}  // namespace whit::compute::host
