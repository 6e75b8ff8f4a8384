#include "formats/bit_packing.h"

#include <bit>
#include <cstring>

#include "base/checked.h"

namespace whit::formats {

std::int64_t words_of(std::int64_t count, int bits, WordPacking packing) {
  if (packing == WordPacking::kWholeElements) return base::ceil_div<std::int64_t>(count, 32 / bits);
  // count * bits without overflow: whole blocks of 32 codes fill `bits` words.
  return count / 32 * bits + base::ceil_div<std::int64_t>(count % 32 * bits, 32);
}

std::optional<WordPacking> packing_of(std::int64_t count, int bits, std::int64_t words) {
  for (const WordPacking packing : {WordPacking::kDense, WordPacking::kWholeElements})
    if (words_of(count, bits, packing) == words) return packing;
  return std::nullopt;
}

namespace {

// Eight 4-bit codes, side by side in memory, as one word: a byte's sign bit of four becomes its
// offset, then bytes, pairs and quads move together.
std::uint32_t packed_nibbles(const std::int8_t* codes) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t v = 0;
  std::memcpy(&v, codes, sizeof(v));
  v = (v ^ 0x0808080808080808U) & 0x0f0f0f0f0f0f0f0fU;
  v = (v | v >> 4) & 0x00ff00ff00ff00ffU;
  v = (v | v >> 8) & 0x0000ffff0000ffffU;
  return static_cast<std::uint32_t>(v | v >> 16);
}

}  // namespace

void pack_codes(const std::int8_t* codes, std::int64_t code_stride, std::int64_t count, int bits,
                std::uint32_t* words, std::int64_t word_stride) {
  if (bits == 4 && code_stride == 1) {
    for (; count >= 8; count -= 8, codes += 8, words += word_stride) *words = packed_nibbles(codes);
  }
  const int offset = 1 << (bits - 1);
  std::uint64_t pending = 0;
  int filled = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto field = static_cast<std::uint32_t>(codes[i * code_stride] + offset);
    pending |= static_cast<std::uint64_t>(field) << filled;
    filled += bits;
    if (filled >= 32) {
      *words = static_cast<std::uint32_t>(pending);
      words += word_stride;
      pending >>= 32;
      filled -= 32;
    }
  }
  if (filled > 0) *words = static_cast<std::uint32_t>(pending);
}

void unpack_codes(const std::uint32_t* words, std::int64_t word_stride, std::int64_t count,
                  int bits, WordPacking packing, std::int8_t* codes, std::int64_t code_stride) {
  const int offset = 1 << (bits - 1);
  const std::uint64_t mask = (1U << bits) - 1;
  const bool dense = packing == WordPacking::kDense;
  std::uint64_t pending = 0;
  int available = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (available < bits) {
      if (!dense) pending = available = 0;
      pending |= static_cast<std::uint64_t>(*words) << available;
      words += word_stride;
      available += 32;
    }
    codes[i * code_stride] = static_cast<std::int8_t>(static_cast<int>(pending & mask) - offset);
    pending >>= bits;
    available -= bits;
  }
}

}  // namespace whit::formats
