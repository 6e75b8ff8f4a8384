#include "text/sentence_piece_check.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

// A protobuf message, field by field.
class Message {
 public:
  Message(std::string_view bytes, std::string subject)
      : bytes_(bytes), subject_(std::move(subject)) {}

  struct Value {
    std::uint32_t field = 0;
    std::uint64_t number = 0;  // varint, or the bits of a fixed
    std::string_view bytes;    // of a length-delimited value
    std::uint32_t wire_type = 0;
  };

  bool next(Value& value) {
    if (at_ == bytes_.size()) return false;
    const std::uint64_t tag = varint();
    value = {};
    value.wire_type = static_cast<std::uint32_t>(tag & 7);
    if (tag >> 3 == 0 || tag >> 3 > UINT32_MAX) broken();
    value.field = static_cast<std::uint32_t>(tag >> 3);
    if (value.wire_type == 0) {
      value.number = varint();
    } else if (value.wire_type == 1 || value.wire_type == 5) {
      const std::string_view raw = take(value.wire_type == 1 ? 8 : 4);
      std::memcpy(&value.number, raw.data(), raw.size());
    } else if (value.wire_type == 2) {
      value.bytes = take(varint());
    } else {
      broken();
    }
    return true;
  }

  const std::string& subject() const { return subject_; }
  [[noreturn]] void broken() const {
    base::fail(base::ErrorKind::kInput, subject_,
               "broken at byte {}; expected a SentencePiece model or tokenizer.json", at_);
  }

 private:
  std::uint64_t varint() {
    std::uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) broken();
      const auto byte = static_cast<std::uint8_t>(bytes_[at_++]);
      result |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80) return result;
    }
    broken();
  }

  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size() - at_) broken();
    const std::string_view taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }

  std::string_view bytes_;
  std::string subject_;
  std::size_t at_ = 0;
};

[[noreturn]] void fail_map(const std::string& subject, std::string_view found) {
  base::fail(base::ErrorKind::kInput, subject, "{}; expected a map that stays within itself",
             found);
}

std::uint32_t unit_at(std::string_view units, std::size_t index) {
  std::uint32_t unit = 0;
  std::memcpy(&unit, units.data() + index * 4, 4);
  return unit;
}

// The map is a size, a double array of that many bytes, and the strings that its leaves point to.
// Children of a unit lie at (its place ^ its offset) ^ label, so with whole blocks of 256 units a
// first child within bounds puts all of them within bounds.
void check_charsmap(std::string_view map, const std::string& subject) {
  if (map.empty()) return;
  std::uint32_t trie_bytes = 0;
  if (map.size() <= sizeof(trie_bytes)) fail_map(subject, "too short");
  std::memcpy(&trie_bytes, map.data(), sizeof(trie_bytes));
  map.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes >= map.size()) fail_map(subject, "a double array beyond its end");
  if (trie_bytes == 0 || trie_bytes % 1024 != 0) fail_map(subject, "a double array of odd size");
  const std::string_view units = map.substr(0, trie_bytes);
  const std::string_view strings = map.substr(trie_bytes);
  if (strings.back() != '\0') fail_map(subject, "a last string without an end");
  const std::size_t count = trie_bytes / 4;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t unit = unit_at(units, i);
    if ((unit >> 31) != 0) continue;
    const std::size_t offset = static_cast<std::size_t>(unit >> 10) << ((unit & (1U << 9)) >> 6);
    const std::size_t child = i ^ offset;
    if (child >= count) fail_map(subject, "a child out of bounds");
    // With a leaf, the child of label 0 holds where its string begins.
    if ((unit & (1U << 8)) != 0 && (unit_at(units, child) & 0x7FFFFFFFU) >= strings.size()) {
      fail_map(subject, "a string out of bounds");
    }
  }
}

void check_piece(Message piece) {
  Message::Value value;
  while (piece.next(value)) {
    if (value.field == 1) {
      if (value.wire_type != 2) piece.broken();
      if (value.bytes.find('\0') != std::string_view::npos || !is_utf8(value.bytes)) {
        base::fail(base::ErrorKind::kInput, piece.subject(),
                   "not text; expected UTF-8 without NUL");
      }
    } else if (value.field == 2) {
      if (value.wire_type != 5) piece.broken();
      const auto bits = static_cast<std::uint32_t>(value.number);
      float score = 0;
      std::memcpy(&score, &bits, sizeof(score));
      if (!std::isfinite(score)) {
        base::fail(base::ErrorKind::kInput, piece.subject(), "score {}; expected a finite number",
                   score);
      }
    }
  }
}

void check_normalizer(Message spec, SentencePieceFacts* facts) {
  Message::Value value;
  while (spec.next(value)) {
    if (value.field == 2) {
      if (value.wire_type != 2) spec.broken();
      check_charsmap(value.bytes, spec.subject() + ".precompiled_charsmap");
    } else if (value.field == 3 && facts != nullptr) {
      facts->add_dummy_prefix = value.number != 0;
    }
  }
}

void check_trainer(Message spec) {
  Message::Value value;
  while (spec.next(value)) {
    if (value.field == 24 && value.number != 0) {
      base::fail(base::ErrorKind::kUnsupported, spec.subject(), "treat_whitespace_as_suffix");
    }
  }
}

}  // namespace

SentencePieceFacts check_sentence_piece_model(std::string_view model, const std::string& file) {
  SentencePieceFacts facts;
  Message root(model, file);
  Message::Value value;
  std::size_t pieces = 0;
  while (root.next(value)) {
    if (value.field > 5) continue;
    if (value.field != 0 && value.wire_type != 2) root.broken();
    switch (value.field) {
      case 1:
        check_piece(Message(value.bytes, fmt::format("{}: pieces[{}]", file, pieces++)));
        break;
      case 2:
        check_trainer(Message(value.bytes, file + ": trainer_spec"));
        break;
      case 3:
        check_normalizer(Message(value.bytes, file + ": normalizer_spec"), &facts);
        break;
      case 5:
        check_normalizer(Message(value.bytes, file + ": denormalizer_spec"), nullptr);
        break;
      default:
        break;
    }
  }
  if (pieces == 0) {
    base::fail(base::ErrorKind::kInput, file,
               "no pieces; expected a SentencePiece model or tokenizer.json");
  }
  return facts;
}

}  // namespace whit::text
