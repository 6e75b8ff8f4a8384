#include <algorithm>
#include <utility>

#include "quant/coded_columns.h"

namespace whit::quant {

namespace {

using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::Tensor;

constexpr double kEnough = 1e-8;  // of the first gradient's size, squared

// One value for every entry of the codebooks: centroids, residuals, outliers' centroids.
using BookValues = std::vector<double>;

std::int64_t entries_of(const Tensor& book) {
  return book.empty() ? 0 : book.elements();
}

class BookSpace {
 public:
  explicit BookSpace(scheme::VectorCodes& codes) : codes_(codes) {}

  std::size_t size() const {
    return static_cast<std::size_t>(entries_of(codes_.centroids) + entries_of(codes_.residuals) +
                                    entries_of(codes_.outlier_centroids));
  }

  void add(const BookValues& step, double factor) {
    visit([&](float& entry, std::size_t i) {
      entry = static_cast<float>(static_cast<double>(entry) + factor * step[i]);
    });
  }

  // Q with `values` for codebooks.
  Tensor decode(const BookValues& values) {
    swap();
    visit([&](float& entry, std::size_t i) { entry = static_cast<float>(values[i]); });
    Tensor q = scheme::decode_vectors(codes_);
    swap();
    return q;
  }

  // The transpose of `decode`: for every entry the sum of column_factors[j] m[n, j] where it
  // stands; without m, of the factors alone.
  BookValues gather(const Tensor* m, const std::vector<float>& column_factors) const {
    BookValues sums(size(), 0.0);
    const scheme::VectorLayout& layout = codes_.layout;
    const std::int64_t cols = codes_.cols();
    const std::int64_t plain = cols - layout.outliers;
    const std::int64_t group_size = layout.group_size(cols);
    double* residuals = sums.data() + entries_of(codes_.centroids);
    double* outliers = residuals + entries_of(codes_.residuals);
    for (std::int64_t n = 0; n < codes_.rows(); ++n) {
      const float* row = m == nullptr ? nullptr : m->as<float>() + n * cols;
      const auto value = [&](std::int64_t j) {
        const double factor = static_cast<double>(column_factors[static_cast<std::size_t>(j)]);
        return row == nullptr ? factor : factor * static_cast<double>(row[j]);
      };
      const std::int64_t chunk = n / layout.length * plain;
      const std::int64_t t = n % layout.length;
      for (std::int64_t j = 0; j < plain; ++j) {
        const std::int64_t group = j / group_size;
        const double x = value(layout.outliers + j);
        const std::int64_t c =
            group * layout.centroids + codes_.indices.as<std::int32_t>()[chunk + j];
        sums[static_cast<std::size_t>(c * layout.length + t)] += x;
        if (layout.residuals == 0) continue;
        const std::int64_t r =
            group * layout.residuals + codes_.residual_indices.as<std::int32_t>()[chunk + j];
        residuals[r * layout.length + t] += x;
      }
      for (std::int64_t j = 0; j < layout.outliers; ++j) {
        const std::int64_t c =
            codes_.outlier_indices
                .as<std::int32_t>()[n / layout.outlier_length * layout.outliers + j];
        outliers[c * layout.outlier_length + n % layout.outlier_length] += value(j);
      }
    }
    return sums;
  }

 private:
  template <typename Visit>
  void visit(const Visit& each) {
    std::size_t i = 0;
    for (Tensor* book : {&codes_.centroids, &codes_.residuals, &codes_.outlier_centroids})
      for (std::int64_t e = 0; e < entries_of(*book); ++e) each(book->as<float>()[e], i++);
  }

  // The codebooks against spare ones of their shapes.
  void swap() {
    const auto exchange = [](Tensor& book, Tensor& spare) {
      if (book.empty()) return;
      if (spare.empty()) spare = Tensor(book.shape(), Dtype::kF32);
      std::swap(book, spare);
    };
    exchange(codes_.centroids, spare_[0]);
    exchange(codes_.residuals, spare_[1]);
    exchange(codes_.outlier_centroids, spare_[2]);
  }

  scheme::VectorCodes& codes_;
  Tensor spare_[3];
};

double dot_of(const BookValues& a, const BookValues& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

void refit_books(compute::Backend& backend, ConstMatrixView error, ConstMatrixView h,
                 const std::vector<float>& diagonal, int steps, scheme::VectorCodes& codes) {
  BookSpace space(codes);
  Tensor product = backend.memory().allocate({error.rows, error.cols}, Dtype::kF32);
  // What H makes of x, gathered; the columns of h miss their diagonal entry as a factor.
  const auto through = [&](ConstMatrixView x) {
    backend.linalg().gemm(1.0F, x, compute::Transpose::kNo, h, compute::Transpose::kNo, 0.0F,
                          product.matrix());
    const Tensor host = backend.memory().download(product.view());
    return space.gather(&host, diagonal);
  };
  const BookValues weight = space.gather(nullptr, diagonal);
  const auto preconditioned = [&](const BookValues& r) {
    BookValues z(r.size(), 0.0);
    for (std::size_t i = 0; i < r.size(); ++i)
      if (weight[i] > 0) z[i] = r[i] / weight[i];
    return z;
  };
  BookValues rest = through(error);
  BookValues z = preconditioned(rest);
  BookValues direction = z;
  double size = dot_of(rest, z);
  const double first = size;
  for (int step = 0; step < steps && size > kEnough * first; ++step) {
    const Tensor q = backend.memory().upload(space.decode(direction).view());
    const BookValues curved = through(q.matrix());
    const double curvature = dot_of(direction, curved);
    if (!(curvature > 0)) return;
    const double length = size / curvature;
    space.add(direction, length);
    for (std::size_t i = 0; i < rest.size(); ++i) rest[i] -= length * curved[i];
    z = preconditioned(rest);
    const double next = dot_of(rest, z);
    for (std::size_t i = 0; i < direction.size(); ++i)
      direction[i] = z[i] + next / size * direction[i];
    size = next;
  }
}

}  // namespace whit::quant
