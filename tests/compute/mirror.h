#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "compute/backend.h"

namespace whit::compute::testing {

inline TensorView bytes_at(const std::byte* data, std::int64_t bytes) {
  return {data, tensor::Dtype::kU8, {bytes}, {}};
}

// A matrix on the inner device, strides and gaps included.
class Mirror {
 public:
  Mirror(Backend& inner, ConstMatrixView host) : inner_(inner), host_(host) {
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
class Floats {
 public:
  Floats(Backend& inner, const float* host, std::int64_t count) {
    if (host == nullptr) return;
    there_ = inner.memory().upload(
        {reinterpret_cast<const std::byte*>(host), tensor::Dtype::kF32, {count}, {}});
  }
  const float* data() const { return there_.empty() ? nullptr : there_.as<float>(); }

 private:
  Tensor there_;
};

}  // namespace whit::compute::testing
