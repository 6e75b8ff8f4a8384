#include "tensor/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "numeric/float_codec.h"

namespace whit::tensor {

using base::ErrorKind;

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::uint64_t byte_size(const Shape& shape, Dtype dtype, const std::string& subject) {
  std::optional<std::int64_t> bits = numeric::bits_of(dtype);
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0)
      base::fail(ErrorKind::kInput, subject, "negative extent in {}", to_string(shape));
    if (extent == 0) empty = true;
    if (bits && extent != 0) bits = base::checked_mul(*bits, extent);
  }
  if (!bits) base::fail(ErrorKind::kInput, subject, "shape {} overflows", to_string(shape));
  return empty ? 0 : static_cast<std::uint64_t>((*bits + 7) / 8);
}

ConstMatrixView as_matrix(const TensorView& view) {
  const std::int64_t cols = view.shape.empty() ? 1 : view.shape.back();
  const std::int64_t rows = cols == 0 ? 0 : view.elements() / cols;
  return {view.data, view.dtype, rows, cols, cols, view.device};
}

Tensor::Tensor(Shape shape, Dtype dtype) : shape_(std::move(shape)), dtype_(dtype) {
  const std::size_t size = static_cast<std::size_t>(bytes());
  const std::size_t padded = std::max<std::size_t>(base::round_up<std::size_t>(size, 64), 64);
  data_ = static_cast<std::byte*>(std::aligned_alloc(64, padded));
  if (data_ == nullptr)
    base::fail(ErrorKind::kResource, "memory", "cannot allocate {} bytes for a tensor of shape {}",
               padded, to_string(shape_));
  std::memset(data_, 0, padded);
  owner_ = Release(data_, [](void* p) { std::free(p); });
}

Tensor::Tensor(Shape shape, Dtype dtype, std::byte* data, Device device, Release owner)
    : shape_(std::move(shape)),
      dtype_(dtype),
      device_(device),
      data_(data),
      owner_(std::move(owner)) {}

Tensor::Tensor(Tensor&& other) noexcept
    : shape_(std::move(other.shape_)),
      dtype_(other.dtype_),
      device_(other.device_),
      data_(std::exchange(other.data_, nullptr)),
      owner_(std::move(other.owner_)) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  std::swap(shape_, other.shape_);
  std::swap(dtype_, other.dtype_);
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(owner_, other.owner_);
  return *this;
}

MatrixView Tensor::matrix() {
  const ConstMatrixView view = as_matrix(this->view());
  return {data_, view.dtype, view.rows, view.cols, view.stride, device_};
}

ConstMatrixView Tensor::matrix() const {
  return as_matrix(view());
}

Tensor make_f32(Shape shape, std::span<const float> values) {
  Tensor result(std::move(shape), Dtype::kF32);
  base::check(static_cast<std::size_t>(result.elements()) == values.size(), "make_f32: size");
  std::memcpy(result.data(), values.data(), values.size_bytes());
  return result;
}

namespace {

template <typename T, typename Decode>
void decode_all(const TensorView& view, std::vector<float>& out, Decode decode) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value{};
    std::memcpy(&value, view.data + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(decode(value));
  }
}

}  // namespace

std::vector<float> to_f32_vector(const TensorView& view) {
  base::check(view.device == Device{}, "to_f32_vector: host tensor");
  std::vector<float> out(static_cast<std::size_t>(view.elements()));
  const auto same = [](auto v) { return v; };
  switch (view.dtype) {
    case Dtype::kF32:
      decode_all<float>(view, out, same);
      return out;
    case Dtype::kF64:
      decode_all<double>(view, out, same);
      return out;
    case Dtype::kBF16:
      decode_all<std::uint16_t>(view, out, numeric::bf16_to_f32);
      return out;
    case Dtype::kF16:
      decode_all<std::uint16_t>(view, out, numeric::f16_to_f32);
      return out;
    case Dtype::kF8E4M3:
      decode_all<std::uint8_t>(view, out, numeric::e4m3_to_f32);
      return out;
    case Dtype::kF8E5M2:
      decode_all<std::uint8_t>(view, out, numeric::e5m2_to_f32);
      return out;
    case Dtype::kF8E8M0:
      decode_all<std::uint8_t>(view, out, numeric::e8m0_to_f32);
      return out;
    case Dtype::kBool:
    case Dtype::kU8:
      decode_all<std::uint8_t>(view, out, same);
      return out;
    case Dtype::kI8:
      decode_all<std::int8_t>(view, out, same);
      return out;
    case Dtype::kU16:
      decode_all<std::uint16_t>(view, out, same);
      return out;
    case Dtype::kI16:
      decode_all<std::int16_t>(view, out, same);
      return out;
    case Dtype::kU32:
      decode_all<std::uint32_t>(view, out, same);
      return out;
    case Dtype::kI32:
      decode_all<std::int32_t>(view, out, same);
      return out;
    case Dtype::kU64:
      decode_all<std::uint64_t>(view, out, same);
      return out;
    case Dtype::kI64:
      decode_all<std::int64_t>(view, out, same);
      return out;
    case Dtype::kF4E2M1:
      break;
  }
  base::fail(ErrorKind::kUnsupported, "tensor", "decoding {} to fp32",
             numeric::name_of(view.dtype));
}

}  // namespace whit::tensor
