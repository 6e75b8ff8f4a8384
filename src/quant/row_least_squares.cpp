#include "quant/row_least_squares.h"

#include <numeric>
#include <utility>
#include <vector>

#include "base/random.h"

namespace whit::quant {

using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;

namespace {

constexpr std::uint64_t kSigns = 0x5157;  // seed of the probe

// Rows of the systems, and what is done to all of them at once.
class Rows {
 public:
  Rows(compute::Backend& backend, std::int64_t rows, std::int64_t cols)
      : backend_(backend), rows_(rows), cols_(cols), each_(static_cast<std::size_t>(rows)) {
    std::iota(each_.begin(), each_.end(), 0);
  }

  Tensor zeros() const { return backend_.memory().allocate({rows_, cols_}, Dtype::kF32); }
  std::vector<double> dots(ConstMatrixView a, ConstMatrixView b) const {
    return backend_.linalg().row_dots(a, b, cols_);
  }
  // to_n += factor_n x_n.
  void add(ConstMatrixView x, const std::vector<float>& factors, MatrixView to) const {
    backend_.neural().scatter_add_rows(x, each_, factors, to);
  }

  Tensor random_signs() const {
    Tensor signs({rows_, cols_}, Dtype::kF32);
    base::Random random(kSigns);
    for (std::int64_t i = 0; i < signs.elements(); ++i)
      signs.as<float>()[i] = (random.next() & 1) != 0 ? 1.0F : -1.0F;
    return backend_.memory().upload(signs.view());
  }

 private:
  compute::Backend& backend_;
  std::int64_t rows_, cols_;
  std::vector<std::int32_t> each_;
};

std::vector<float> quotients(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<float> result;
  for (std::size_t n = 0; n < a.size(); ++n)
    result.push_back(b[n] > 0 ? static_cast<float>(a[n] / b[n]) : 0.0F);
  return result;
}

std::vector<float> dampings(const Rows& rows, const RowMaps& maps, ConstMatrixView b,
                            double rel_damp) {
  const Tensor signs = rows.random_signs();
  Tensor moved = rows.zeros();
  maps.forward(signs.matrix(), moved.matrix());
  std::vector<float> result;
  for (const double square : rows.dots(moved.matrix(), moved.matrix()))
    result.push_back(static_cast<float>(rel_damp * square / static_cast<double>(b.cols)));
  return result;
}

}  // namespace

Tensor row_least_squares(compute::Backend& backend, const RowMaps& maps, ConstMatrixView b,
                         const RowLeastSquaresArgs& args) {
  const Rows rows(backend, b.rows, b.cols);
  Tensor x = rows.zeros();
  if (b.rows == 0) return x;
  const std::vector<float> damping = dampings(rows, maps, b, args.rel_damp);
  Tensor left = rows.zeros();  // Jᵀ b - (Jᵀ J + damping) x
  maps.back(b, left.matrix());
  Tensor way = rows.zeros();
  backend.memory().copy(left.matrix(), way.matrix());
  Tensor moved = rows.zeros();
  Tensor turned = rows.zeros();  // (Jᵀ J + damping) way
  std::vector<double> squares = rows.dots(left.matrix(), left.matrix());
  for (int step = 0; step < args.steps; ++step) {
    maps.forward(way.matrix(), moved.matrix());
    maps.back(moved.matrix(), turned.matrix());
    rows.add(way.matrix(), damping, turned.matrix());
    const std::vector<float> far = quotients(squares, rows.dots(way.matrix(), turned.matrix()));
    rows.add(way.matrix(), far, x.matrix());
    std::vector<float> back = far;
    for (float& factor : back) factor = -factor;
    rows.add(turned.matrix(), back, left.matrix());
    std::vector<double> next = rows.dots(left.matrix(), left.matrix());
    const std::vector<float> kept = quotients(next, squares);
    backend.memory().copy(left.matrix(), moved.matrix());
    rows.add(way.matrix(), kept, moved.matrix());
    std::swap(way, moved);
    squares = std::move(next);
  }
  return x;
}

}  // namespace whit::quant
