#include "text/normalizer.h"

#include <algorithm>
#include <array>

#include "text/base64.h"
#include "text/byte_level.h"
#include "text/limits.h"
#include "text/unicode_ranges.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

void check_growth(std::size_t made, std::size_t from) {
  if (made <= kGrowsFreely || made / kMaxGrowth <= from) return;
  base::fail(base::ErrorKind::kInput, "normalizer",
             "it makes {} bytes of {}; expected at most {} times as many", made, from, kMaxGrowth);
}

// Rewrites `text` character by character: `write(code, bytes, out)` appends what becomes of one.
// `origin` follows: what the characters at the input's beginning become.
template <typename Write>
void rewrite(NormalizedText& text, Write write) {
  std::string out;
  out.reserve(text.text.size() + text.text.size() / 8);
  std::size_t origin = 0;
  for (std::size_t at = 0; at < text.text.size();) {
    const Utf8Step step = utf8_step(text.text, at);
    write(step.code, text.text.substr(at, step.size), out);
    if (at < text.origin) origin = out.size();
    at += step.size;
  }
  text.origin = origin;
  text.take(std::move(out));
}

void apply_step(UnicodeForm form, NormalizedText& text, RegexScratch& /*scratch*/) {
  std::string out;
  if (!normalize_form(form, text.text, out)) return;
  // The first character of a form stands for the first that went in, with what it was split into.
  const std::size_t head = text.origin == 0 ? 0 : std::min(text.origin, out.size());
  text.origin = head == 0 ? 0 : std::max(head, utf8_step(out, 0).size);
  text.take(std::move(out));
}

void apply_step(const LowercaseStep& /*step*/, NormalizedText& text, RegexScratch& /*scratch*/) {
  rewrite(text, [](char32_t code, std::string_view bytes, std::string& out) {
    append_lowercase(code, bytes, out);
  });
}

void apply_step(const NmtStep& /*step*/, NormalizedText& text, RegexScratch& /*scratch*/) {
  rewrite(text, [](char32_t code, std::string_view bytes, std::string& out) {
    const bool dropped = (code >= 0x01 && code <= 0x08) || code == 0x0B ||
                         (code >= 0x0E && code <= 0x1F) || code == 0x7F || code == 0x8F ||
                         code == 0x9F;
    const bool space = code == 0x09 || code == 0x0A || code == 0x0C || code == 0x0D ||
                       code == 0x1680 || (code >= 0x200B && code <= 0x200F) || code == 0x2028 ||
                       code == 0x2029 || code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
    if (space) {
      out.push_back(' ');
    } else if (!dropped) {
      out.append(bytes);
    }
  });
}

void apply_step(const StripAccentsStep& /*step*/, NormalizedText& text, RegexScratch& /*scratch*/) {
  rewrite(text, [](char32_t code, std::string_view bytes, std::string& out) {
    if (!is_mark(code)) out.append(bytes);
  });
}

void apply_step(const BytesStep& /*step*/, NormalizedText& text, RegexScratch& /*scratch*/) {
  rewrite(text, [](char32_t /*code*/, std::string_view bytes, std::string& out) {
    out += to_byte_chars(bytes);
  });
}

void apply_step(const PrependStep& step, NormalizedText& text, RegexScratch& /*scratch*/) {
  if (text.text.empty()) return;
  std::string out;
  out.reserve(step.prefix.size() + text.text.size());
  out.append(step.prefix).append(text.text);
  if (text.origin > 0) text.origin += step.prefix.size();
  text.take(std::move(out));
}

void apply_step(const ReplaceStep& step, NormalizedText& text, RegexScratch& scratch) {
  std::vector<Part> parts;
  step.pattern.find(text.text, scratch, parts);
  const auto matches = static_cast<std::size_t>(
      std::count_if(parts.begin(), parts.end(), [](const Part& part) { return part.match; }));
  if (matches == 0) return;
  check_growth(matches * step.content.size(), text.text.size());
  std::string out;
  out.reserve(text.text.size() + text.text.size() / 4);
  std::size_t origin = 0;
  for (const Part& part : parts) {
    if (part.match) {
      // What replaces a match stands where its last character stood.
      out.append(step.content);
      if (part.end == 0 || part.end <= text.origin) origin = out.size();
    } else {
      if (part.begin < text.origin)
        origin = out.size() + std::min(part.end, text.origin) - part.begin;
      out.append(text.text.substr(part.begin, part.end - part.begin));
    }
  }
  text.origin = text.origin > 0 ? origin : 0;
  text.take(std::move(out));
}

