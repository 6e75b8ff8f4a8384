#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/json_field.h"
#include "text/regex.h"

namespace whit::text {

// A text and its cut into pieces, by byte offsets into `text`.
struct Pieces {
  struct Range {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  std::string_view text;
  std::vector<Range> ranges;
  std::string owned;         // what `text` looks into once a step has rewritten it
  std::vector<Range> spare;  // the next step's ranges

  void reset(std::string_view whole);
  std::string_view piece(Range range) const {
    return text.substr(range.begin, range.end - range.begin);
  }
};

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitStep {
  Regex regex;
  SplitBehavior behavior;
  bool invert;
};

// Writes every byte as one character of GPT-2's alphabet, after cutting by GPT-2's regex.
struct ByteLevelStep {
  bool add_prefix_space;
  std::optional<Regex> regex;
};

// The field `pre_tokenizer` of tokenizer.json: Sequence, Split, Digits, ByteLevel.
// Errors: kUnsupported for another type, by its name; kInput, subject = field.
class PreTokenizer {
 public:
  explicit PreTokenizer(std::optional<Field> field);

  // The last step is ByteLevel: pieces are left as raw bytes, and the model reads bytes.
  bool yields_bytes() const { return yields_bytes_; }
  void apply(Pieces& pieces, RegexScratch& scratch) const;

 private:
  void add(const Field& field, int depth);

  std::vector<std::variant<SplitStep, ByteLevelStep>> steps_;
  bool yields_bytes_ = false;
};

}  // namespace whit::text
