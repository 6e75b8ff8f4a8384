#include "text/unicode_forms.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/error.h"
#include "text/unicode_additions.h"
#include "text/unicode_ranges.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

// Above this only unassigned, private and tag characters lie, which no form changes.
constexpr char32_t kEnd = 0x30000;
constexpr char32_t kHangul = 0xAC00;  // syllables
constexpr char32_t kHanguls = 11172;

utf8proc_option_t options_of(UnicodeForm form) {
  unsigned options = UTF8PROC_STABLE;
  const bool compose = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  options |= compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

void append_mapped(UnicodeForm form, std::string_view text, std::string& out) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(mapped, &std::free);
  if (size < 0) {
    base::fail(base::ErrorKind::kInput, "text", "utf8proc says {:?} of {} bytes",
               utf8proc_errmsg(size), text.size());
  }
  out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
}

// What a form does with a character.
enum class Effect : unsigned char {
  kNone,    // nothing, whatever stands beside it
  kJoins,   // nothing by itself, but it may move or join with what stands before it
  kChanges  // it is written as something else
};

bool is_later(char32_t code) {
  return is_later_than_normalization(code) || is_unicode_addition(code);
}

// Ideographs and other long stretches that no form changes, and surrogates.
bool is_inert(char32_t code) {
  return (code >= 0x3400 && code < 0xA000) || (code >= 0xD800 && code < 0xE000) ||
         (code >= 0x17000 && code < 0x18D00) || (code >= 0x20000 && code < 0x2F800);
}

class Effects {
 public:
  explicit Effects(UnicodeForm form) : effects_(kEnd, Effect::kNone) {
    const bool composes = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
    std::fill_n(effects_.begin() + kHangul, kHanguls, composes ? Effect::kNone : Effect::kChanges);
    std::string character;
    std::string mapped;
    for (char32_t code = 0x80; code < kEnd; ++code) {
      if (code == kHangul) code += kHanguls;
      if (is_inert(code) || is_later(code)) continue;
      character.clear();
      mapped.clear();
      append_utf8(character, code);
      append_mapped(form, character, mapped);
      if (mapped != character) {
        effects_[code] = Effect::kChanges;
      } else if (utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->combining_class != 0) {
        effects_[code] = Effect::kJoins;
      }
    }
    if (composes) mark_seconds();
  }

  Effect of(char32_t code) const { return code < kEnd ? effects_[code] : Effect::kNone; }

 private:
  // The second characters of canonical pairs, which composition joins to a first: those of
  // decompositions, and Hangul's vowels and finals.
  void mark_seconds() {
    std::string character;
    std::string parts;
    for (char32_t code = 0x80; code < kEnd; ++code) {
      if (code == kHangul) code += kHanguls;
      if (is_inert(code) || is_later(code)) continue;
      character.clear();
      parts.clear();
      append_utf8(character, code);
      append_mapped(UnicodeForm::kNfd, character, parts);
      for (std::size_t at = utf8_step(parts, 0).size; at < parts.size();) {
        const Utf8Step step = utf8_step(parts, at);
        if (step.code < kEnd && effects_[step.code] == Effect::kNone) {
          effects_[step.code] = Effect::kJoins;
        }
        at += step.size;
      }
    }
    for (char32_t code = 0x1161; code <= 0x11C2; ++code) effects_[code] = Effect::kJoins;
  }

  std::vector<Effect> effects_;
};

const Effects& effects_of(UnicodeForm form) {
  static const Effects composed_at_first_use(UnicodeForm::kNfc);
  if (form == UnicodeForm::kNfc) return composed_at_first_use;
  static const std::array<Effects, 3> others = {
      Effects(UnicodeForm::kNfd), Effects(UnicodeForm::kNfkc), Effects(UnicodeForm::kNfkd)};
  return others[static_cast<std::size_t>(form) - 1];
}

}  // namespace

bool normalize_form(UnicodeForm form, std::string_view text, std::string& out) {
  const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  const auto first = std::find_if_not(text.begin(), text.end(), ascii);
  if (first == text.end()) return false;
  const Effects& effects = effects_of(form);
  // A stretch to be mapped begins at the last character before it that stands fast, and ends before
  // the next one.
  std::size_t copied = 0;  // of `text` in `out`
  std::size_t base = 0;    // where the last character with no effect begins
  for (auto at = static_cast<std::size_t>(first - text.begin()); at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      base = at++;
      continue;
    }
    Utf8Step step = utf8_step(text, at);
    if (effects.of(step.code) == Effect::kNone) {
      base = at;
      at += step.size;
      continue;
    }
    if (base < copied) base = copied;
    // A later character stands fast for itself and before what follows, so nothing joins it.
    if (base < at && is_later(utf8_step(text, base).code)) base = at;
    std::size_t end = at;
    while (end < text.size()) {
      step = utf8_step(text, end);
      if (effects.of(step.code) == Effect::kNone) break;
      end += step.size;
    }
    out.append(text.substr(copied, base - copied));
    append_mapped(form, text.substr(base, end - base), out);
    copied = base = at = end;
  }
  if (copied == 0) return false;
  out.append(text.substr(copied));
  return true;
}

void append_lowercase(char32_t code, std::string_view bytes, std::string& out) {
  if (code < 0x80) {
    out.push_back(code >= 'A' && code <= 'Z' ? static_cast<char>(code + 0x20)
                                             : static_cast<char>(code));
    return;
  }
  struct Later {
    char32_t begin;
    char32_t end;
    char32_t lower;  // of `begin`
  };
  // Capitals of Unicode 16 and 17, which utf8proc may not have.
  constexpr std::array<Later, 11> kLater = {{{0x1C89, 0x1C89, 0x1C8A},
                                             {0xA7CB, 0xA7CB, 0x264},
                                             {0xA7CC, 0xA7CC, 0xA7CD},
                                             {0xA7CE, 0xA7CE, 0xA7CF},
                                             {0xA7D2, 0xA7D2, 0xA7D3},
                                             {0xA7D4, 0xA7D4, 0xA7D5},
                                             {0xA7DA, 0xA7DA, 0xA7DB},
                                             {0xA7DC, 0xA7DC, 0x19B},
                                             {0x10D50, 0x10D65, 0x10D70},
                                             {0x16EA0, 0x16EB8, 0x16EBB},
                                             {0x130, 0x130, 'i'}}};
  for (const Later& range : kLater) {
    if (code < range.begin || code > range.end) continue;
    append_utf8(out, range.lower + (code - range.begin));
    if (code == 0x130) append_utf8(out, 0x307);
    return;
  }
  const auto lower = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
  if (lower == code) {
    out.append(bytes);
  } else {
    append_utf8(out, lower);
  }
}

bool is_grapheme_break(char32_t before, char32_t after, int& state) {
  // Marks that utf8proc may not have yet extend what is no control character.
  if (is_unicode_addition(after) && is_mark_addition(after)) {
    return before < 0x20 || (before >= 0x7F && before < 0xA0);
  }
  utf8proc_int32_t carried = state;
  const bool ends = utf8proc_grapheme_break_stateful(
      static_cast<utf8proc_int32_t>(before), static_cast<utf8proc_int32_t>(after), &carried);
  state = carried;
  return ends;
}

}  // namespace whit::text
