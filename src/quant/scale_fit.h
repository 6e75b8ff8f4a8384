#pragma once

#include <cstdint>
#include <vector>

#include "compute/backend.h"

namespace whit::quant {

// The least squares of one row's group scales, for many rows. With scales s_g (1 + t_g) the row's
// error becomes L - 2 r·t + t A t, A_gh = ŵ_g H ŵ_hᵀ, r_g = ŵ_g H (w - ŵ)ᵀ, ŵ_g the row's values in
// group g and zeros elsewhere. Double precision, on the host.
class ScaleFit {
 public:
  ScaleFit(std::int64_t rows, std::int64_t groups);

  // products: [rows, g + 1], A_gh for h <= g; slopes: [rows], r_g.
  void set_group(std::int64_t g, const std::vector<double>& products,
                 const std::vector<double>& slopes);
  // A t = r for every row.
  void solve(compute::Solve& solver);
  // Moves scales (F32 [rows, groups], host) to the best storable ones that are found next to the
  // solution; a row whose error would not fall keeps its own.
  void apply(tensor::Dtype scale_dtype, tensor::MatrixView scales) const;

 private:
  std::int64_t rows_;
  std::int64_t groups_;
  std::vector<double> a_;  // [rows, groups, groups], symmetric
  std::vector<double> r_;  // [rows, groups]
  std::vector<double> t_;  // [rows, groups]
};

}  // namespace whit::quant
