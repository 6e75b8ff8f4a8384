#include "scheme/scheme.h"

#include <array>

#include "base/checked.h"
#include "numeric/float_codec.h"

namespace whit::scheme {

namespace {

constexpr std::array<std::string_view, 7> kStrategyNames{
    "tensor", "channel", "group", "block", "token", "tensor_group", "attn_head"};

tensor::Tensor decode_one(const GroupedInt& w) {
  tensor::Tensor out({w.rows(), w.cols()}, tensor::Dtype::kF32);
  const std::int64_t groups = w.groups();
  for (std::int64_t n = 0; n < w.rows(); ++n) {
    const auto* codes = w.codes.as<std::int8_t>() + n * w.cols();
    const float* scales = w.scales.as<float>() + n * groups;
    const std::int8_t* zeros = w.symmetric() ? nullptr : w.zeros.as<std::int8_t>() + n * groups;
    float* row = out.as<float>() + n * w.cols();
    for (std::int64_t k = 0; k < w.cols(); ++k) {
      const std::int64_t g = k / w.group_size;
      const int zero = zeros == nullptr ? 0 : zeros[g];
      row[k] = static_cast<float>(codes[k] - zero) * scales[g];
    }
  }
  return out;
}

tensor::Tensor decode_one(const ScaledFloat8& w) {
  tensor::Tensor out({w.rows(), w.cols()}, tensor::Dtype::kF32);
  const bool e4m3 = w.codes.dtype() == tensor::Dtype::kF8E4M3;
  const std::int64_t scale_cols = w.scales.shape()[1];
  for (std::int64_t n = 0; n < w.rows(); ++n) {
    const auto* codes = w.codes.as<std::uint8_t>() + n * w.cols();
    const float* scales = w.scales.as<float>() + n / w.block_rows * scale_cols;
    float* row = out.as<float>() + n * w.cols();
    for (std::int64_t k = 0; k < w.cols(); ++k) {
      const float value = e4m3 ? numeric::e4m3_to_f32(codes[k]) : numeric::e5m2_to_f32(codes[k]);
      row[k] = value * scales[k / w.block_cols];
    }
  }
  return out;
}

tensor::Tensor decode_one(const VectorCodes& w) {
  return decode_matrix(w);
}
}  // namespace

std::string_view name_of(Strategy strategy) {
  return kStrategyNames[static_cast<std::size_t>(strategy)];
}

std::optional<Strategy> strategy_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kStrategyNames.size(); ++i)
    if (kStrategyNames[i] == name) return static_cast<Strategy>(i);
  return std::nullopt;
}

std::int64_t QuantArgs::groups(std::int64_t cols) const {
  return group_size > 0 ? base::ceil_div(cols, group_size) : 1;
}

std::int64_t rows_of(const QuantizedWeight& weight) {
  return std::visit([](const auto& w) { return w.rows(); }, weight);
}

std::int64_t cols_of(const QuantizedWeight& weight) {
  return std::visit([](const auto& w) { return w.cols(); }, weight);
}

tensor::Tensor decode(const QuantizedWeight& weight) {
  return std::visit([](const auto& w) { return decode_one(w); }, weight);
}

}  // namespace whit::scheme
