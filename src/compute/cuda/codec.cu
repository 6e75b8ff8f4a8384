#include <memory>

#include "compute/cuda/element.cuh"
#include "compute/cuda/grid_search.h"
#include "compute/cuda/kernel.cuh"
#include "compute/cuda/parts.h"
#include "compute/cuda/sweep.h"
#include "compute/host/codec_shape.h"
#include "compute/host/grid.h"

namespace whit::compute::cuda {

namespace {

template <typename T>
void decode_as(const Context& context, ConstMatrixView in, MatrixView out) {
  const auto from = rows_of<T>(in);
  const auto to = rows_of<float>(out);
  each(context, out.rows, out.cols, "to_f32", [=] __device__(std::int64_t i, std::int64_t j) {
    to[i][j] = Element<T>::decode(from[i][j]);
  });
}

template <typename Code, typename Scale>
void decode_scaled_as(const Context& context, ConstMatrixView codes, ConstMatrixView scales,
                      std::int64_t block_rows, std::int64_t block_cols, MatrixView out) {
  const auto code = rows_of<Code>(codes);
  const auto scale = rows_of<Scale>(scales);
  const auto to = rows_of<float>(out);
  each(context, out.rows, out.cols, "decode_scaled_fp8",
       [=] __device__(std::int64_t i, std::int64_t j) {
         to[i][j] = Element<Code>::decode(code[i][j]) *
                    Element<Scale>::decode(scale[i / block_rows][j / block_cols]);
       });
}

// x / scale within the limit. NaN stays, sign included, which a GPU's arithmetic would lose.
__device__ float scaled(float x, float scale, float limit) {
  if (x != x) return x;
  const float quotient = x / scale;
  return quotient != quotient ? quotient : fminf(fmaxf(quotient, -limit), limit);
}

template <typename Code>
void encode_as(const Context& context, ConstMatrixView x, ConstMatrixView scales,
               std::int64_t block_rows, std::int64_t block_cols, float limit, MatrixView codes) {
  const auto from = rows_of<float>(x);
  const auto scale = rows_of<float>(scales);
  const auto to = rows_of<std::uint8_t>(codes);
  each(context, x.rows, x.cols, "encode_scaled_fp8", [=] __device__(std::int64_t i, std::int64_t j) {
    to[i][j] =
        Element<Code>::encode(scaled(from[i][j], scale[i / block_rows][j / block_cols], limit));
  });
}

template <typename Code>
void round_as(const Context& context, MatrixView x, const scheme::Float8Rounding& rounding) {
  const auto to = rows_of<float>(x);
  const std::int64_t cols = x.cols;
  const std::int64_t piece = host::piece_of(rounding, cols);
  const std::int64_t pieces = base::ceil_div(cols, piece);
  const float fixed = rounding.scale;
  const float limit = rounding.limit;
  each_row(context, x.rows * pieces, piece, "round_fp8", [=] __device__(std::int64_t at) {
    float* row = to[at / pieces];
    const std::int64_t first = at % pieces * piece;
    const std::int64_t last = first + piece < cols ? first + piece : cols;
    float scale = fixed;
    if (!(scale > 0)) {
      std::int32_t most = 0;
      for (std::int64_t j = first + threadIdx.x; j < last; j += blockDim.x)
        most = max(most, magnitude_bits(row[j]));
      scale = scheme::float8_scale(__int_as_float(block_reduce(most, Larger{})), limit);
    }
    for (std::int64_t j = first + threadIdx.x; j < last; j += blockDim.x)
      row[j] = Element<Code>::decode({Element<Code>::encode(scaled(row[j], scale, limit))}) * scale;
  });
}

class CudaCodec final : public Codec {
 public:
  explicit CudaCodec(const Context& context) : context_(context) {}

  void to_f32(const TensorView& in, MatrixView out) override {
    const ConstMatrixView m = tensor::as_matrix(in);
    require(m.rows == out.rows && m.cols == out.cols, "to_f32: extents");
    if (m.dtype == tensor::Dtype::kBF16 && in_fours(m, out)) {
      const auto from = rows_of<BF16>(m);
      const auto to = rows_of<float>(out);
      return each(context_, out.rows, out.cols / 4, "to_f32",
                  [=] __device__(std::int64_t i, std::int64_t four) {
                    store_four(to[i] + four * 4, load_four(from[i] + four * 4));
                  });
    }
    with_float_type(m.dtype, "to_f32", [&]<typename T>() { decode_as<T>(context_, m, out); });
  }

  void narrow(ConstMatrixView x, MatrixView out) override {
    host::check_narrow(x, out);
    const auto from = rows_of<float>(x);
    const auto to = rows_of<BF16>(out);
    if (in_fours(x, out))
      return each(context_, out.rows, out.cols / 4, "narrow",
                  [=] __device__(std::int64_t i, std::int64_t four) {
                    store_four(to[i] + four * 4, load_four(from[i] + four * 4));
                  });
    each(context_, out.rows, out.cols, "narrow", [=] __device__(std::int64_t i, std::int64_t j) {
      to[i][j] = Element<BF16>::encode(from[i][j]);
    });
  }

