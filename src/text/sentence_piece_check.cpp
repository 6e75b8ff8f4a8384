#include "text/sentence_piece_check.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "text/charsmap.h"
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

// The fields of a normalizer that decide whether text is taken as it is.
struct NormalizerFields {
  bool removes_spaces = true;
  bool escapes = true;
  bool has_map = false;
};

void check_normalizer(Message spec, SentencePieceFacts* facts, NormalizerFields& found) {
  Message::Value value;
  while (spec.next(value)) {
    if (value.field == 2) {
      if (value.wire_type != 2) spec.broken();
      check_charsmap(value.bytes, spec.subject() + ".precompiled_charsmap");
      found.has_map = !value.bytes.empty();
    } else if (value.field == 3 && facts != nullptr) {
      facts->add_dummy_prefix = value.number != 0;
    } else if (value.field == 4 || value.field == 5) {
      // Extra white space is removed unless the model says no; spaces are escaped unless it says
      // no.
      (value.field == 4 ? found.removes_spaces : found.escapes) = value.number != 0;
    }
  }
}

// Whether the model is BPE.
bool check_trainer(Message spec) {
  constexpr std::uint64_t kBpe = 2;
  bool bpe = false;
  Message::Value value;
  while (spec.next(value)) {
    if (value.field == 3) bpe = value.number == kBpe;
    if (value.field == 24 && value.number != 0) {
      base::fail(base::ErrorKind::kUnsupported, spec.subject(), "treat_whitespace_as_suffix");
    }
  }
  return bpe;
}

}  // namespace

SentencePieceFacts check_sentence_piece_model(std::string_view model, const std::string& file) {
  SentencePieceFacts facts;
  Message root(model, file);
  Message::Value value;
  std::size_t pieces = 0;
  bool bpe = false;
  NormalizerFields normalizer;
  NormalizerFields denormalizer;
  while (root.next(value)) {
    if (value.field > 5) continue;
    if (value.field != 0 && value.wire_type != 2) root.broken();
    switch (value.field) {
      case 1:
        check_piece(Message(value.bytes, fmt::format("{}: pieces[{}]", file, pieces++)));
        break;
      case 2:
        bpe = check_trainer(Message(value.bytes, file + ": trainer_spec"));
        break;
      case 3:
        check_normalizer(Message(value.bytes, file + ": normalizer_spec"), &facts, normalizer);
        break;
      case 5:
        check_normalizer(Message(value.bytes, file + ": denormalizer_spec"), nullptr, denormalizer);
        break;
      default:
        break;
    }
  }
  if (pieces == 0) {
    base::fail(base::ErrorKind::kInput, file,
               "no pieces; expected a SentencePiece model or tokenizer.json");
  }
  facts.plain_bpe = bpe && !normalizer.has_map && !normalizer.removes_spaces && normalizer.escapes;
  return facts;
}

}  // namespace whit::text
