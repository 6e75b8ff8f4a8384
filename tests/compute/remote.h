#pragma once

#include <memory>
#include <utility>

#include "compute/translated.h"

namespace whit::compute::testing {

// Memory of a remote backend lies this far from where it seems to: no address there is mapped.
inline constexpr std::ptrdiff_t kFar = std::ptrdiff_t{1} << 62;

template <typename Byte>
tensor::BasicMatrixView<Byte> nearer(tensor::BasicMatrixView<Byte> m) {
  m.device = {};
  if (m.data != nullptr) m.data -= kFar;
  return m;
}

class RemoteMatrix {
 public:
  RemoteMatrix(Backend&, ConstMatrixView far) : near_(nearer(far)) {}
  MatrixView view() const {
    return {
        const_cast<std::byte*>(near_.data), near_.dtype, near_.rows, near_.cols, near_.stride, {}};
  }
  void back(MatrixView) const {}

 private:
  ConstMatrixView near_;
};

class RemoteFloats {
 public:
  RemoteFloats(Backend&, const float* far, std::int64_t) : far_(far) {}
  const float* data() const {
    return far_ == nullptr
               ? nullptr
               : reinterpret_cast<const float*>(reinterpret_cast<const std::byte*>(far_) - kFar);
  }

 private:
  const float* far_;
};

class RemoteData {
 public:
  RemoteData(Backend&, TensorView far) : near_(std::move(far)) {
    if (near_.data != nullptr) near_.data -= kFar;
    near_.device = {};
  }
  const TensorView& view() const { return near_; }

 private:
  TensorView near_;
};

class RemoteMemory final : public Memory {
 public:
  explicit RemoteMemory(Backend& inner) : inner_(inner) {}
  Tensor allocate(tensor::Shape shape, tensor::Dtype dtype) override {
    return away(inner_.memory().allocate(std::move(shape), dtype));
  }
  Tensor upload(const TensorView& host) override { return away(inner_.memory().upload(host)); }
  Tensor download(const TensorView& device) override {
    return inner_.memory().download(RemoteData(inner_, device).view());
  }
  void copy(ConstMatrixView from, MatrixView to) override {
    inner_.memory().copy(nearer(from), nearer(to));
  }
  void fill(MatrixView out, float value) override { inner_.memory().fill(nearer(out), value); }
  std::uint64_t available() const override { return inner_.memory().available(); }

 private:
  static Tensor away(Tensor near) {
    auto owner = std::make_shared<Tensor>(std::move(near));
    return Tensor(owner->shape(), owner->dtype(), owner->data() + kFar,
                  {tensor::Device::Kind::kCuda, 0}, owner);
  }

  Backend& inner_;
};

struct Remote {
  using Matrix = RemoteMatrix;
  using Floats = RemoteFloats;
  using Data = RemoteData;
  using Memory = RemoteMemory;
  static Tensor tensor(Backend&, const Tensor& far) {
    return Tensor(far.shape(), far.dtype(), const_cast<std::byte*>(far.data()) - kFar, {}, nullptr);
  }
  static tensor::Device device(const Backend&) { return {tensor::Device::Kind::kCuda, 0}; }
};

// A backend that behaves as one whose memory the host cannot reach: whoever follows its pointers
// is stopped by the system. The work is `inner`'s, a host backend.
inline std::unique_ptr<Backend> make_remote(std::unique_ptr<Backend> inner) {
  return std::make_unique<Translated<Remote>>(std::move(inner));
}

}  // namespace whit::compute::testing
