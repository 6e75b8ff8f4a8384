#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/alibi.h"
#include "model/blocks.h"
#include "model/spec.h"

namespace whit::model {

// Queries, keys and values, each with its heads side by side.
using Qkv = std::array<tensor::MatrixView, 3>;

// How a GqaSpec's input linears hold queries, keys and values.
class QkvSplit {
 public:
  explicit QkvSplit(const GqaSpec& spec);

  // Of the linears' outputs `y`; `regrouped` keeps what had to be moved, and may stay empty.
  Qkv split(compute::Backend& backend, std::span<const tensor::MatrixView> y,
            tensor::Tensor& regrouped) const;
  // The reverse, of gradients: one matrix for each linear.
  std::vector<tensor::Tensor> join(compute::Backend& backend, const Qkv& qkv) const;

 private:
  const GqaSpec* spec_;
  // kGroups: where each column of [all queries | all keys | all values] comes from, and back.
  std::vector<std::int32_t> columns_, back_;
};

// Every head of x, or x whole, as the norm's size says; in place.
void norm_heads(const std::optional<NormSpec>& spec, const Norm& norm, tensor::MatrixView x);
// dy, by the normed heads, becomes the gradient by x, what they were before.
void norm_heads_back(const std::optional<NormSpec>& spec, const Norm& norm,
                     tensor::ConstMatrixView x, tensor::MatrixView dy);

// Attention of rotated heads, without a shared key.
compute::AttentionArgs attention_args(const GqaSpec& spec, const Alibi& alibi,
                                      tensor::ConstMatrixView q, tensor::ConstMatrixView k,
                                      tensor::ConstMatrixView v);

}  // namespace whit::model
