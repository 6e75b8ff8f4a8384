#include "quant/norm_correction.h"

#include <utility>

#include "base/error.h"

namespace whit::quant {

using compute::Transpose;
using tensor::Dtype;
using tensor::Tensor;

// With f = 1 + t the normal equations are (wᵀw * G) t = diag(wᵀw C), * elementwise: positive
// semidefinite as a product of two such (Schur), so the damped factor of a Gram does for it.
std::vector<double> norm_correction(compute::Backend& backend, tensor::ConstMatrixView w,
                                    const stats::Gram& gram, const stats::CrossGram& cross,
                                    const NormCorrectionArgs& args) {
  const std::int64_t width = w.cols;
  base::check(width == gram.width() && width == cross.sum().cols, "norm_correction: widths");
  stats::Gram through(backend, width);
  through.observe(w);
  through.freeze();
  Tensor pulled = backend.memory().allocate({width, width}, Dtype::kF32);
  backend.linalg().gemm(1.0F, through.sum(), Transpose::kNo, cross.sum(), Transpose::kNo, 0.0F,
                        pulled.matrix());
  const std::vector<double> slope = backend.linalg().diagonal(pulled.matrix());

  Tensor product({width, width}, Dtype::kF32);
  {
    Tensor a = backend.memory().allocate({width, width}, Dtype::kF32);
    backend.memory().copy(through.sum(), a.matrix());
    Tensor b = backend.memory().allocate({width, width}, Dtype::kF32);
    backend.memory().copy(gram.sum(), b.matrix());
    const Tensor left = backend.memory().download(a.view());
    const Tensor right = backend.memory().download(b.view());
    for (std::int64_t i = 0; i < product.elements(); ++i)
      product.as<float>()[i] = left.as<float>()[i] * right.as<float>()[i];
  }
  stats::Gram normal(backend, backend.memory().upload(product.view()), gram.tokens());
  const Factor factor = factor_gram(backend, normal, {ColumnOrder::kDefault, args.rel_damp});

  // factor_gram states pivots of 2/tokens times the matrix; the slope follows.
  const double to_hessian = 2.0 / static_cast<double>(gram.tokens());
  Tensor row({1, width}, Dtype::kF32);
  for (std::int64_t k = 0; k < width; ++k)
    row.as<float>()[k] =
        static_cast<float>(args.share * to_hessian * slope[static_cast<std::size_t>(k)]);
  Tensor solution = backend.memory().upload(row.view());
  backend.solve().solve_udu(factor.u.matrix(), factor.pivots, solution.matrix());
  const Tensor t = backend.memory().download(solution.view());
  std::vector<double> factors(static_cast<std::size_t>(width));
  for (std::int64_t k = 0; k < width; ++k)
    factors[static_cast<std::size_t>(k)] = 1.0 + t.as<float>()[k];
  return factors;
}

}  // namespace whit::quant
