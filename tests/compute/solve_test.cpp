#include "compute/support.h"

namespace whit::compute::testing {
namespace {

class SolveContract : public Contract {};
WHIT_ON_EVERY_BACKEND(SolveContract);

// The rows of m times v, in double.
std::vector<double> times(const Tensor& m, const std::vector<double>& v, bool transposed) {
  const std::int64_t size = m.shape()[0];
  std::vector<double> out(v.size(), 0.0);
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = 0; j < size; ++j)
      out[static_cast<std::size_t>(transposed ? j : i)] +=
          static_cast<double>(m.as<float>()[i * size + j]) *
          v[static_cast<std::size_t>(transposed ? i : j)];
  return out;
}

void expect_factor_of(const Tensor& h, const Tensor& u, const std::vector<double>& d) {
  const std::int64_t size = h.shape()[0];
  double trace = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    trace += static_cast<double>(h.as<float>()[i * size + i]);
    ASSERT_EQ(u.as<float>()[i * size + i], 1.0F);
    for (std::int64_t j = 0; j < i; ++j) ASSERT_EQ(u.as<float>()[i * size + j], 0.0F);
  }
  // U D Uᵀ v against H v. The backward error of a Cholesky factorization, element by element, is a
  // small multiple of size * eps * the mean of the diagonal; signs are random in a sum of `size`.
  const double allowed = 4.0 * static_cast<double>(size + 1) * kEps * trace /
                         static_cast<double>(size) * std::sqrt(static_cast<double>(size));
  std::mt19937 generator(3);
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<double> v(static_cast<std::size_t>(size));
    for (double& x : v) x = (generator() & 1U) != 0 ? 1.0 : -1.0;
    std::vector<double> inner = times(u, v, true);
    for (std::size_t i = 0; i < inner.size(); ++i) inner[i] *= d[i];
    const std::vector<double> actual = times(u, inner, false);
    const std::vector<double> expected = times(h, v, false);
    for (std::size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], allowed);
  }
}

TEST_P(SolveContract, FactorsOfEverySizeMultiplyBack) {
  for (const std::int64_t size : {1, 2, 7, 32, 64, 65, 130, 257}) {
    SCOPED_TRACE(size);
    const Tensor h = random_spd(size, static_cast<unsigned>(size));
    Tensor u = clone(h);
    const auto d = backend->solve().factor_udu(u.matrix());
    ASSERT_TRUE(d.has_value());
    expect_factor_of(h, u, *d);
  }
}

TEST(CpuSolve, FactorsInWideBlocks) {
  // Beyond the sizes at which blocks and tiles change.
  for (const std::int64_t size : {600, 1601}) {
    SCOPED_TRACE(size);
    const Tensor h = random_spd(size, static_cast<unsigned>(size));
    Tensor u = clone(h);
    const auto d = make_cpu_backend(2)->solve().factor_udu(u.matrix());
    ASSERT_TRUE(d.has_value());
    expect_factor_of(h, u, *d);
  }
}

TEST_P(SolveContract, AgreesWithTheOracle) {
  const Tensor h = random_spd(200, 16);
  Tensor u = clone(h);
  Tensor expected = clone(h);
  const auto d = backend->solve().factor_udu(u.matrix());
  const auto d_expected = oracle->solve().factor_udu(expected.matrix());
  ASSERT_TRUE(d && d_expected);
  for (std::size_t i = 0; i < d->size(); ++i)
    EXPECT_NEAR((*d)[i] / (*d_expected)[i], 1.0, 200 * 4 * kEps);
  for (std::int64_t i = 0; i < u.elements(); ++i)
    ASSERT_NEAR(u.as<float>()[i], expected.as<float>()[i], 200 * 4 * kEps);
}

TEST_P(SolveContract, WorkedExample) {
  // [[5,2],[2,2]] = U D Uᵀ with U = [[1,1],[0,1]], D = diag(3,2).
  Tensor h = tensor::make_f32({2, 2}, std::vector<float>{5, 2, 2, 2});
  const auto d = backend->solve().factor_udu(h.matrix());
  ASSERT_TRUE(d.has_value());
  EXPECT_NEAR((*d)[0], 3.0, 1e-6);
  EXPECT_NEAR((*d)[1], 2.0, 1e-6);
  EXPECT_EQ(tensor::to_f32_vector(h.view()), (std::vector<float>{1, 1, 0, 1}));
}

TEST_P(SolveContract, RefusesWhatIsNotPositiveDefinite) {
  for (const std::int64_t at : {0, 5, 149}) {
    Tensor h = random_spd(150, 17);
    h.as<float>()[at * 150 + at] = -1.0F;
    EXPECT_FALSE(backend->solve().factor_udu(h.matrix()).has_value());
  }
  Tensor zero({3, 3}, Dtype::kF32);
  EXPECT_FALSE(backend->solve().factor_udu(zero.matrix()).has_value());
  Tensor nan = random_spd(40, 18);
  nan.as<float>()[3 * 40 + 3] = std::nanf("");
  EXPECT_FALSE(backend->solve().factor_udu(nan.matrix()).has_value());
}

