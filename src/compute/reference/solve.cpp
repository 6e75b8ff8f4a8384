#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compute/host/small_systems.h"
#include "compute/reference/parts.h"

namespace whit::compute::reference {

namespace {

class ReferenceSolve final : public Solve {
 public:
  std::optional<std::vector<double>> factor_udu(MatrixView h) override {
    base::check(h.rows == h.cols, "factor_udu: square");
    const std::int64_t size = h.rows;
    std::vector<double> u(static_cast<std::size_t>(size * size), 0.0);
    std::vector<double> d(static_cast<std::size_t>(size), 0.0);
    const auto at = [&](std::int64_t i, std::int64_t j) -> double& {
      return u[static_cast<std::size_t>(i * size + j)];
    };
    for (std::int64_t k = size - 1; k >= 0; --k) {
      for (std::int64_t i = k; i >= 0; --i) {
        double rest = static_cast<double>(h.row<float>(i)[k]);
        for (std::int64_t j = k + 1; j < size; ++j)
          rest -= at(i, j) * d[static_cast<std::size_t>(j)] * at(k, j);
        if (i == k) {
          if (!(rest > 0)) return std::nullopt;
          d[static_cast<std::size_t>(k)] = rest;
          at(k, k) = 1;
        } else {
          at(i, k) = rest / d[static_cast<std::size_t>(k)];
        }
      }
    }
    for (std::int64_t i = 0; i < size; ++i)
      for (std::int64_t j = 0; j < size; ++j) h.row<float>(i)[j] = static_cast<float>(at(i, j));
    return d;
  }

  void solve_udu(ConstMatrixView u, std::span<const double> d, MatrixView b) override {
    base::check(u.rows == u.cols && b.cols == u.rows, "solve_udu: extents");
    base::check(static_cast<std::int64_t>(d.size()) == u.rows, "solve_udu: pivots");
    std::vector<double> x(d.size());
    const auto at = [&](std::int64_t i) -> double& { return x[static_cast<std::size_t>(i)]; };
    for (std::int64_t n = 0; n < b.rows; ++n) {
      for (std::int64_t k = u.rows - 1; k >= 0; --k) {
        at(k) = static_cast<double>(b.row<float>(n)[k]);
        for (std::int64_t j = k + 1; j < u.rows; ++j)
          at(k) -= at(j) * static_cast<double>(u.row<float>(k)[j]);
      }
      for (std::int64_t k = 0; k < u.rows; ++k) at(k) /= d[static_cast<std::size_t>(k)];
      for (std::int64_t k = 0; k < u.rows; ++k) {
        for (std::int64_t j = 0; j < k; ++j)
          at(k) -= at(j) * static_cast<double>(u.row<float>(j)[k]);
        b.row<float>(n)[k] = static_cast<float>(at(k));
      }
    }
  }

  void solve_small(std::int64_t size, std::span<const double> a, std::span<double> b) override {
    const std::int64_t count = host::checked_systems(size, a, b);
    for (std::int64_t i = 0; i < count; ++i)
      solve_one(size, a.data() + i * size * size, b.data() + i * size);
  }

 private:
  // a = L Lᵀ, then L y = b and Lᵀ x = y.
  static void solve_one(std::int64_t size, const double* a, double* b) {
    std::vector<double> l(static_cast<std::size_t>(size * size), 0.0);
    const auto at = [&](std::int64_t i, std::int64_t j) -> double& {
      return l[static_cast<std::size_t>(i * size + j)];
    };
    for (std::int64_t j = 0; j < size; ++j) {
      for (std::int64_t i = j; i < size; ++i) {
        double rest = a[i * size + j];
        for (std::int64_t k = 0; k < j; ++k) rest -= at(i, k) * at(j, k);
        if (i == j && !(rest > 0)) {
          std::fill_n(b, size, 0.0);
          return;
        }
        at(i, j) = i == j ? std::sqrt(rest) : rest / at(j, j);
      }
    }
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t k = 0; k < i; ++k) b[i] -= at(i, k) * b[k];
      b[i] /= at(i, i);
    }
    for (std::int64_t i = size - 1; i >= 0; --i) {
      for (std::int64_t k = i + 1; k < size; ++k) b[i] -= at(k, i) * b[k];
      b[i] /= at(i, i);
    }
  }
};

}  // namespace

std::unique_ptr<Solve> make_solve() {
  return std::make_unique<ReferenceSolve>();
}

}  // namespace whit::compute::reference
