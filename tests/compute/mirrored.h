#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "compute/backend.h"
#include "compute/translated.h"

namespace whit::compute::testing {

inline TensorView bytes_at(const std::byte* data, std::int64_t bytes) {
  return {data, tensor::Dtype::kU8, {bytes}, {}};
}

// A matrix on the inner device, strides and gaps included.
class MirroredMatrix {
 public:
  MirroredMatrix(Backend& inner, ConstMatrixView host) : inner_(inner), host_(host) {
    if (host.data == nullptr) return;
    there_ = inner.memory().upload(bytes_at(host.data, bytes()));
  }
  MatrixView view() {
    MatrixView v{there_.data(), host_.dtype, host_.rows, host_.cols, host_.stride, inner_.device()};
    if (host_.data == nullptr) v.data = nullptr;
    return v;
  }
  // Brings what was written back into `host`, the matrix that this one mirrors.
  void back(MatrixView host) {
    if (host.data == nullptr) return;
    const Tensor now = inner_.memory().download(there_.view());
    for (std::int64_t i = 0; i < host.rows; ++i) {
      const std::int64_t at = width(host.stride) * i;
      const std::int64_t used = width(host.cols);
      std::memcpy(host.data + at, now.data() + at, static_cast<std::size_t>(used));
      const std::int64_t gap = std::min(width(host.stride), bytes() - at) - used;
      EXPECT_EQ(
          std::memcmp(host.data + at + used, now.data() + at + used, static_cast<std::size_t>(gap)),
          0)
          << "written beyond row " << i;
    }
  }

 private:
  std::int64_t width(std::int64_t elements) const {
    return elements * numeric::bits_of(host_.dtype) / 8;
  }
  std::int64_t bytes() const {
    return host_.rows == 0 ? 0 : width((host_.rows - 1) * host_.stride + host_.cols);
  }

  Backend& inner_;
  ConstMatrixView host_;
  Tensor there_;
};

// A list of floats on the inner device, or null.
class MirroredFloats {
 public:
  MirroredFloats(Backend& inner, const float* host, std::int64_t count) {
    if (host == nullptr) return;
    there_ = inner.memory().upload(
        {reinterpret_cast<const std::byte*>(host), tensor::Dtype::kF32, {count}, {}});
  }
  const float* data() const { return there_.empty() ? nullptr : there_.as<float>(); }

 private:
  Tensor there_;
};

class MirroredData {
 public:
  MirroredData(Backend& inner, const TensorView& host) : there_(inner.memory().upload(host)) {}
  TensorView view() const { return there_.view(); }

 private:
  Tensor there_;
};

class MirroredMemory final : public Memory {
 public:
  explicit MirroredMemory(Backend& inner) : inner_(inner) {}
  Tensor allocate(tensor::Shape shape, tensor::Dtype dtype) override {
    const Tensor there = inner_.memory().allocate(std::move(shape), dtype);
    return inner_.memory().download(there.view());
  }
  Tensor upload(const TensorView& host) override {
    return inner_.memory().download(inner_.memory().upload(host).view());
  }
  Tensor download(const TensorView& device) override { return upload(device); }
  void copy(ConstMatrixView from, MatrixView to) override {
    MirroredMatrix a(inner_, from), b(inner_, to);
    inner_.memory().copy(a.view(), b.view());
    b.back(to);
  }
  void fill(MatrixView out, float value) override {
    MirroredMatrix a(inner_, out);
    inner_.memory().fill(a.view(), value);
    a.back(out);
  }
  std::uint64_t available() const override { return inner_.memory().available(); }

 private:
  Backend& inner_;
};

struct Mirroring {
  using Matrix = MirroredMatrix;
  using Floats = MirroredFloats;
  using Data = MirroredData;
  using Memory = MirroredMemory;
  static Tensor tensor(Backend& inner, const Tensor& host) {
    return inner.memory().upload(host.view());
  }
  static tensor::Device device(const Backend&) { return {}; }
};

// A backend whose matrices live on the host and whose work is done by `inner` on its own device:
// what a function reads is uploaded with its stride, what it writes comes back. A write outside of
// the matrices that it was given fails the test.
inline std::unique_ptr<Backend> make_mirrored(std::unique_ptr<Backend> inner) {
  return std::make_unique<Translated<Mirroring>>(std::move(inner));
}

}  // namespace whit::compute::testing
