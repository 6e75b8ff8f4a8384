#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "compute/host/element.h"
#include "compute/reference/parts.h"

namespace whit::compute::reference {

namespace {

using base::check;
using host::element;

// The larger of |value| and what is there; a NaN stays.
void raise(float value, float& most) {
  if (std::isnan(most)) return;
  if (std::isnan(value) || std::abs(value) > most) most = std::abs(value);
}

class ReferenceLinalg final : public Linalg {
 public:
  void gemm(float alpha, ConstMatrixView a, Transpose ta, ConstMatrixView b, Transpose tb,
            float beta, MatrixView c) override {
    const bool at = ta == Transpose::kYes;
    const bool bt = tb == Transpose::kYes;
    const std::int64_t depth = at ? a.rows : a.cols;
    check((at ? a.cols : a.rows) == c.rows && (bt ? b.rows : b.cols) == c.cols &&
              (bt ? b.cols : b.rows) == depth,
          "gemm: extents");
    for (std::int64_t i = 0; i < c.rows; ++i) {
      for (std::int64_t j = 0; j < c.cols; ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < depth; ++k)
          sum += static_cast<double>(at ? element(a, k, i) : element(a, i, k)) *
                 static_cast<double>(bt ? element(b, j, k) : element(b, k, j));
        float& out = c.row<float>(i)[j];
        const double old = beta == 0 ? 0.0 : static_cast<double>(beta) * static_cast<double>(out);
        out = static_cast<float>(static_cast<double>(alpha) * sum + old);
      }
    }
  }