  void decode_scaled_fp8(const TensorView& codes, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, MatrixView out) override {
    const ConstMatrixView m = tensor::as_matrix(codes);
    const ConstMatrixView s = tensor::as_matrix(scales);
    require(m.rows == out.rows && m.cols == out.cols, "decode_scaled_fp8: extents");
    host::check_scale_grid(m, s, block_rows, block_cols);
    with_float8_type(m.dtype, "decode_scaled_fp8", [&]<typename Code>() {
      with_float_type(s.dtype, "decode_scaled_fp8", [&]<typename Scale>() {
        decode_scaled_as<Code, Scale>(context_, m, s, block_rows, block_cols, out);
      });
    });
  }

  void decode_grouped(const scheme::GroupedInt& weight, MatrixView out) override {
    host::check_grouped(weight, out);
    const std::int64_t groups = weight.groups();
    const std::int64_t size = weight.group_size;
    const std::int64_t cols = out.cols;
    const auto* codes = weight.codes.as<std::int8_t>();
    const auto* scales = weight.scales.as<float>();
    const std::int8_t* zeros = weight.symmetric() ? nullptr : weight.zeros.as<std::int8_t>();
    const auto to = rows_of<float>(out);
    each(context_, out.rows, cols, "decode_grouped", [=] __device__(std::int64_t n, std::int64_t k) {
      const std::int64_t g = n * groups + k / size;
      const int zero = zeros == nullptr ? 0 : zeros[g];
      to[n][k] = static_cast<float>(codes[n * cols + k] - zero) * scales[g];
    });
  }

  std::vector<float> block_maxima(ConstMatrixView x, std::int64_t block_rows,
                                  std::int64_t block_cols) override {
    const host::BlockGrid grid(x, block_rows, block_cols);
    const Temporary<float> most(context_, grid.rows * grid.cols);
    const auto from = rows_of<float>(x);
    float* to = most.data();
    const std::int64_t across = grid.cols;
    const std::int64_t rows = x.rows;
    const std::int64_t cols = x.cols;
    each_row(context_, grid.rows * grid.cols, block_rows * block_cols, "block_maxima",
             [=] __device__(std::int64_t at) {
               const std::int64_t i0 = at / across * block_rows;
               const std::int64_t j0 = at % across * block_cols;
               const std::int64_t height = i0 + block_rows < rows ? block_rows : rows - i0;
               const std::int64_t width = j0 + block_cols < cols ? block_cols : cols - j0;
               std::int32_t largest = 0;
               for (std::int64_t e = threadIdx.x; e < height * width; e += blockDim.x)
                 largest = max(largest, magnitude_bits(from[i0 + e / width][j0 + e % width]));
               largest = block_reduce(largest, Larger{});
               if (threadIdx.x == 0) to[at] = __int_as_float(largest);
             });
    return most.read();
  }

  void encode_scaled_fp8(ConstMatrixView x, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, float limit, MatrixView codes) override {
    const ConstMatrixView s = tensor::as_matrix(scales);
    host::check_encoding(x, s, block_rows, block_cols, limit, codes);
    with_float8_type(codes.dtype, "encode_scaled_fp8", [&]<typename Code>() {
      encode_as<Code>(context_, x, s, block_rows, block_cols, limit, codes);
    });
  }

  void round_fp8(MatrixView x, const scheme::Float8Rounding& rounding) override {
    host::check_float8(rounding.dtype, rounding.limit);
    with_float8_type(rounding.dtype, "round_fp8",
                     [&]<typename Code>() { round_as<Code>(context_, x, rounding); });
  }

  void fit_scales(ConstMatrixView w, const GridArgs& args, std::span<const float> column_weights,
                  MatrixView scales, MatrixView zeros) override {
    host::checked_fit(w, args, column_weights, scales);
    search_grid(context_, w, args, column_weights, scales, zeros);
  }

  void sweep_block(const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t, MatrixView codes,
                   MatrixView error) override {
    host::check_sweep(args, t0, t, codes, error);
    if (args.row_u.data != nullptr) return sweep_row_blocks(context_, args, t0, t, codes, error);
    sweep(context_, args, t0, t, codes, error);
  }

  void descend_block(const DescentArgs& args, ConstMatrixView gradient, MatrixView codes,
                     MatrixView error) override {
    host::check_descent(args, gradient, codes, error);
    if (args.m.data != nullptr) return descend_row_blocks(context_, args, gradient, codes, error);
    descend(context_, args, gradient, codes, error);
  }

  void round_to_grid(ConstMatrixView w, const GridArgs& args, ConstMatrixView scales,
                     ConstMatrixView zeros, MatrixView codes) override {
    host::checked_rounding(w, args, scales, codes);
    const auto from = rows_of<float>(w);
    const auto scale = rows_of<float>(scales);
    const auto zero = rows_of<float>(zeros);
    const auto to = rows_of<std::int8_t>(codes);
    const std::int64_t size = args.group_size;
    const auto lo = static_cast<float>(scheme::code_min(args.bits));
    const auto hi = static_cast<float>(scheme::code_max(args.bits));
    each(context_, w.rows, w.cols, "round_to_grid", [=] __device__(std::int64_t n, std::int64_t k) {
      const std::int64_t g = k / size;
      const float z = zero.data == nullptr ? 0.0F : zero[n][g];
      to[n][k] = static_cast<std::int8_t>(code_of(from[n][k], inverse_of(scale[n][g]), z, lo, hi));
    });
  }

 private:
  const Context& context_;
};

}  // namespace

std::unique_ptr<Codec> make_codec(const Context& context) {
  return std::make_unique<CudaCodec>(context);
}

}  // namespace whit::compute::cuda
