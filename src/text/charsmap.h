#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace whit::text {

// Proves that SentencePiece's precompiled map can be walked: a size, a double array of that many
// bytes, and the strings that its leaves point to, all within bounds. Errors: kInput, subject as
// given. Source: the unit layout of darts-clone's double array.
void check_charsmap(std::string_view map, const std::string& subject);

// Such a map, applied as the Rust library does: a grapheme cluster of less than six bytes as a
// whole, else its characters one by one, each replaced by what the shortest prefix in the map says.
class Charsmap {
 public:
  // Errors: kInput, also where its strings are no UTF-8; subject as given.
  Charsmap(std::string_view map, const std::string& subject);

  // Appends what `text` (valid UTF-8) becomes to `out` and returns true, or returns false where
  // nothing changes. head: bytes of `out` that the first character became.
  bool apply(std::string_view text, std::string& out, std::size_t& head) const;

 private:
  std::optional<std::string_view> find(std::string_view chunk) const;
  bool replace_cluster(std::string_view cluster, std::string& out) const;

  std::string units_;
  std::string strings_;
  std::array<bool, 128> stays_{};  // ASCII characters that are not in the map
};

}  // namespace whit::text