  void linear(ConstMatrixView x, ConstMatrixView w, const float* bias, MatrixView y) override {
    check(x.rows == y.rows && w.rows == y.cols && x.cols == w.cols, "linear: extents");
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t n = 0; n < w.rows; ++n) {
        double sum = bias == nullptr ? 0.0 : static_cast<double>(bias[n]);
        for (std::int64_t k = 0; k < x.cols; ++k)
          sum += static_cast<double>(element(x, t, k)) * static_cast<double>(element(w, n, k));
        y.row<float>(t)[n] = static_cast<float>(sum);
      }
    }
  }

  void gram(ConstMatrixView x, std::span<const float> row_weights, MatrixView g) override {
    check(g.rows == x.cols && g.cols == x.cols, "gram: extents");
    check(row_weights.empty() || static_cast<std::int64_t>(row_weights.size()) == x.rows,
          "gram: one weight a row");
    for (std::int64_t i = 0; i < x.cols; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        double sum = 0;
        for (std::int64_t t = 0; t < x.rows; ++t) {
          const double weight = row_weights.empty()
                                    ? 1.0
                                    : static_cast<double>(row_weights[static_cast<std::size_t>(t)]);
          sum += weight * static_cast<double>(element(x, t, i)) *
                 static_cast<double>(element(x, t, j));
        }
        const float out = static_cast<float>(static_cast<double>(g.row<float>(i)[j]) + sum);
        g.row<float>(i)[j] = out;
        g.row<float>(j)[i] = out;
      }
    }
  }

  void permute(ConstMatrixView in, std::span<const std::int32_t> rows,
               std::span<const std::int32_t> cols, MatrixView out) override {
    check(in.dtype == out.dtype &&
              (in.dtype == tensor::Dtype::kF32 || in.dtype == tensor::Dtype::kI8),
          "permute: dtype");
    check(out.rows == (rows.empty() ? in.rows : static_cast<std::int64_t>(rows.size())) &&
              out.cols == (cols.empty() ? in.cols : static_cast<std::int64_t>(cols.size())),
          "permute: extents");
    for (std::int64_t i = 0; i < out.rows; ++i) {
      const std::int64_t r = rows.empty() ? i : rows[static_cast<std::size_t>(i)];
      check(r >= 0 && r < in.rows, "permute: row index");
      for (std::int64_t j = 0; j < out.cols; ++j) {
        const std::int64_t c = cols.empty() ? j : cols[static_cast<std::size_t>(j)];
        check(c >= 0 && c < in.cols, "permute: column index");
        if (in.dtype == tensor::Dtype::kI8)
          out.row<std::int8_t>(i)[j] = in.row<std::int8_t>(r)[c];
        else
          out.row<float>(i)[j] = in.row<float>(r)[c];
      }
    }
  }

  std::vector<double> diagonal(ConstMatrixView square) override {
    check(square.rows == square.cols, "diagonal: square");
    std::vector<double> out(static_cast<std::size_t>(square.rows));
    for (std::int64_t i = 0; i < square.rows; ++i)
      out[static_cast<std::size_t>(i)] = static_cast<double>(square.row<float>(i)[i]);
    return out;
  }

  void add_to_diagonal(MatrixView a, std::span<const double> values) override {
    check(a.rows == a.cols && static_cast<std::int64_t>(values.size()) == a.rows,
          "add_to_diagonal: extents");
    for (std::int64_t i = 0; i < a.rows; ++i) {
      float& out = a.row<float>(i)[i];
      out = static_cast<float>(static_cast<double>(out) + values[static_cast<std::size_t>(i)]);
    }
  }

  void scale_add(float alpha, MatrixView a, float beta, ConstMatrixView b) override {
    check(a.rows == b.rows && a.cols == b.cols, "scale_add: extents");
    for (std::int64_t i = 0; i < a.rows; ++i) {
      for (std::int64_t j = 0; j < a.cols; ++j) {
        float& out = a.row<float>(i)[j];
        out =
            static_cast<float>(static_cast<double>(alpha) * static_cast<double>(out) +
                               static_cast<double>(beta) * static_cast<double>(b.row<float>(i)[j]));
      }
    }
  }

  std::vector<double> quadratic_form(ConstMatrixView d, ConstMatrixView h) override {
    check(h.rows == h.cols && d.cols == h.rows, "quadratic_form: extents");
    std::vector<double> out(static_cast<std::size_t>(d.rows), 0.0);
    for (std::int64_t n = 0; n < d.rows; ++n) {
      const float* row = d.row<float>(n);
      for (std::int64_t i = 0; i < h.rows; ++i) {
        double sum = 0;
        for (std::int64_t j = 0; j < h.cols; ++j)
          sum += static_cast<double>(h.row<float>(i)[j]) * static_cast<double>(row[j]);
        out[static_cast<std::size_t>(n)] += static_cast<double>(row[i]) * sum;
      }
    }
    return out;
  }

  std::vector<double> row_dots(ConstMatrixView a, ConstMatrixView b, std::int64_t width) override {
    check(a.rows == b.rows && a.cols == b.cols && width > 0, "row_dots: extents");
    const std::int64_t pieces = base::ceil_div(a.cols, width);
    std::vector<double> out(static_cast<std::size_t>(a.rows * pieces), 0.0);
    for (std::int64_t n = 0; n < a.rows; ++n)
      for (std::int64_t k = 0; k < a.cols; ++k)
        out[static_cast<std::size_t>(n * pieces + k / width)] +=
            static_cast<double>(a.row<float>(n)[k]) * static_cast<double>(b.row<float>(n)[k]);
    return out;
  }

  void column_max_abs(ConstMatrixView x, MatrixView most) override {
    check(most.rows == 1 && most.cols == x.cols, "column_max_abs: extents");
    for (std::int64_t i = 0; i < x.rows; ++i)
      for (std::int64_t j = 0; j < x.cols; ++j) raise(element(x, i, j), most.row<float>(0)[j]);
  }

  void row_max_abs(ConstMatrixView x, MatrixView most) override {
    check(most.rows == 1 && most.cols == x.rows, "row_max_abs: extents");
    for (std::int64_t i = 0; i < x.rows; ++i)
      for (std::int64_t j = 0; j < x.cols; ++j) raise(element(x, i, j), most.row<float>(0)[i]);
  }
};

}  // namespace

std::unique_ptr<Linalg> make_linalg() {
  return std::make_unique<ReferenceLinalg>();
}

}  // namespace whit::compute::reference