TEST_P(SolveContract, SolvedRowsMultiplyBack) {
  for (const auto& [rows, size] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                   {3, 2},
                                   {0, 5},
                                   {1, 130},
                                   {70, 129},
                                   {600, 67},
                                   {5, 513}}) {
    SCOPED_TRACE(::testing::Message() << rows << "x" << size);
    Tensor u = random_spd(size, 19);
    const auto d = oracle->solve().factor_udu(u.matrix());
    ASSERT_TRUE(d.has_value());
    // A row of a wider matrix: nothing outside may change.
    Tensor wide = random_f32({rows + 1, size + 3}, 20);
    const Tensor before = clone(wide);
    backend->solve().solve_udu(u.matrix(), *d, wide.matrix().sub(0, rows, 2, size));
    for (std::int64_t n = 0; n <= rows; ++n) {
      for (std::int64_t k = 0; k < size + 3; ++k) {
        if (n < rows && k >= 2 && k < size + 2) continue;
        ASSERT_EQ(wide.as<float>()[n * (size + 3) + k], before.as<float>()[n * (size + 3) + k]);
      }
    }
    // Each residual stays within the backward error of two triangular solves.
    const auto uij = [&, size = size](std::int64_t i, std::int64_t j) {
      return static_cast<double>(u.as<float>()[i * size + j]);
    };
    for (std::int64_t n = 0; n < rows; n += 1 + rows / 8) {
      const float* x = wide.as<float>() + n * (size + 3) + 2;
      std::vector<double> turned(static_cast<std::size_t>(size)), bound(turned);
      for (std::int64_t k = 0; k < size; ++k) {
        const auto at = static_cast<std::size_t>(k);
        for (std::int64_t j = 0; j <= k; ++j) {
          turned[at] += static_cast<double>(x[j]) * uij(j, k) * (*d)[at];
          bound[at] += std::abs(static_cast<double>(x[j]) * uij(j, k)) * (*d)[at];
        }
      }
      for (std::int64_t k = 0; k < size; ++k) {
        double back = 0, allowed = 0;
        for (std::int64_t j = k; j < size; ++j) {
          back += turned[static_cast<std::size_t>(j)] * uij(k, j);
          allowed += bound[static_cast<std::size_t>(j)] * std::abs(uij(k, j));
        }
        ASSERT_NEAR(back, static_cast<double>(before.as<float>()[n * (size + 3) + 2 + k]),
                    (2.0 * static_cast<double>(size) + 4) * kEps * allowed);
      }
    }
  }
}

TEST_P(SolveContract, SolvesTheWorkedExample) {
  // [[5,2],[2,2]]⁻¹ = [[1/3,-1/3],[-1/3,5/6]].
  const Tensor u = tensor::make_f32({2, 2}, std::vector<float>{1, 1, 0, 1});
  Tensor b = tensor::make_f32({2, 2}, std::vector<float>{1, 0, 6, 12});
  backend->solve().solve_udu(u.matrix(), std::vector<double>{3, 2}, b.matrix());
  const std::vector<float> expected{1.0F / 3, -1.0F / 3, -2, 8};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(b.as<float>()[i], expected[i], 1e-6);
}

TEST_P(SolveContract, SolvesManySmallSystems) {
  for (const std::int64_t size : {1, 2, 5, 40}) {
    const std::int64_t count = 33;
    std::vector<double> a, b, x;
    for (std::int64_t i = 0; i < count; ++i) {
      const Tensor m = random_spd(size, static_cast<unsigned>(i));
      const Tensor right = random_f32({size}, static_cast<unsigned>(100 + i));
      for (std::int64_t j = 0; j < size * size; ++j)
        a.push_back(static_cast<double>(m.as<float>()[j]));
      for (std::int64_t j = 0; j < size; ++j)
        b.push_back(static_cast<double>(right.as<float>()[j]));
    }
    // Not positive definite: no solution. Above the diagonal nothing is read.
    a[static_cast<std::size_t>(7 * size * size)] = -1;
    if (size > 1) a[1] = std::nan("");
    x = b;
    backend->solve().solve_small(size, a, x);
    if (size > 1) a[1] = a[static_cast<std::size_t>(size)];
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t r = 0; r < size; ++r) {
        double product = 0;
        for (std::int64_t c = 0; c < size; ++c)
          product += a[static_cast<std::size_t>((i * size + r) * size + c)] *
                     x[static_cast<std::size_t>(i * size + c)];
        EXPECT_NEAR(product, i == 7 ? 0.0 : b[static_cast<std::size_t>(i * size + r)], 1e-9);
      }
    }
  }
}

}  // namespace
}  // namespace whit::compute::testing
