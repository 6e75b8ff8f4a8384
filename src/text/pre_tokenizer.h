#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/json_field.h"
#include "text/metaspace.h"
#include "text/pattern.h"
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
  std::size_t origin = 0;    // pieces that begin before this begin at the input's first character
  std::string owned;         // what `text` looks into once a step has rewritten it
  std::vector<Range> spare;  // the next step's ranges
  std::vector<Part> parts;

  void reset(std::string_view whole, std::size_t origin_bytes);
  std::string_view piece(Range range) const {
    return text.substr(range.begin, range.end - range.begin);
  }
};

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitStep {
  Pattern pattern;
  SplitBehavior behavior;
  bool invert;
};

// Writes every byte as one character of GPT-2's alphabet, after cutting by GPT-2's regex.
struct ByteLevelStep {
  bool add_prefix_space;
  std::optional<Pattern> pattern;
};

// Writes spaces as `replacement`, puts one before a piece by the scheme, and cuts before each.
struct MetaspaceStep {
  MetaspaceFields fields;
};

// Cuts into pieces of so many characters.
struct FixedLengthStep {
  std::size_t length;
};

// The field `pre_tokenizer` of tokenizer.json: Sequence, Split, Digits, ByteLevel, Metaspace,
// Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, FixedLength, BertPreTokenizer.
// Errors: kUnsupported for another type, by its name; kInput, subject = field.
class PreTokenizer {
 public:
  // model_reads_bytes: where the last step is ByteLevel, pieces may be left as raw bytes.
  PreTokenizer(std::optional<Field> field, bool model_reads_bytes);

  // Pieces are left as raw bytes, each standing for its character of GPT-2's alphabet.
  bool yields_bytes() const { return yields_bytes_; }
  void apply(Pieces& pieces, RegexScratch& scratch) const;

 private:
  void add(const Field& field, int depth);
  bool add_split(const Field& field, const std::string& type);

  std::vector<std::variant<SplitStep, ByteLevelStep, MetaspaceStep, FixedLengthStep>> steps_;
  bool yields_bytes_ = false;
};

}  // namespace whit::text
