#include "compute/host/memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/memory.h"

namespace whit::compute::host {

namespace {

Tensor clone(const TensorView& view) {
  Tensor out(view.shape, view.dtype);
  const std::size_t size = static_cast<std::size_t>(view.bytes());
  if (size != 0) std::memcpy(out.data(), view.data, size);
  return out;
}

class HostMemory final : public Memory {
 public:
  Tensor allocate(tensor::Shape shape, tensor::Dtype dtype) override {
    return Tensor(std::move(shape), dtype);
  }
  Tensor upload(const TensorView& host) override { return clone(host); }
  Tensor download(const TensorView& device) override { return clone(device); }

  void copy(ConstMatrixView from, MatrixView to) override {
    base::check(from.rows == to.rows && from.cols == to.cols && from.dtype == to.dtype,
                "copy: extents and dtype");
    const auto bytes = static_cast<std::size_t>(from.cols * numeric::bits_of(from.dtype) / 8);
    if (bytes == 0) return;
    for (std::int64_t i = 0; i < from.rows; ++i)
      std::memmove(to.rows_of(i, 1).data, from.rows_of(i, 1).data, bytes);
  }

  void fill(MatrixView out, float value) override {
    base::check(out.dtype == tensor::Dtype::kF32, "fill: F32");
    for (std::int64_t i = 0; i < out.rows; ++i)
      std::fill_n(out.row<float>(i), static_cast<std::size_t>(out.cols), value);
  }

  std::uint64_t available() const override { return base::available_memory_bytes(); }
};

}  // namespace

std::unique_ptr<Memory> make_memory() {
  return std::make_unique<HostMemory>();
}

}  // namespace whit::compute::host
