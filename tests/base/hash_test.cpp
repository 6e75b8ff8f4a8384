#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace whit::base {
namespace {

std::string hash_of(std::string_view text) {
  return hash_hex(std::as_bytes(std::span(text)));
}

// Vectors of XXH3-128 with seed 0, as the reference xxhsum -H2 prints them.
TEST(Hash, KnownVectors) {
  EXPECT_EQ(hash_of(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_of("a"), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(hash_of("abc"), "06b05ab6733a618578af5f94892f3950");
}

TEST(Hash, AStreamInAnyPiecesIsOneHash) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 31 + i / 7);
  for (const std::size_t piece : {1, 3, 64, 255, 1024, 4999}) {
    Hasher hasher;
    for (std::size_t at = 0; at < text.size(); at += piece)
      hasher.update(std::string_view(text).substr(at, piece));
    EXPECT_EQ(hasher.hex(), hash_of(text)) << piece;
  }
}

TEST(Hash, EveryByteCounts) {
  std::string text(300, 'x');
  const std::string before = hash_of(text);
  for (std::size_t i = 0; i < text.size(); i += 37) {
    text[i] = 'y';
    EXPECT_NE(hash_of(text), before) << i;
    text[i] = 'x';
  }
  EXPECT_EQ(hash_of(text), before);
}

TEST(Hash, AMovedHasherGoesOn) {
  Hasher first;
  first.update("ab");
  Hasher second(std::move(first));
  second.update("c");
  EXPECT_EQ(second.hex(), hash_of("abc"));
}

}  // namespace
}  // namespace whit::base
