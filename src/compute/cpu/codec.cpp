#include <algorithm>

#include "base/error.h"
#include "compute/cpu/decode.h"
#include "compute/cpu/descend.h"
#include "compute/cpu/encode_fp8.h"
#include "compute/cpu/grid_search.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/parts.h"
#include "compute/cpu/row_blocks.h"
#include "compute/cpu/sweep.h"
#include "compute/host/codec_shape.h"
#include "compute/host/element.h"

namespace whit::compute::cpu {

namespace {

using base::check;

constexpr std::int64_t kRowPiece = 16;

class CpuCodec final : public Codec {
 public:
  explicit CpuCodec(int threads) : threads_(threads) {}

  void to_f32(const TensorView& in, MatrixView out) override {
    const ConstMatrixView m = tensor::as_matrix(in);
    check(m.rows == out.rows && m.cols == out.cols, "to_f32: extents");
    over_rows(out.rows, [&](std::int64_t i) { decode_row(m.rows_of(i, 1), out.row<float>(i)); });
  }

  void narrow(ConstMatrixView x, MatrixView out) override {
    host::check_narrow(x, out);
    over_rows(out.rows, [&](std::int64_t i) {
      for (std::int64_t j = 0; j < out.cols; ++j)
        out.row<std::uint16_t>(i)[j] = numeric::f32_to_bf16(x.row<float>(i)[j]);
    });
  }

  void decode_scaled_fp8(const TensorView& codes, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, MatrixView out) override {
    const ConstMatrixView m = tensor::as_matrix(codes);
    const ConstMatrixView s = tensor::as_matrix(scales);
    check(m.rows == out.rows && m.cols == out.cols, "decode_scaled_fp8: extents");
    host::check_scale_grid(m, s, block_rows, block_cols);
    const bool e4m3 = m.dtype == tensor::Dtype::kF8E4M3;
    if (!e4m3 && m.dtype != tensor::Dtype::kF8E5M2)
      base::fail(base::ErrorKind::kUnsupported, "decode_scaled_fp8",
                 "codes of type {}; expected F8_E4M3 or F8_E5M2", numeric::name_of(m.dtype));
    over_rows(out.rows, [&](std::int64_t i) {
      for (std::int64_t j = 0; j < out.cols; j += block_cols)
        decode_fp8(m.row<std::uint8_t>(i) + j, e4m3,
                   host::element(s, i / block_rows, j / block_cols), out.row<float>(i) + j,
                   std::min(block_cols, out.cols - j));
    });
  }

  void decode_grouped(const scheme::GroupedInt& weight, MatrixView out) override {
    host::check_grouped(weight, out);
    const std::int64_t groups = weight.groups();
    over_rows(out.rows, [&](std::int64_t n) {
      const std::int8_t* codes = weight.codes.as<std::int8_t>() + n * out.cols;
      const float* scales = weight.scales.as<float>() + n * groups;
      for (std::int64_t k = 0; k < out.cols; k += weight.group_size) {
        const std::int64_t g = k / weight.group_size;
        const int zero = weight.symmetric() ? 0 : weight.zeros.as<std::int8_t>()[n * groups + g];
        decode_group(codes + k, static_cast<float>(zero), scales[g], out.row<float>(n) + k,
                     std::min(weight.group_size, out.cols - k));
      }
    });
  }

  std::vector<float> block_maxima(ConstMatrixView x, std::int64_t block_rows,
                                  std::int64_t block_cols) override {
    const host::BlockGrid grid(x, block_rows, block_cols);
    std::vector<float> maxima(static_cast<std::size_t>(grid.rows * grid.cols));
    parallel_for(threads_, grid.rows, [&](std::int64_t r) {
      float* most = maxima.data() + r * grid.cols;
      for (std::int64_t i = r * block_rows; i < std::min((r + 1) * block_rows, x.rows); ++i)
        for (std::int64_t c = 0; c < grid.cols; ++c)
          most[c] =
              host::larger(most[c], magnitude_max(x.row<float>(i) + c * block_cols, grid.width(c)));
    });
    return maxima;
  }

