#include "quant/refine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "quant/damped_gram.h"
#include "quant/scale_fit.h"

namespace whit::quant {

namespace {

using compute::Transpose;
using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;

constexpr std::int64_t kBlock = DampedGram::kBand;
constexpr std::int64_t kRefitBytes = 64 * (1 << 20);  // working memory of a refit

class Refinement {
 public:
  Refinement(compute::Backend& backend, ConstMatrixView w, const stats::Gram& gram,
             const Factor& factor, scheme::GroupedInt& weight)
      : backend_(backend),
        w_(w),
        weight_(weight),
        hessian_(backend, gram, factor),
        error_(backend.memory().allocate({w.rows, w.cols}, Dtype::kF32)) {}

  // Column by column, block by block, each code the best while the others stay.
  void descend() {
    backend_.codec().decode_grouped(weight_, error_.matrix());
    backend_.linalg().scale_add(-1.0F, error_.matrix(), 1.0F, w_);
    Tensor gradient = backend_.memory().allocate({w_.rows, std::min(kBlock, w_.cols)}, Dtype::kF32);
    for (std::int64_t b = 0; b < w_.cols; b += kBlock) {
      const std::int64_t size = std::min(kBlock, w_.cols - b);
      const ConstMatrixView band = hessian_.band(b, size);
      const MatrixView slope = gradient.matrix().sub(0, w_.rows, 0, size);
      backend_.linalg().gemm(1.0F, error_.matrix(), Transpose::kNo, band, Transpose::kYes, 0.0F,
                             slope);
      std::vector<std::int32_t> groups;
      for (std::int64_t k = b; k < b + size; ++k)
        groups.push_back(static_cast<std::int32_t>(k / weight_.group_size));
      compute::DescentArgs args;
      args.bits = weight_.bits;
      args.h = band.sub(0, size, b, size);
      args.scales = std::as_const(weight_.scales).matrix();
      args.column_group = groups;
      backend_.codec().descend_block(args, slope, weight_.codes.matrix().sub(0, w_.rows, b, size),
                                     error_.matrix().sub(0, w_.rows, b, size));
    }
  }

  // Every row's scales by least squares, as factors of what they are.
  void refit() {
    backend_.codec().decode_grouped(weight_, error_.matrix());
    const std::int64_t groups = weight_.groups();
    const auto row_bytes = static_cast<std::int64_t>(sizeof(float)) * 2 * w_.cols +
                           static_cast<std::int64_t>(sizeof(double)) * groups * (groups + 3);
    const std::int64_t some = std::clamp(kRefitBytes / row_bytes, std::int64_t{1}, w_.rows);
    Tensor value = backend_.memory().allocate({some, w_.cols}, Dtype::kF32);
    Tensor product = backend_.memory().allocate({some, w_.cols}, Dtype::kF32);
    Tensor scales = backend_.memory().download(weight_.scales.view());
    for (std::int64_t n = 0; n < w_.rows; n += some) {
      const std::int64_t rows = std::min(some, w_.rows - n);
      ScaleFit fit(rows, groups);
      collect(n, value.matrix().rows_of(0, rows), product.matrix().rows_of(0, rows), fit);
      fit.solve(backend_.solve());
      fit.apply(weight_.scale_dtype, scales.matrix().rows_of(n, rows));
    }
    weight_.scales = backend_.memory().upload(scales.view());
  }

 private:
  // The normal equations of rows n and on. error_ holds Ŵ there on entry.
  void collect(std::int64_t n, MatrixView value, MatrixView product, ScaleFit& fit) {
    const std::int64_t rows = value.rows;
    const MatrixView error = error_.matrix().rows_of(n, rows);
    backend_.memory().copy(error, value);
    backend_.linalg().scale_add(-1.0F, error, 1.0F, w_.rows_of(n, rows));
    const std::int64_t width = weight_.group_size;
    for (std::int64_t g = 0; g < weight_.groups(); ++g) {
      const std::int64_t end = std::min((g + 1) * width, w_.cols);
      for (std::int64_t b = g * width; b < end; b += kBlock) {
        const std::int64_t size = std::min(kBlock, end - b);
        backend_.linalg().gemm(1.0F, value.sub(0, rows, b, size), Transpose::kNo,
                               hessian_.band(b, size), Transpose::kNo, b == g * width ? 0.0F : 1.0F,
                               product);
      }
      fit.set_group(g,
                    backend_.linalg().row_dots(product.sub(0, rows, 0, end),
                                               value.sub(0, rows, 0, end), width),
                    backend_.linalg().row_dots(product, error, w_.cols));
    }
  }

  compute::Backend& backend_;
  ConstMatrixView w_;
  scheme::GroupedInt& weight_;
  DampedGram hessian_;
  Tensor error_;
};

}  // namespace

void refine(compute::Backend& backend, ConstMatrixView w, const stats::Gram& gram,
            const Factor& factor, const RefineArgs& args, scheme::GroupedInt& weight) {
  base::check(args.descent_passes >= 0, "refine: passes");
  if (!args.after_sweep() || w.rows == 0) return;
  base::check(w.rows == weight.rows() && w.cols == weight.cols(), "refine: extents");
  base::check(w.cols == factor.width() && w.cols == gram.width(), "refine: width of the factor");
  Refinement refinement(backend, w, gram, factor, weight);
  if (args.refit_scales) refinement.refit();
  for (int pass = 0; pass < args.descent_passes; ++pass) refinement.descend();
  if (args.refit_scales && args.descent_passes > 0) refinement.refit();
}

}  // namespace whit::quant
