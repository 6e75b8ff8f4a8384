// What a tokenizer's file may ask for.
#pragma once

#include <cstddef>

namespace whit::text {

inline constexpr int kMaxNesting = 16;  // of normalizers, pre-tokenizers, ... within each other
// A step may make text so many times as long; short text may grow freely.
inline constexpr std::size_t kMaxGrowth = 256;
inline constexpr std::size_t kGrowsFreely = 1 << 20;  // bytes

}  // namespace whit::text
