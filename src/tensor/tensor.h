#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "numeric/dtype.h"

namespace whit::tensor {

using numeric::Dtype;

// Dimensions, outermost first. Every extent is >= 0 and the product fits in int64.
using Shape = std::vector<std::int64_t>;

std::int64_t element_count(const Shape& shape);
std::string to_string(const Shape& shape);  // "[2048, 7168]"

// Bytes of a dense tensor. Errors: kInput with `subject` where extents are negative or overflow.
std::uint64_t byte_size(const Shape& shape, Dtype dtype, const std::string& subject = "tensor");

// Where bytes live. Ordinal counts accelerators; the host is {kHost, 0}.
struct Device {
  enum class Kind : std::uint8_t { kHost, kCuda };
  Kind kind = Kind::kHost;
  int ordinal = 0;
  bool operator==(const Device&) const = default;
};

// A dense, read-only view; never owns.
struct TensorView {
  const std::byte* data = nullptr;
  Dtype dtype = Dtype::kF32;
  Shape shape;
  Device device;

  std::int64_t elements() const { return element_count(shape); }
  std::uint64_t bytes() const { return byte_size(shape, dtype); }
  std::span<const std::byte> raw() const { return {data, static_cast<std::size_t>(bytes())}; }
};

// A 2-D view, rows of `stride` elements. Two words for one idea: what is only read, what is
// written.
template <typename Byte>
struct BasicMatrixView {
  Byte* data = nullptr;
  Dtype dtype = Dtype::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
  Device device;

  template <typename T>
  auto* row(std::int64_t i) const {
    using Element = std::conditional_t<std::is_const_v<Byte>, const T, T>;
    return reinterpret_cast<Element*>(data) + i * stride;
  }

  BasicMatrixView sub(std::int64_t row0, std::int64_t n_rows, std::int64_t col0,
                      std::int64_t n_cols) const {
    const std::int64_t offset = (row0 * stride + col0) * numeric::bits_of(dtype) / 8;
    return {data + offset, dtype, n_rows, n_cols, stride, device};
  }
  BasicMatrixView rows_of(std::int64_t row0, std::int64_t n_rows) const {
    return sub(row0, n_rows, 0, cols);
  }

  // Implicit on purpose: what may be written may be read.
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator BasicMatrixView<const std::byte>() const requires(!std::is_const_v<Byte>) {
    return {data, dtype, rows, cols, stride, device};
  }
};
using MatrixView = BasicMatrixView<std::byte>;
using ConstMatrixView = BasicMatrixView<const std::byte>;

ConstMatrixView as_matrix(const TensorView& view);

// Move-only owner of dense, 64-byte aligned memory. Never aliases another Tensor.
class Tensor {
 public:
  // Releases memory that a backend allocated; empty for host memory.
  using Release = std::shared_ptr<void>;

  Tensor() = default;
  // Zero-filled host memory. Errors: kResource where the system has no memory left.
  Tensor(Shape shape, Dtype dtype);
  // Memory of a backend, given back when `owner` is destroyed.
  Tensor(Shape shape, Dtype dtype, std::byte* data, Device device, Release owner);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  ~Tensor() = default;

  bool empty() const { return data_ == nullptr; }
  const Shape& shape() const { return shape_; }
  Dtype dtype() const { return dtype_; }
  Device device() const { return device_; }
  std::int64_t elements() const { return element_count(shape_); }
  std::uint64_t bytes() const { return byte_size(shape_, dtype_); }

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

  TensorView view() const { return {data_, dtype_, shape_, device_}; }
  // The tensor as rows x last extent.
  MatrixView matrix();
  ConstMatrixView matrix() const;

 private:
  Shape shape_;
  Dtype dtype_ = Dtype::kF32;
  Device device_;
  std::byte* data_ = nullptr;
  Release owner_;
};

// Host copies between a tensor and plain vectors; used at the edges and in tests.
Tensor make_f32(Shape shape, std::span<const float> values);
std::vector<float> to_f32_vector(const TensorView& view);  // F32, BF16, F16, F64, FP8, integers

}  // namespace whit::tensor
