#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "compute/host/codec_shape.h"
#include "compute/host/element.h"
#include "compute/host/grid.h"
#include "compute/reference/parts.h"

namespace whit::compute::reference {

namespace {

using base::check;

host::GroupGrid fit_group(const float* w, const GridArgs& args,
                          std::span<const float> column_weights) {
  float lo = 0;
  float hi = 0;
  for (std::int64_t k = 0; k < args.group_size; ++k) {
    lo = std::min(lo, w[k]);
    hi = std::max(hi, w[k]);
  }
  const host::GroupGrid widest = host::covering_grid(lo, hi, args);
  if (args.search == ScaleSearch::kAbsmax || (lo == 0 && hi == 0)) return widest;
  host::GroupGrid best = widest;
  double least = std::numeric_limits<double>::infinity();
  const int points = host::kSearchPoints * host::signs_of(args);
  for (int point = 0; point < points; ++point) {
    host::GroupGrid grid = widest;
    grid.scale = host::storable_scale(
        widest.scale * host::search_factor(point % host::kSearchPoints, !column_weights.empty()),
        args.scale_dtype);
    if (point >= host::kSearchPoints) grid.scale = -grid.scale;
    const double error =
        host::group_loss(w, args, grid, column_weights.empty() ? nullptr : column_weights.data());
    if (error < least) {
      least = error;
      best = grid;
    }
  }
  return best;
}

std::uint8_t encode(float value, tensor::Dtype dtype, float limit) {
  if (!std::isnan(value)) value = std::clamp(value, -limit, limit);
  return dtype == tensor::Dtype::kF8E4M3 ? numeric::f32_to_e4m3(value)
                                         : numeric::f32_to_e5m2(value);
}

class ReferenceCodec final : public Codec {
 public:
  void to_f32(const TensorView& in, MatrixView out) override {
    const ConstMatrixView m = tensor::as_matrix(in);
    check(m.rows == out.rows && m.cols == out.cols, "to_f32: extents");
    for (std::int64_t i = 0; i < out.rows; ++i)
      for (std::int64_t j = 0; j < out.cols; ++j) out.row<float>(i)[j] = host::element(m, i, j);
  }

  void narrow(ConstMatrixView x, MatrixView out) override {
    host::check_narrow(x, out);
    for (std::int64_t i = 0; i < out.rows; ++i)
      for (std::int64_t j = 0; j < out.cols; ++j)
        out.row<std::uint16_t>(i)[j] = numeric::f32_to_bf16(x.row<float>(i)[j]);
  }

  void decode_scaled_fp8(const TensorView& codes, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, MatrixView out) override {
    const ConstMatrixView m = tensor::as_matrix(codes);
    const ConstMatrixView s = tensor::as_matrix(scales);
    check(m.rows == out.rows && m.cols == out.cols, "decode_scaled_fp8: extents");
    host::check_scale_grid(m, s, block_rows, block_cols);
    for (std::int64_t i = 0; i < out.rows; ++i)
      for (std::int64_t j = 0; j < out.cols; ++j)
        out.row<float>(i)[j] =
            host::element(m, i, j) * host::element(s, i / block_rows, j / block_cols);
  }

  void decode_grouped(const scheme::GroupedInt& weight, MatrixView out) override {
    host::check_grouped(weight, out);
    const std::int64_t groups = weight.groups();
    for (std::int64_t n = 0; n < out.rows; ++n) {
      const std::int8_t* codes = weight.codes.as<std::int8_t>() + n * out.cols;
      for (std::int64_t k = 0; k < out.cols; ++k) {
        const std::int64_t g = n * groups + k / weight.group_size;
        const int zero = weight.symmetric() ? 0 : weight.zeros.as<std::int8_t>()[g];
        out.row<float>(n)[k] = static_cast<float>(codes[k] - zero) * weight.scales.as<float>()[g];
      }
    }
  }