void apply_step(const StripStep& step, NormalizedText& text, RegexScratch& /*scratch*/) {
  std::size_t begin = 0;
  std::size_t end = text.text.size();
  while (step.left && begin < end) {
    const Utf8Step next = utf8_step(text.text, begin);
    if (!is_white_space(next.code)) break;
    begin += next.size;
  }
  while (step.right && end > begin) {
    const std::size_t last = character_before(text.text, end);
    if (!is_white_space(utf8_step(text.text, last).code)) break;
    end = last;
  }
  text.text = text.text.substr(begin, end - begin);
  text.origin = text.origin > begin ? std::min(text.origin - begin, text.text.size()) : 0;
}

void apply_step(const Charsmap& map, NormalizedText& text, RegexScratch& /*scratch*/) {
  std::string out;
  std::size_t head = 0;
  if (!map.apply(text.text, out, head)) return;
  text.origin = text.origin > 0 ? head : 0;
  text.take(std::move(out));
}

std::optional<UnicodeForm> form_of(std::string_view type) {
  if (type == "NFC") return UnicodeForm::kNfc;
  if (type == "NFD") return UnicodeForm::kNfd;
  if (type == "NFKC") return UnicodeForm::kNfkc;
  if (type == "NFKD") return UnicodeForm::kNfkd;
  return std::nullopt;
}

}  // namespace

Normalizer::Normalizer(std::optional<Field> field) {
  if (field) add(*field, 0);
}

void Normalizer::add(const Field& field, int depth) {
  const std::string type = field.at("type").string();
  if (type == "Sequence") {
    if (depth >= kMaxNesting) field.fail_input("nested {} deep; expected less", depth);
    const Field items = field.at("normalizers");
    for (std::size_t i = 0; i < items.size(); ++i) add(items.item(i), depth + 1);
  } else if (const auto form = form_of(type)) {
    steps_.emplace_back(*form);
  } else if (type == "Lowercase") {
    steps_.emplace_back(LowercaseStep{});
  } else if (type == "Nmt") {
    steps_.emplace_back(NmtStep{});
  } else if (type == "StripAccents") {
    steps_.emplace_back(StripAccentsStep{});
  } else if (type == "ByteLevel") {
    steps_.emplace_back(BytesStep{});
  } else if (type == "Prepend") {
    steps_.emplace_back(PrependStep{field.at("prepend").string()});
  } else if (type == "Replace") {
    steps_.emplace_back(
        ReplaceStep{read_pattern(field.at("pattern")), field.at("content").string()});
  } else if (type == "Strip") {
    steps_.emplace_back(
        StripStep{field.at("strip_left").boolean(), field.at("strip_right").boolean()});
  } else if (type == "Precompiled") {
    const Field map = field.at("precompiled_charsmap");
    const auto bytes = decode_base64(map.string());
    if (!bytes) map.fail_input("not base64; expected SentencePiece's map in base64");
    steps_.emplace_back(Charsmap(*bytes, map.subject()));
  } else {
    field.fail_unsupported(
        "normalizer {:?}; whit knows Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Nmt, StripAccents, "
        "Prepend, Replace, Strip, Precompiled, ByteLevel",
        type);
  }
}

void Normalizer::apply(NormalizedText& text, RegexScratch& scratch) const {
  const std::size_t size = text.text.size();
  for (const Step& step : steps_) {
    std::visit([&](const auto& known) { apply_step(known, text, scratch); }, step);
    check_growth(text.text.size(), size);
  }
}

std::string Normalizer::apply(std::string_view text) const {
  RegexScratch scratch;
  NormalizedText made;
  made.text = text;
  apply(made, scratch);
  return std::string(made.text);
}

}  // namespace whit::text