  void encode_scaled_fp8(ConstMatrixView x, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, float limit, MatrixView codes) override {
    const ConstMatrixView s = tensor::as_matrix(scales);
    host::check_encoding(x, s, block_rows, block_cols, limit, codes);
    const bool e4m3 = codes.dtype == tensor::Dtype::kF8E4M3;
    over_rows(x.rows, [&](std::int64_t i) {
      for (std::int64_t j = 0; j < x.cols; j += block_cols)
        encode_fp8(x.row<float>(i) + j, e4m3, s.row<float>(i / block_rows)[j / block_cols], limit,
                   codes.row<std::uint8_t>(i) + j, std::min(block_cols, x.cols - j));
    });
  }

  void round_fp8(MatrixView x, const scheme::Float8Rounding& rounding) override {
    host::check_float8(rounding.dtype, rounding.limit);
    const bool e4m3 = rounding.dtype == tensor::Dtype::kF8E4M3;
    const std::int64_t piece = host::piece_of(rounding, x.cols);
    over_rows(x.rows, [&](std::int64_t i) {
      for (std::int64_t j = 0; j < x.cols; j += piece) {
        float* values = x.row<float>(i) + j;
        const std::int64_t width = std::min(piece, x.cols - j);
        const float scale =
            rounding.scale > 0 ? rounding.scale
                               : scheme::float8_scale(magnitude_max(values, width), rounding.limit);
        cpu::round_fp8(values, e4m3, scale, rounding.limit, width);
      }
    });
  }

  void fit_scales(ConstMatrixView w, const GridArgs& args, std::span<const float> column_weights,
                  MatrixView scales, MatrixView zeros) override {
    const std::int64_t groups = host::checked_fit(w, args, column_weights, scales);
    parallel_pieces(threads_, w.rows, 8, [&](std::int64_t begin, std::int64_t count) {
      SearchWork work(args.group_size);
      for (std::int64_t n = begin; n < begin + count; ++n) {
        for (std::int64_t g = 0; g < groups; ++g) {
          const std::int64_t k = g * args.group_size;
          const host::GroupGrid grid =
              fit_group(w.row<float>(n) + k, args,
                        column_weights.empty() ? nullptr : column_weights.data() + k, work);
          scales.row<float>(n)[g] = grid.scale;
          if (zeros.data != nullptr) zeros.row<float>(n)[g] = grid.zero;
        }
      }
    });
  }

  void sweep_block(const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t, MatrixView codes,
                   MatrixView error) override {
    if (args.row_u.data != nullptr) return sweep_row_blocks(threads_, args, t0, t, codes, error);
    sweep(threads_, args, t0, t, codes, error);
  }

  void descend_block(const DescentArgs& args, ConstMatrixView gradient, MatrixView codes,
                     MatrixView error) override {
    if (args.m.data != nullptr) return descend_row_blocks(threads_, args, gradient, codes, error);
    descend(threads_, args, gradient, codes, error);
  }

  void round_to_grid(ConstMatrixView w, const GridArgs& args, ConstMatrixView scales,
                     ConstMatrixView zeros, MatrixView codes) override {
    const std::int64_t groups = host::checked_rounding(w, args, scales, codes);
    over_rows(w.rows, [&](std::int64_t n) {
      for (std::int64_t g = 0; g < groups; ++g) {
        const std::int64_t k = g * args.group_size;
        round_group(w.row<float>(n) + k, scales.row<float>(n)[g],
                    zeros.data == nullptr ? 0.0F : zeros.row<float>(n)[g], args.bits,
                    codes.row<std::int8_t>(n) + k, args.group_size);
      }
    });
  }

 private:
  template <typename Body>
  void over_rows(std::int64_t rows, const Body& body) const {
    parallel_pieces(threads_, rows, kRowPiece, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t i = begin; i < begin + count; ++i) body(i);
    });
  }

  int threads_;
};

}  // namespace

std::unique_ptr<Codec> make_codec(int threads) {
  return std::make_unique<CpuCodec>(threads);
}

}  // namespace whit::compute::cpu
