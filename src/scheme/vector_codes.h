#pragma once

#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace whit::scheme {

// Sizes of a weight [rows, cols] whose columns are cut into chunks of consecutive rows, each chunk
// an entry of a codebook. Columns are counted in processing order: first the outliers, then
// `groups` ranges of equal width, each with codebooks of its own.
struct VectorLayout {
  std::int64_t length = 8;     // rows that share an index
  std::int64_t centroids = 0;  // of each group's codebook, a power of two
  std::int64_t residuals = 0;  // of a second codebook whose entries are added; 0: none
  std::int64_t groups = 1;
  std::int64_t outliers = 0;  // columns at the front with a codebook and a length of their own
  std::int64_t outlier_length = 0;
  std::int64_t outlier_centroids = 0;
  bool normed = false;    // every column has a scale and an offset
  bool permuted = false;  // the processing order is stored
  bool operator==(const VectorLayout&) const = default;

  std::int64_t group_size(std::int64_t cols) const { return (cols - outliers) / groups; }
  std::int64_t chunks(std::int64_t rows) const { return (rows + length - 1) / length; }
  std::int64_t outlier_chunks(std::int64_t rows) const {
    return outliers == 0 ? 0 : (rows + outlier_length - 1) / outlier_length;
  }
};

// W[:, perm[j]] = (Q[:, j]) * scale + offset of that column, Q[p length + t, j] =
// centroids[g, index[p, j]]_t + residuals[g, residual[p, j]]_t; the first `outliers` columns
// likewise from their own codebook. Everything is on the host. Source: arXiv:2409.17066.
struct VectorCodes {
  VectorLayout layout;
  std::int64_t n_rows = 0, n_cols = 0;
  tensor::Dtype dtype = tensor::Dtype::kBF16;  // centroids, scales and offsets are exact in it
  tensor::Tensor indices;                      // I32 [chunks, cols - outliers]
  tensor::Tensor residual_indices;             // the same; empty without residuals
  tensor::Tensor centroids;                    // F32 [groups * centroids, length]
  tensor::Tensor residuals;                    // F32 [groups * residuals, length]; or empty
  tensor::Tensor outlier_indices;              // I32 [outlier_chunks, outliers]; or empty
  tensor::Tensor outlier_centroids;            // F32 [outlier_centroids, outlier_length]; or empty
  tensor::Tensor perm;                         // I32 [cols], position -> column; or empty
  tensor::Tensor scale, offset;                // F32 [cols], by column; or empty

  std::int64_t rows() const { return n_rows; }
  std::int64_t cols() const { return n_cols; }
};

// Q alone, F32 [rows, cols] in processing order: what the codes stand for before the columns are
// put back, scaled and shifted.
tensor::Tensor decode_vectors(const VectorCodes& weight);

// W, F32 [rows, cols]: every operation is rounded once, in fp32.
tensor::Tensor decode_matrix(const VectorCodes& weight);

}  // namespace whit::scheme
