#include "scheme/vector_codes.h"

#include <algorithm>

namespace whit::scheme {

namespace {

// One codebook's columns [first, first + count) of Q.
struct Block {
  const float* centroids;
  const float* residuals;  // or null
  std::int64_t length, first, count;
};

void decode_block(const Block& block, const std::int32_t* indices, const std::int32_t* residual,
                  std::int64_t stride, tensor::Tensor& out) {
  const std::int64_t rows = out.shape()[0];
  const std::int64_t cols = out.shape()[1];
  for (std::int64_t row = 0; row < rows; row += block.length) {
    const std::int64_t used = std::min(block.length, rows - row);
    const std::int64_t at = row / block.length * stride;
    for (std::int64_t j = 0; j < block.count; ++j) {
      float* to = out.as<float>() + row * cols + block.first + j;
      const float* c = block.centroids + indices[at + j] * block.length;
      const float* r =
          block.residuals == nullptr ? nullptr : block.residuals + residual[at + j] * block.length;
      for (std::int64_t t = 0; t < used; ++t) to[t * cols] = r == nullptr ? c[t] : c[t] + r[t];
    }
  }
}

}  // namespace

tensor::Tensor decode_vectors(const VectorCodes& weight) {
  const VectorLayout& layout = weight.layout;
  tensor::Tensor out({weight.rows(), weight.cols()}, tensor::Dtype::kF32);
  if (layout.outliers > 0)
    decode_block(
        {weight.outlier_centroids.as<float>(), nullptr, layout.outlier_length, 0, layout.outliers},
        weight.outlier_indices.as<std::int32_t>(), nullptr, layout.outliers, out);
  const std::int64_t size = layout.group_size(weight.cols());
  const std::int64_t stride = weight.cols() - layout.outliers;
  for (std::int64_t g = 0; g < layout.groups; ++g) {
    const bool pairs = layout.residuals > 0;
    decode_block(
        {weight.centroids.as<float>() + g * layout.centroids * layout.length,
         pairs ? weight.residuals.as<float>() + g * layout.residuals * layout.length : nullptr,
         layout.length, layout.outliers + g * size, size},
        weight.indices.as<std::int32_t>() + g * size,
        pairs ? weight.residual_indices.as<std::int32_t>() + g * size : nullptr, stride, out);
  }
  return out;
}

tensor::Tensor decode_matrix(const VectorCodes& w) {
  tensor::Tensor q = decode_vectors(w);
  if (w.perm.empty() && w.scale.empty()) return q;
  tensor::Tensor out({w.rows(), w.cols()}, tensor::Dtype::kF32);
  for (std::int64_t n = 0; n < w.rows(); ++n) {
    const float* from = q.as<float>() + n * w.cols();
    float* row = out.as<float>() + n * w.cols();
    for (std::int64_t j = 0; j < w.cols(); ++j) {
      const std::int64_t k = w.perm.empty() ? j : w.perm.as<std::int32_t>()[j];
      row[k] =
          w.scale.empty() ? from[j] : from[j] * w.scale.as<float>()[k] + w.offset.as<float>()[k];
    }
  }
  return out;
}

}  // namespace whit::scheme
