#include "compute/cpu/decode.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"
#include "compute/cpu/multiversion.h"
#include "numeric/float_codec.h"

namespace whit::compute::cpu {

namespace {

template <typename Decode>
constexpr std::array<float, 256> table_of(Decode decode) {
  std::array<float, 256> table{};
  for (std::size_t i = 0; i < 256; ++i) table[i] = decode(static_cast<std::uint8_t>(i));
  return table;
}

constexpr std::array<float, 256> kE4M3 = table_of(numeric::e4m3_to_f32);
constexpr std::array<float, 256> kE5M2 = table_of(numeric::e5m2_to_f32);

WHIT_MULTIVERSION void decode_bf16(const std::uint16_t* in, float* out, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i)
    out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(in[i]) << 16);
}

// Half floats without branches: exponent and mantissa are moved in place and rebiased by a
// multiplication, which also normalises subnormals; infinity and NaN keep the top exponent.
WHIT_MULTIVERSION void decode_f16(const std::uint16_t* in, float* out, std::int64_t size) {
  constexpr float kRebias = 0x1p112F;
  for (std::int64_t i = 0; i < size; ++i) {
    const std::uint32_t code = in[i];
    const std::uint32_t sign = (code & 0x8000U) << 16;
    const std::uint32_t magnitude = (code & 0x7fffU) << 13;
    const float finite = std::bit_cast<float>(magnitude) * kRebias;
    const std::uint32_t top = magnitude >= 0x0f800000U ? 0x7f800000U : 0U;
    out[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(finite) | sign | top);
  }
}

}  // namespace

WHIT_MULTIVERSION void decode_fp8(const std::uint8_t* codes, bool e4m3, float scale, float* out,
                                  std::int64_t size) {
  const float* table = e4m3 ? kE4M3.data() : kE5M2.data();
  for (std::int64_t i = 0; i < size; ++i) out[i] = table[codes[i]] * scale;
}

WHIT_MULTIVERSION void decode_group(const std::int8_t* codes, float zero, float scale, float* out,
                                    std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = (static_cast<float>(codes[i]) - zero) * scale;
}

void decode_row(const ConstMatrixView& row, float* out) {
  switch (row.dtype) {
    case tensor::Dtype::kF32:
      std::copy_n(row.row<float>(0), row.cols, out);
      return;
    case tensor::Dtype::kBF16:
      decode_bf16(row.row<std::uint16_t>(0), out, row.cols);
      return;
    case tensor::Dtype::kF16:
      decode_f16(row.row<std::uint16_t>(0), out, row.cols);
      return;
    case tensor::Dtype::kF8E4M3:
    case tensor::Dtype::kF8E5M2:
      decode_fp8(row.row<std::uint8_t>(0), row.dtype == tensor::Dtype::kF8E4M3, 1.0F, out,
                 row.cols);
      return;
    default:
      break;
  }
  base::fail(base::ErrorKind::kUnsupported, "compute", "decoding type {}; expected a float type",
             numeric::name_of(row.dtype));
}

}  // namespace whit::compute::cpu
