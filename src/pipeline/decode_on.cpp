#include "pipeline/decode_on.h"

namespace whit::pipeline {

namespace {

// The tensor itself where it already lives on the backend's device, else a copy there.
struct OnDevice {
  OnDevice(compute::Backend& backend, const tensor::Tensor& host) : view(host.view()) {
    if (host.empty() || host.device() == backend.device()) return;
    copy = backend.memory().upload(host.view());
    view = copy.view();
  }
  tensor::Tensor copy;
  tensor::TensorView view;
};

tensor::Tensor upload_or_move(compute::Backend& backend, const tensor::Tensor& host) {
  return host.empty() ? tensor::Tensor() : backend.memory().upload(host.view());
}

void decode_into(compute::Backend& backend, const scheme::GroupedInt& weight,
                 tensor::MatrixView out) {
  if (weight.codes.device() == backend.device()) {
    backend.codec().decode_grouped(weight, out);
    return;
  }
  scheme::GroupedInt there;
  there.bits = weight.bits;
  there.group_size = weight.group_size;
  there.channel = weight.channel;
  there.scale_dtype = weight.scale_dtype;
  there.codes = upload_or_move(backend, weight.codes);
  there.scales = upload_or_move(backend, weight.scales);
  there.zeros = upload_or_move(backend, weight.zeros);
  backend.codec().decode_grouped(there, out);
}

void decode_into(compute::Backend& backend, const scheme::ScaledFloat8& weight,
                 tensor::MatrixView out) {
  const OnDevice codes(backend, weight.codes);
  const OnDevice scales(backend, weight.scales);
  backend.codec().decode_scaled_fp8(codes.view, scales.view, weight.block_rows, weight.block_cols,
                                    out);
}

void decode_into(compute::Backend& backend, const scheme::VectorCodes& weight,
                 tensor::MatrixView out) {
  const tensor::Tensor there = backend.memory().upload(scheme::decode_matrix(weight).view());
  backend.memory().copy(there.matrix(), out);
}

}  // namespace

tensor::Tensor decode_on(compute::Backend& backend, const scheme::QuantizedWeight& weight) {
  auto out = backend.memory().allocate({scheme::rows_of(weight), scheme::cols_of(weight)},
                                       tensor::Dtype::kF32);
  std::visit([&](const auto& w) { decode_into(backend, w, out.matrix()); }, weight);
  return out;
}

}  // namespace whit::pipeline
