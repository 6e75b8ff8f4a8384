#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/charsmap.h"
#include "text/json_field.h"
#include "text/pattern.h"
#include "text/unicode_forms.h"

namespace whit::text {

// A section of text on its way through the normalizer.
struct NormalizedText {
  std::string_view text;
  // How many leading bytes stand for the first character of the whole input: none where the section
  // begins later, or where that character was removed. Metaspace's scheme "first" asks for it.
  std::size_t origin = 0;

  // Makes `made` the text.
  void take(std::string&& made) {
    owned_ = std::move(made);
    text = owned_;
  }

 private:
  std::string owned_;
};

struct LowercaseStep {};
struct NmtStep {};
struct StripAccentsStep {};
struct BytesStep {};  // every byte as one character of GPT-2's alphabet
struct PrependStep {
  std::string prefix;
};
struct ReplaceStep {
  Pattern pattern;
  std::string content;
};
struct StripStep {
  bool left;
  bool right;
};

// The field `normalizer` of tokenizer.json: Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Nmt,
// StripAccents, Prepend, Replace, Strip, Precompiled, ByteLevel.
// Errors: kUnsupported for another type, by its name; kInput, subject = field.
class Normalizer {
 public:
  explicit Normalizer(std::optional<Field> field);

  bool empty() const { return steps_.empty(); }
  // `text` must be valid UTF-8. Errors: kInput where a regular expression exceeds its limits, or
  // the text becomes more than 256 times as long (and more than 1 MiB).
  void apply(NormalizedText& text, RegexScratch& scratch) const;
  std::string apply(std::string_view text) const;

 private:
  using Step = std::variant<UnicodeForm, LowercaseStep, NmtStep, StripAccentsStep, BytesStep,
                            PrependStep, ReplaceStep, StripStep, Charsmap>;
  void add(const Field& field, int depth);

  std::vector<Step> steps_;
};

}  // namespace whit::text
