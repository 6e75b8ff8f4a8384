#pragma once

#include <cstdint>
#include <optional>

// Signed codes as fields of 32-bit words, lowest field first, each stored as code + 2^(bits-1).
namespace whit::formats {

enum class WordPacking : std::uint8_t {
  kDense,          // a bit stream; fields may straddle words
  kWholeElements,  // floor(32/bits) fields a word (releases before dense packing)
};

std::int64_t words_of(std::int64_t count, int bits, WordPacking packing);

// How `count` codes came to fill `words`; nullopt where they do not. Where both packings need as
// many words, the answer is the dense one.
std::optional<WordPacking> packing_of(std::int64_t count, int bits, std::int64_t words);

// `count` codes, `code_stride` apart, into words_of(count, bits, kDense) zeroed words,
// `word_stride` apart. Bits behind the last code stay 0.
void pack_codes(const std::int8_t* codes, std::int64_t code_stride, std::int64_t count, int bits,
                std::uint32_t* words, std::int64_t word_stride);

// The inverse, of either packing.
void unpack_codes(const std::uint32_t* words, std::int64_t word_stride, std::int64_t count,
                  int bits, WordPacking packing, std::int8_t* codes, std::int64_t code_stride);

}  // namespace whit::formats
