#pragma once

#include <vector>

#include "quant/gptq.h"
#include "scheme/scheme.h"

namespace whit::quant {

// Columns of a weight in processing order that share codebooks, with their codes.
struct CodedColumns {
  std::int64_t first = 0, count = 0;
  std::int64_t length = 0;
  tensor::Tensor centroids;         // F32 [C,length] on the device
  tensor::Tensor residuals;         // F32 [R,length]; empty: one stage
  tensor::Tensor indices;           // I32 [chunks,count] on the device; -1: not yet
  tensor::Tensor residual_indices;  // the same; empty without residuals

  bool coded_twice() const { return !residuals.empty(); }
};

// The outliers first, then the groups.
std::vector<CodedColumns> cut_columns(compute::Backend& backend, const scheme::VectorLayout& layout,
                                      std::int64_t rows, std::int64_t cols);
// All indices -1.
void forget_codes(compute::Backend& backend, std::vector<CodedColumns>& parts);

struct VectorSweep {
  compute::Backend& backend;
  tensor::ConstMatrixView target;  // F32 [N,K] on the device, processing order
  std::int64_t block_size;
  std::int64_t beam;

  // LDLQ: q_k is the vector code nearest to w_k + (W - Ŵ)[:, <k] U[<k, k]. error: W - Ŵ. rounded
  // (data null: not wanted): what each column was off when it was rounded, (W - Ŵ) U.
  void run(const Factor& factor, std::vector<CodedColumns>& parts, tensor::MatrixView error,
           tensor::MatrixView rounded) const;
  // Each vector, column by column, to the code that is best for tr(E H Eᵀ) while the others stay;
  // never worse. h: [K,K], H with every column divided by its diagonal entry. error: kept up to
  // date.
  void descend(tensor::ConstMatrixView h, std::vector<CodedColumns>& parts,
               tensor::MatrixView error) const;
};

// Codes and codebooks on the host, processing order, without norm or permutation.
scheme::VectorCodes assemble(compute::Backend& backend, const scheme::VectorLayout& layout,
                             const std::vector<CodedColumns>& parts, std::int64_t rows,
                             std::int64_t cols, tensor::Dtype dtype);
// Codebooks of `codes` back to the device; values are rounded to its dtype in `codes` first.
void take_books(compute::Backend& backend, scheme::VectorCodes& codes,
                std::vector<CodedColumns>& parts);

// Least squares: moves the codebooks of `codes` (not its indices) towards the minimum of tr(E H
// Eᵀ), E = target - Q, by `steps` of conjugate gradients. error (device) is the E to start from; h
// as above; diagonal: of H, processing order. Source: the normal equations of a linear model of the
// codebooks, preconditioned by their diagonal.
void refit_books(compute::Backend& backend, tensor::ConstMatrixView error,
                 tensor::ConstMatrixView h, const std::vector<float>& diagonal, int steps,
                 scheme::VectorCodes& codes);

}  // namespace whit::quant
