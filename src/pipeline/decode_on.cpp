#include "pipeline/decode_on.h"

#include <memory>
#include <utility>

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

// A weight with each of its tensors, where there is one, as `carry` makes it.
template <typename Carry>
scheme::GroupedInt carried(const scheme::GroupedInt& weight, const Carry& carry) {
  const auto some = [&](const tensor::Tensor& from) {
    return from.empty() ? tensor::Tensor() : carry(from);
  };
  scheme::GroupedInt there;
  there.bits = weight.bits;
  there.group_size = weight.group_size;
  there.channel = weight.channel;
  there.scale_dtype = weight.scale_dtype;
  there.codes = some(weight.codes);
  there.scales = some(weight.scales);
  there.zeros = some(weight.zeros);
  return there;
}

void decode_into(compute::Backend& backend, const scheme::GroupedInt& weight,
                 tensor::MatrixView out) {
  if (weight.codes.device() == backend.device()) {
    backend.codec().decode_grouped(weight, out);
    return;
  }
  const auto there = carried(
      weight, [&](const tensor::Tensor& host) { return backend.memory().upload(host.view()); });
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

std::function<scheme::GroupedInt()> host_copy_later(compute::Backend& backend,
                                                    scheme::GroupedInt weight) {
  using Download = std::function<tensor::Tensor()>;
  const auto later = [&](tensor::Tensor& tensor) {
    if (tensor.empty()) return Download([] { return tensor::Tensor(); });
    return backend.memory().download_later(
        std::make_shared<const tensor::Tensor>(std::move(tensor)));
  };
  auto rest = std::make_shared<scheme::GroupedInt>();
  const Download codes = later(weight.codes);
  const Download scales = later(weight.scales);
  const Download zeros = later(weight.zeros);
  *rest = std::move(weight);
  return [rest, codes, scales, zeros] {
    rest->codes = codes();
    rest->scales = scales();
    rest->zeros = zeros();
    return std::move(*rest);
  };
}

}  // namespace whit::pipeline
