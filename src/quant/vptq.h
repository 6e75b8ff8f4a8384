#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "compute/backend.h"
#include "quant/kmeans.h"
#include "scheme/scheme.h"
#include "stats/statistic.h"

// VPTQ (arXiv:2409.17066): vectors of consecutive rows are rounded to a codebook that weighted
// k-means found, column by column with the feedback of GPTQ's LDLQ form. What is done beyond it,
// and where the equations part from the released code, is in docs/methods/vptq.md.
namespace whit::quant {

struct VptqArgs {
  scheme::VectorLayout layout;
  tensor::Dtype dtype = tensor::Dtype::kBF16;  // of centroids, scales and offsets
  double rel_damp = 0.1;                       // as in FactorArgs
  bool permute = true;                         // columns by descending diagonal of H
  // The order goes into the indices, where there is one group and no outlier.
  bool absorb = true;
  // H follows the norm: the sweep minimizes the error of the weight, not of its normed form.
  bool fold_norm = true;
  KMeansArgs kmeans;  // clusters is the layout's
  std::int64_t block_size = 128;
  std::int64_t beam = 8;  // centroids that are each tried with the residual nearest to their rest
  int rounds = 2;         // of descent over the codes and least squares over the codebooks
};

// What a stage of the work came to. Errors: tr((W-Ŵ)H(W-Ŵ)ᵀ) / K² with H scaled to a mean diagonal
// of 1, undamped, of the weight itself.
struct VptqStage {
  std::string_view name;  // "kmeans", "before VPTQ", "after VPTQ", "residual kmeans", ...
  double error = 0, base = 0, seconds = 0;
  std::int64_t codebook = 0, clusters = 0, iterations = 0;  // of k-means
  double inertia = 0;

  double ratio() const { return base == 0 ? 0 : error / base; }
};

struct VptqReport {
  double proxy_error = 0;         // as WeightReport has it
  double proxy_error_kmeans = 0;  // the codebook's nearest vectors, without feedback
  double proxy_error_swept = 0;   // after the last sweep, before what comes beyond VPTQ
  double damping = 0;
  int factor_attempts = 1;
};

// w: F32 [N,K] on the device, finite, unchanged; gram: of what it reads. The seed of each codebook
// follows from args.kmeans.seed and its number. Everything that is returned is on the host. Memory:
// 8 F32 matrices [N,K] and 5 [K,K] at most, and the vectors' labels. Errors: kUsage (subject: the
// flag) for layouts that do not fit w; those of factor_gram.
scheme::VectorCodes vptq(compute::Backend& backend, tensor::ConstMatrixView w,
                         const stats::Gram& gram, const VptqArgs& args, VptqReport* report,
                         const std::function<void(const VptqStage&)>& on_stage = {});

// Whether a layout fits a weight [rows, cols]. Errors: kUsage, subject = flag.
void check_layout(const scheme::VectorLayout& layout, std::int64_t rows, std::int64_t cols);

}  // namespace whit::quant