  std::vector<float> block_maxima(ConstMatrixView x, std::int64_t block_rows,
                                  std::int64_t block_cols) override {
    const host::BlockGrid grid(x, block_rows, block_cols);
    std::vector<float> maxima(static_cast<std::size_t>(grid.rows * grid.cols));
    for (std::int64_t i = 0; i < x.rows; ++i)
      for (std::int64_t j = 0; j < x.cols; ++j) {
        float& most = maxima[static_cast<std::size_t>(i / block_rows * grid.cols + j / block_cols)];
        most = host::larger(most, std::abs(x.row<float>(i)[j]));
      }
    return maxima;
  }

  void encode_scaled_fp8(ConstMatrixView x, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, float limit, MatrixView codes) override {
    const ConstMatrixView s = tensor::as_matrix(scales);
    host::check_encoding(x, s, block_rows, block_cols, limit, codes);
    for (std::int64_t i = 0; i < x.rows; ++i)
      for (std::int64_t j = 0; j < x.cols; ++j)
        codes.row<std::uint8_t>(i)[j] = encode(
            x.row<float>(i)[j] / s.row<float>(i / block_rows)[j / block_cols], codes.dtype, limit);
  }

  void round_fp8(MatrixView x, const scheme::Float8Rounding& rounding) override {
    host::check_float8(rounding.dtype, rounding.limit);
    const std::int64_t piece = host::piece_of(rounding, x.cols);
    Tensor scale({1, 1}, tensor::Dtype::kF32);
    for (std::int64_t i = 0; i < x.rows; ++i)
      for (std::int64_t j = 0; j < x.cols; j += piece) {
        const MatrixView part = x.sub(i, 1, j, std::min(piece, x.cols - j));
        *scale.as<float>() =
            rounding.scale > 0
                ? rounding.scale
                : scheme::float8_scale(block_maxima(part, 1, part.cols)[0], rounding.limit);
        Tensor codes({1, part.cols}, rounding.dtype);
        encode_scaled_fp8(part, scale.view(), 1, part.cols, rounding.limit, codes.matrix());
        decode_scaled_fp8(codes.view(), scale.view(), 1, part.cols, part);
      }
  }

  void fit_scales(ConstMatrixView w, const GridArgs& args, std::span<const float> column_weights,
                  MatrixView scales, MatrixView zeros) override {
    const std::int64_t groups = host::checked_fit(w, args, column_weights, scales);
    for (std::int64_t n = 0; n < w.rows; ++n) {
      for (std::int64_t g = 0; g < groups; ++g) {
        const std::size_t first = static_cast<std::size_t>(g * args.group_size);
        const host::GroupGrid grid = fit_group(
            w.row<float>(n) + first, args,
            column_weights.empty()
                ? column_weights
                : column_weights.subspan(first, static_cast<std::size_t>(args.group_size)));
        scales.row<float>(n)[g] = grid.scale;
        if (zeros.data != nullptr) zeros.row<float>(n)[g] = grid.zero;
      }
    }
  }

  void sweep_block(const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t, MatrixView codes,
                   MatrixView error) override {
    host::check_sweep(args, t0, t, codes, error);
    const float lo = static_cast<float>(scheme::code_min(args.bits));
    const float hi = static_cast<float>(scheme::code_max(args.bits));
    const std::int64_t block = args.row_u.data == nullptr ? 1 : args.row_u.cols;
    std::vector<double> passed(static_cast<std::size_t>(t.rows));  // f + e of this column
    for (std::int64_t k = 0; k < t.cols; ++k) {
      for (std::int64_t n = 0; n < t.rows; ++n) {
        double target = static_cast<double>(t.row<float>(n)[k]);
        for (std::int64_t j = 0; j < k; ++j)
          target += static_cast<double>(error.row<float>(n)[j]) *
                    static_cast<double>(args.u.row<float>(j)[k]);
        const double feedback = target - static_cast<double>(t0.row<float>(n)[k]);
        for (std::int64_t i = n / block * block; i < n; ++i)
          target += passed[static_cast<std::size_t>(i)] *
                    static_cast<double>(args.row_u.row<float>(i)[n % block]);
        const std::int32_t g = args.column_group[static_cast<std::size_t>(k)];
        const float scale = args.scales.row<float>(n)[g];
        const float zero = args.zeros.data == nullptr ? 0.0F : args.zeros.row<float>(n)[g];
        const float code = host::code_of(static_cast<float>(target), scale, zero, lo, hi);
        codes.row<std::int8_t>(n)[k] = static_cast<std::int8_t>(code);
        error.row<float>(n)[k] = t0.row<float>(n)[k] - (code - zero) * scale;
        passed[static_cast<std::size_t>(n)] =
            feedback + static_cast<double>(error.row<float>(n)[k]);
      }
    }
  }

