#include "model/finite.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace whit::model {

using tensor::Dtype;

namespace {

// Elements looked at before the flag is read; short enough to stay in cache.
constexpr std::size_t kBlock = 4096;

// Index of the first element whose magnitude bits reach `limit`, or `count`.
template <typename Bits>
std::size_t first_at_least(const std::byte* data, std::size_t count, Bits magnitude, Bits limit) {
  Bits block[kBlock];
  for (std::size_t start = 0; start < count; start += kBlock) {
    const std::size_t n = std::min(kBlock, count - start);
    std::memcpy(block, data + start * sizeof(Bits), n * sizeof(Bits));
    unsigned found = 0;
    for (std::size_t i = 0; i < n; ++i)
      found |= static_cast<Bits>(block[i] & magnitude) >= limit ? 1U : 0U;
    if (found == 0) continue;
    for (std::size_t i = 0; i < n; ++i)
      if (static_cast<Bits>(block[i] & magnitude) >= limit) return start + i;
  }
  return count;
}

}  // namespace

void require_finite(const std::string& name, const tensor::TensorView& host) {
  const auto count = static_cast<std::size_t>(host.elements());
  std::size_t first = count;
  switch (host.dtype) {
    case Dtype::kF32:
      first = first_at_least<std::uint32_t>(host.data, count, 0x7fffffffU, 0x7f800000U);
      break;
    case Dtype::kBF16:
      first = first_at_least<std::uint16_t>(host.data, count, 0x7fffU, 0x7f80U);
      break;
    case Dtype::kF16:
      first = first_at_least<std::uint16_t>(host.data, count, 0x7fffU, 0x7c00U);
      break;
    case Dtype::kF8E4M3:
    case Dtype::kF8E8M0:
      first = first_at_least<std::uint8_t>(host.data, count,
                                           host.dtype == Dtype::kF8E4M3 ? 0x7fU : 0xffU,
                                           host.dtype == Dtype::kF8E4M3 ? 0x7fU : 0xffU);
      break;
    default:
      return;
  }
  if (first != count)
    base::fail(base::ErrorKind::kInput, name,
               "NaN or infinity at element {} of {}; expected finite numbers", first, count);
}

}  // namespace whit::model
