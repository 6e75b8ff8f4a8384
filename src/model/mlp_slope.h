#pragma once

#include "compute/backend.h"
#include "model/spec.h"
#include "model/weights.h"

namespace whit::model {

// How the residual stream behind a dense, gated MLP half,
//   s(h) = h + down(act(gate x) * up x), x = norm(h),
// moves with h, row by row: J = ds/dh at the rows that it was last set at. act' is a central
// difference, so J is as exact as fp32 leaves it there, about three digits.
class MlpSlope {
 public:
  // Whether this is all that the layer's second half does.
  static bool knows(const LayerSpec& layer);

  // layer: one that it knows. Errors: those of `weights`.
  MlpSlope(compute::Backend& backend, WeightSource& weights, const LayerSpec& layer);

  // h: F32 [T, hidden] on the device, kept; T may differ from call to call.
  void set(tensor::Tensor h);
  // out = v Jᵀ, what each row moves by where h moves by v; v, out: F32 [T, hidden].
  void forward(tensor::ConstMatrixView v, tensor::MatrixView out) const;
  // out = v J, the gradient of v·s by h.
  void back(tensor::ConstMatrixView v, tensor::MatrixView out) const;

 private:
  tensor::Tensor allocate(std::int64_t rows, std::int64_t cols) const;
  // out = a * b, elementwise, given a and -a.
  void multiply(const tensor::Tensor& a, const tensor::Tensor& minus_a, tensor::ConstMatrixView b,
                tensor::MatrixView out) const;
  // x, the norm's input, taken through (I - x̂ x̂ᵀ / hidden) / rms: its own transpose.
  void through_norm(tensor::ConstMatrixView v, tensor::MatrixView out) const;

  compute::Backend& backend_;
  compute::NormArgs norm_;  // without the weight, which stands in `in_`
  compute::Activation act_;
  std::int64_t mids_ = 0;  // F
  tensor::Tensor in_;      // [2F, hidden]: gate, then up, columns times the norm's weight
  tensor::Tensor down_;    // [hidden, F]
  tensor::Tensor h_;       // [T, hidden]
  tensor::Tensor by_gate_,
      minus_by_gate_;                   // [T, F]: act'(gate) * up, by which the mid moves with gate
  tensor::Tensor by_up_, minus_by_up_;  // [T, F]: act(gate)
};

}  // namespace whit::model
