#include "text/decoder.h"

#include <algorithm>

#include "text/byte_level.h"
#include "text/decode_stages.h"
#include "text/limits.h"
#include "text/metaspace.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

constexpr std::int64_t kMaxStrip = 1 << 20;

std::string one_character(const Field& field) {
  std::string text = field.string();
  if (text.empty() || utf8_step(text, 0).size != text.size()) {
    field.fail_input("{:?}; expected one character", text);
  }
  return text;
}

std::size_t count_of(const Field& field) {
  const std::int64_t count = field.integer();
  if (count < 0 || count > kMaxStrip) field.fail_input("{}; expected 0 to {}", count, kMaxStrip);
  return static_cast<std::size_t>(count);
}

}  // namespace

Decoder::Decoder(std::optional<Field> field) {
  if (field) {
    add(*field, 0);
  } else {
    steps_.emplace_back(Spaces{});
  }
  while (alone_ < steps_.size() && (std::holds_alternative<Replace>(steps_[alone_]) ||
                                    std::holds_alternative<Strip>(steps_[alone_]))) {
    ++alone_;
  }
  bytes_first_ = alone_ < steps_.size() && std::holds_alternative<Bytes>(steps_[alone_]);
}

void Decoder::add(const Field& field, int depth) {
  const std::string type = field.at("type").string();
  if (type == "Sequence") {
    if (depth >= kMaxNesting) field.fail_input("nested {} deep; expected less", depth);
    const Field items = field.at("decoders");
    for (std::size_t i = 0; i < items.size(); ++i) add(items.item(i), depth + 1);
  } else if (type == "ByteLevel") {
    steps_.emplace_back(Bytes{});
  } else if (type == "ByteFallback") {
    steps_.emplace_back(ByteFallback{});
  } else if (type == "Fuse") {
    steps_.emplace_back(Fuse{});
  } else if (type == "Strip") {
    steps_.emplace_back(Strip{one_character(field.at("content")), count_of(field.at("start")),
                              count_of(field.at("stop"))});
  } else if (type == "Replace") {
    steps_.emplace_back(Replace{read_pattern(field.at("pattern")), field.at("content").string()});
  } else if (type == "Metaspace") {
    const MetaspaceFields fields = read_metaspace(field);
    steps_.emplace_back(Metaspace{fields.replacement, fields.scheme != PrependScheme::kNever});
  } else if (type == "BPEDecoder") {
    const Field suffix = field.at("suffix");
    if (suffix.string().empty()) suffix.fail_input("empty; expected the end of a word");
    steps_.emplace_back(Suffix{suffix.string()});
  } else {
    field.fail_unsupported(
        "decoder {:?}; whit knows Sequence, ByteLevel, ByteFallback, Fuse, Strip, Replace, "
        "Metaspace, BPEDecoder",
        type);
  }
}

std::string Decoder::prepare(std::string_view token, RegexScratch& scratch) const {
  std::string text(token);
  for (std::size_t i = 0; i < alone_; ++i) {
    if (const auto* replace = std::get_if<Replace>(&steps_[i])) {
      text = replace_all(replace->pattern, replace->content, text, scratch);
    } else {
      text = strip_ends(std::get<Strip>(steps_[i]), text);
    }
  }
  return bytes_first_ ? from_byte_chars(text) : text;
}

Decoder::Run::Run(const Decoder& decoder, bool early) {
  stages_.push_back(make_sink(out_));
  for (std::size_t i = decoder.steps_.size(); i > decoder.alone_; --i) {
    DecodeStage& next = *stages_.back();
    const bool prepared = i == decoder.alone_ + 1;
    stages_.push_back(
        std::visit([&](const auto& step) { return make_stage(step, next, early, prepared); },
                   decoder.steps_[i - 1]));
  }
}

Decoder::Run::~Run() = default;

void Decoder::Run::push(std::string_view prepared, std::string& text) {
  stages_.back()->take(prepared, true);
  text += out_;
  out_.clear();
}

void Decoder::Run::finish(std::string& text) {
  stages_.back()->finish();
  text += out_;
  out_.clear();
}

}  // namespace whit::text
