#include "model/mlp_slope.h"

#include <utility>
#include <variant>

#include "base/error.h"

namespace whit::model {

using compute::Transpose;
using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;

namespace {

constexpr float kStep = 1.0F / 128;  // of the difference that stands for act'

// Weights may be narrow where a backend multiplies narrow ones.
Tensor widened(compute::Backend& backend, const Tensor& weight) {
  Tensor wide = backend.memory().allocate(weight.shape(), Dtype::kF32);
  backend.codec().to_f32(weight.view(), wide.matrix());
  return wide;
}

bool has_bias(const MlpSpec& mlp) {
  for (const LinearSpec& linear : mlp.in)
    if (linear.bias) return true;
  return mlp.down.bias;
}

}  // namespace

bool MlpSlope::knows(const LayerSpec& layer) {
  const auto* mlp = std::get_if<MlpSpec>(&layer.mlp);
  return mlp != nullptr && mlp->gated && !has_bias(*mlp) && !layer.parallel &&
         layer.norm_place == NormPlace::kInput && layer.mlp_norm && !layer.mlp_norm->bias &&
         !layer.mlp_norm->weight.name.empty() && layer.mlp_norm->kind == NormKind::kRms &&
         !layer.mlp_out_norm && layer.residual_scale == 1;
}

MlpSlope::MlpSlope(compute::Backend& backend, WeightSource& weights, const LayerSpec& layer)
    : backend_(backend) {
  base::check(knows(layer), "MlpSlope: a dense, gated MLP behind an RMS norm");
  const auto& mlp = std::get<MlpSpec>(layer.mlp);
  norm_.eps = layer.mlp_norm->eps;
  act_ = mlp.activation;
  mids_ = mlp.down.in_features;
  down_ = widened(backend, *weights.linear(mlp.down));
  const Tensor norm = backend.memory().download(weights.vector(layer.mlp_norm->weight)->view());
  const std::int64_t hidden = mlp.down.out_features;
  Tensor in({2 * mids_, hidden}, Dtype::kF32);
  float* to = in.as<float>();
  for (const LinearSpec& linear : mlp.in) {
    const Tensor part = backend.memory().download(widened(backend, *weights.linear(linear)).view());
    const auto* from = part.as<float>();
    for (std::int64_t i = 0; i < part.elements(); ++i)
      *to++ = from[i] * norm.as<float>()[i % hidden];
  }
  in_ = backend.memory().upload(in.view());
}

Tensor MlpSlope::allocate(std::int64_t rows, std::int64_t cols) const {
  return backend_.memory().allocate({rows, cols}, Dtype::kF32);
}

void MlpSlope::set(Tensor h) {
  h_ = std::move(h);
  const std::int64_t rows = h_.shape()[0];
  Tensor x = allocate(rows, h_.shape()[1]);
  backend_.neural().norm(h_.matrix(), norm_, x.matrix());
  Tensor both = allocate(rows, 2 * mids_);
  backend_.linalg().gemm(1.0F, x.matrix(), Transpose::kNo, in_.matrix(), Transpose::kYes, 0.0F,
                         both.matrix());
  const MatrixView gate = both.matrix().sub(0, rows, 0, mids_);
  const MatrixView up = both.matrix().sub(0, rows, mids_, mids_);
  by_up_ = allocate(rows, mids_);
  backend_.neural().activate(act_, gate, {}, by_up_.matrix());

  Tensor ones = allocate(rows, mids_);
  backend_.memory().fill(ones.matrix(), 1.0F);
  Tensor below = allocate(rows, mids_);
  by_gate_ = allocate(rows, mids_);
  backend_.linalg().scale_add(1.0F, gate, kStep, ones.matrix());
  backend_.neural().activate(act_, gate, up, by_gate_.matrix());
  backend_.linalg().scale_add(1.0F, gate, -2 * kStep, ones.matrix());
  backend_.neural().activate(act_, gate, up, below.matrix());
  backend_.linalg().scale_add(0.5F / kStep, by_gate_.matrix(), -0.5F / kStep, below.matrix());

  minus_by_gate_ = allocate(rows, mids_);
  minus_by_up_ = allocate(rows, mids_);
  backend_.linalg().scale_add(0.0F, minus_by_gate_.matrix(), -1.0F, by_gate_.matrix());
  backend_.linalg().scale_add(0.0F, minus_by_up_.matrix(), -1.0F, by_up_.matrix());
}

// Backends multiply in what follows an activation: a b = relu(a) b - relu(-a) b.
void MlpSlope::multiply(const Tensor& a, const Tensor& minus_a, ConstMatrixView b,
                        MatrixView out) const {
  Tensor other = allocate(b.rows, b.cols);
  backend_.neural().activate(compute::Activation::kRelu, minus_a.matrix(), b, other.matrix());
  backend_.neural().activate(compute::Activation::kRelu, a.matrix(), b, out);
  backend_.linalg().scale_add(1.0F, out, -1.0F, other.matrix());
}

void MlpSlope::through_norm(ConstMatrixView v, MatrixView out) const {
  backend_.gradient().norm(h_.matrix(), norm_, v, out);
}

void MlpSlope::forward(ConstMatrixView v, MatrixView out) const {
  Tensor x = allocate(v.rows, v.cols);
  through_norm(v, x.matrix());
  Tensor both = allocate(v.rows, 2 * mids_);
  backend_.linalg().gemm(1.0F, x.matrix(), Transpose::kNo, in_.matrix(), Transpose::kYes, 0.0F,
                         both.matrix());
  const MatrixView gate = both.matrix().sub(0, v.rows, 0, mids_);
  const MatrixView up = both.matrix().sub(0, v.rows, mids_, mids_);
  Tensor mid = allocate(v.rows, mids_);
  multiply(by_up_, minus_by_up_, up, mid.matrix());
  multiply(by_gate_, minus_by_gate_, gate, up);
  backend_.linalg().scale_add(1.0F, mid.matrix(), 1.0F, up);
  backend_.memory().copy(v, out);
  backend_.linalg().gemm(1.0F, mid.matrix(), Transpose::kNo, down_.matrix(), Transpose::kYes, 1.0F,
                         out);
}

void MlpSlope::back(ConstMatrixView v, MatrixView out) const {
  Tensor mid = allocate(v.rows, mids_);
  backend_.linalg().gemm(1.0F, v, Transpose::kNo, down_.matrix(), Transpose::kNo, 0.0F,
                         mid.matrix());
  Tensor both = allocate(v.rows, 2 * mids_);
  multiply(by_gate_, minus_by_gate_, mid.matrix(), both.matrix().sub(0, v.rows, 0, mids_));
  multiply(by_up_, minus_by_up_, mid.matrix(), both.matrix().sub(0, v.rows, mids_, mids_));
  Tensor x = allocate(v.rows, v.cols);
  backend_.linalg().gemm(1.0F, both.matrix(), Transpose::kNo, in_.matrix(), Transpose::kNo, 0.0F,
                         x.matrix());
  through_norm(x.matrix(), x.matrix());
  backend_.memory().copy(v, out);
  backend_.linalg().scale_add(1.0F, out, 1.0F, x.matrix());
}

}  // namespace whit::model