  void descend_block(const DescentArgs& args, ConstMatrixView gradient, MatrixView codes,
                     MatrixView error) override {
    host::check_descent(args, gradient, codes, error);
    const double lo = scheme::code_min(args.bits);
    const double hi = scheme::code_max(args.bits);
    const bool rows = args.m.data != nullptr;
    const std::int64_t block = rows ? args.m.cols : 1;
    const auto m_of = [&](std::int64_t i, std::int64_t n) {
      return rows ? static_cast<double>(args.m.row<float>(i)[n % block]) : 1.0;
    };
    std::vector<double> moved(static_cast<std::size_t>(codes.rows * codes.cols));
    for (std::int64_t k = 0; k < codes.cols; ++k) {
      for (std::int64_t n = 0; n < codes.rows; ++n) {
        double g = static_cast<double>(gradient.row<float>(n)[k]);
        const std::int64_t first = n / block * block;
        for (std::int64_t i = first; i < std::min(first + block, codes.rows); ++i)
          for (std::int64_t j = 0; j <= k; ++j)
            g -= m_of(i, n) * moved[static_cast<std::size_t>(i * codes.cols + j)] *
                 static_cast<double>(args.h.row<float>(j)[k]);
        const double h = static_cast<double>(args.h.row<float>(k)[k]) * m_of(n, n);
        const std::int32_t group = args.column_group[static_cast<std::size_t>(k)];
        const double scale = static_cast<double>(args.scales.row<float>(n)[group]);
        const double step = h > 0 ? g / (h * scale) : 0.0;
        std::int8_t& code = codes.row<std::int8_t>(n)[k];
        const double old = code;
        double best = old;
        if (std::abs(step) > 0.5 + static_cast<double>(kDescentMargin))
          best = std::nearbyint(std::min(std::max(old + step, lo), hi));
        code = static_cast<std::int8_t>(best);
        const double move = (best - old) * scale;
        moved[static_cast<std::size_t>(n * codes.cols + k)] = move;
        error.row<float>(n)[k] =
            static_cast<float>(static_cast<double>(error.row<float>(n)[k]) - move);
      }
    }
  }

  void round_to_grid(ConstMatrixView w, const GridArgs& args, ConstMatrixView scales,
                     ConstMatrixView zeros, MatrixView codes) override {
    host::checked_rounding(w, args, scales, codes);
    const float lo = static_cast<float>(scheme::code_min(args.bits));
    const float hi = static_cast<float>(scheme::code_max(args.bits));
    for (std::int64_t n = 0; n < w.rows; ++n) {
      for (std::int64_t k = 0; k < w.cols; ++k) {
        const std::int64_t g = k / args.group_size;
        const float zero = zeros.data == nullptr ? 0.0F : zeros.row<float>(n)[g];
        codes.row<std::int8_t>(n)[k] = static_cast<std::int8_t>(
            host::code_of(w.row<float>(n)[k], scales.row<float>(n)[g], zero, lo, hi));
      }
    }
  }
};

}  // namespace

std::unique_ptr<Codec> make_codec() {
  return std::make_unique<ReferenceCodec>();
}

}  // namespace whit::compute::reference
