#pragma once

#include <vector>

#include "quant/coded_columns.h"
#include "stats/statistic.h"

namespace whit::quant {

// Of a dense matrix.
tensor::TensorView view_of(tensor::ConstMatrixView m);

// Mean and standard deviation of every column of w [N,K] (host), rounded to the dtype that they are
// stored in. The scale of a column that does not vary is 1.
struct ColumnNorm {
  std::vector<float> scale, offset;

  ColumnNorm(const tensor::Tensor& w, tensor::Dtype dtype);
};

// diag(s) G diag(s): the Gram that a weight with columns divided by s lives under.
stats::Gram scaled_gram(compute::Backend& backend, const stats::Gram& gram,
                        const std::vector<float>& scale);

// The vectors of some columns of m [N,K] on the host, column after column; zeros fill the last of
// each up. F32 [count * chunks, length].
tensor::Tensor vectors_of(const tensor::Tensor& m, const CodedColumns& part);

}  // namespace whit::quant
