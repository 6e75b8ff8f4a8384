#include "text/charsmap.h"

#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "text/unicode_forms.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

constexpr std::size_t kMaxCluster = 6;  // bytes; longer ones are not looked up whole

[[noreturn]] void fail_map(const std::string& subject, std::string_view found) {
  base::fail(base::ErrorKind::kInput, subject, "{}; expected a map that stays within itself",
             found);
}

std::uint32_t unit_at(std::string_view units, std::size_t index) {
  std::uint32_t unit = 0;
  std::memcpy(&unit, units.data() + index * 4, 4);
  return unit;
}

constexpr std::uint32_t kLeafBit = 1U << 31;  // of a unit that holds a value
bool has_leaf(std::uint32_t unit) {
  return (unit & (1U << 8)) != 0;
}
std::size_t offset_of(std::uint32_t unit) {
  return static_cast<std::size_t>(unit >> 10) << ((unit & (1U << 9)) >> 6);
}

std::size_t array_bytes(std::string_view map) {
  std::uint32_t bytes = 0;
  std::memcpy(&bytes, map.data(), sizeof(bytes));
  return bytes;
}

}  // namespace

// Children of a unit lie at (its place ^ its offset) ^ label, so with whole blocks of 256 units a
// first child within bounds puts all of them within bounds.
void check_charsmap(std::string_view map, const std::string& subject) {
  if (map.empty()) return;
  if (map.size() <= sizeof(std::uint32_t)) fail_map(subject, "too short");
  const std::size_t bytes = array_bytes(map);
  map.remove_prefix(sizeof(std::uint32_t));
  if (bytes >= map.size()) fail_map(subject, "a double array beyond its end");
  if (bytes == 0 || bytes % 1024 != 0) fail_map(subject, "a double array of odd size");
  const std::string_view units = map.substr(0, bytes);
  const std::string_view strings = map.substr(bytes);
  if (strings.back() != '\0') fail_map(subject, "a last string without an end");
  const std::size_t count = bytes / 4;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t unit = unit_at(units, i);
    if ((unit & kLeafBit) != 0) continue;
    const std::size_t child = i ^ offset_of(unit);
    if (child >= count) fail_map(subject, "a child out of bounds");
    // With a leaf, the child of label 0 holds where its string begins.
    if (has_leaf(unit) && (unit_at(units, child) & ~kLeafBit) >= strings.size()) {
      fail_map(subject, "a string out of bounds");
    }
  }
}

Charsmap::Charsmap(std::string_view map, const std::string& subject) {
  check_charsmap(map, subject);
  if (!map.empty()) {
    const std::size_t bytes = array_bytes(map);
    map.remove_prefix(sizeof(std::uint32_t));
    units_ = map.substr(0, bytes);
    strings_ = map.substr(bytes);
  }
  if (!is_utf8(strings_)) fail_map(subject, "strings that are no UTF-8");
  for (std::size_t i = 0; i < units_.size() / 4; ++i) {
    const std::uint32_t unit = unit_at(units_, i);
    if ((unit & kLeafBit) != 0 || !has_leaf(unit)) continue;
    const std::size_t at = unit_at(units_, i ^ offset_of(unit)) & ~kLeafBit;
    if ((static_cast<unsigned char>(strings_[at]) & 0xC0) == 0x80) {
      fail_map(subject, "a string that begins within a character");
    }
  }
  for (std::size_t c = 0; c < stays_.size(); ++c) {
    const char character = static_cast<char>(c);
    // A carriage return may be half a cluster.
    stays_[c] = character != '\r' && !find({&character, 1});
  }
}

std::optional<std::string_view> Charsmap::find(std::string_view chunk) const {
  if (units_.empty()) return std::nullopt;
  std::size_t at = offset_of(unit_at(units_, 0));
  for (const char c : chunk) {
    const auto label = static_cast<std::uint8_t>(c);
    if (label == 0) break;
    at ^= label;
    const std::uint32_t unit = unit_at(units_, at);
    if ((unit & (kLeafBit | 0xFFU)) != label) break;
    at ^= offset_of(unit);
    if (has_leaf(unit)) {
      const std::size_t begin = unit_at(units_, at) & ~kLeafBit;
      return std::string_view(strings_.c_str() + begin);
    }
  }
  return std::nullopt;
}

bool Charsmap::replace_cluster(std::string_view cluster, std::string& out) const {
  if (cluster.size() < kMaxCluster) {
    if (const auto whole = find(cluster)) {
      out.append(*whole);
      return true;
    }
  }
  bool changed = false;
  for (std::size_t at = 0; at < cluster.size();) {
    const std::string_view character = cluster.substr(at, utf8_step(cluster, at).size);
    const auto found = find(character);
    changed = changed || found;
    out.append(found ? *found : character);
    at += character.size();
  }
  return changed;
}

bool Charsmap::apply(std::string_view text, std::string& out, std::size_t& head) const {
  const auto ascii = [&](std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) < 0x80 : true;
  };
  bool changed = false;
  out.reserve(text.size());
  head = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    while (at < text.size() && ascii(at) && ascii(at + 1) &&
           stays_[static_cast<std::size_t>(text[at])])
      ++at;
    // What stays of a run is one character a cluster, but for CR LF.
    out.append(text.substr(begin, at - begin));
    if (head == 0 && !out.empty()) head = 1;
    if (at == text.size()) break;
    Utf8Step step = utf8_step(text, at);
    std::size_t end = at + step.size;
    int state = 0;
    bool single = true;
    for (char32_t before = step.code; end < text.size(); before = step.code) {
      step = utf8_step(text, end);
      if (is_grapheme_break(before, step.code, state)) break;
      end += step.size;
      single = false;
    }
    changed = replace_cluster(text.substr(at, end - at), out) || changed;
    if (head == 0 && !out.empty()) head = single && at == 0 ? out.size() : utf8_step(out, 0).size;
    at = end;
  }
  return changed;
}

}  // namespace whit::text
