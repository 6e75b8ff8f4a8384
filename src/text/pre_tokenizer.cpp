#include "text/pre_tokenizer.h"

#include <algorithm>
#include <limits>

#include "text/byte_level.h"
#include "text/limits.h"
#include "text/unicode_ranges.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

constexpr std::size_t kDefaultLength = 5;
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

SplitBehavior behavior_of(const Field& field) {
  const std::string name = field.string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  field.fail_unsupported("split behavior {:?}", name);
}

bool is_delimiter(char32_t code) {
  return !is_word(code) && !is_white_space(code);
}

// Whether two neighbouring parts become one piece; `match` and `previous` tell what each is, in the
// direction of travel.
bool joins(SplitBehavior behavior, bool match, bool previous) {
  return behavior == SplitBehavior::kContiguous ? match == previous : match && !previous;
}

void merge_parts(const std::vector<Part>& parts, const SplitStep& step, std::uint32_t base,
                 std::vector<Pieces::Range>& out) {
  const SplitBehavior behavior = step.behavior;
  const auto range_of = [&](const Part& part) {
    return Pieces::Range{base + static_cast<std::uint32_t>(part.begin),
                         base + static_cast<std::uint32_t>(part.end)};
  };
  if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
    for (const Part& part : parts) {
      const bool removed = behavior == SplitBehavior::kRemoved && part.match != step.invert;
      if (!removed && part.begin != part.end) out.push_back(range_of(part));
    }
    return;
  }
  const std::size_t first = out.size();
  bool previous = false;
  if (behavior == SplitBehavior::kMergedWithNext) {
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      const bool match = part->match != step.invert;
      if (out.size() > first && joins(behavior, match, previous)) {
        out.back().begin = range_of(*part).begin;
      } else {
        out.push_back(range_of(*part));
      }
      previous = match;
    }
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  } else {
    for (const Part& part : parts) {
      const bool match = part.match != step.invert;
      if (out.size() > first && joins(behavior, match, previous)) {
        out.back().end = range_of(part).end;
      } else {
        out.push_back(range_of(part));
      }
      previous = match;
    }
  }
  const auto empty = [](Pieces::Range range) { return range.begin == range.end; };
  out.erase(std::remove_if(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(), empty),
            out.end());
}

void apply_step(const SplitStep& step, Pieces& pieces, RegexScratch& scratch) {
  pieces.spare.clear();
  for (const Pieces::Range range : pieces.ranges) {
    step.pattern.find(pieces.piece(range), scratch, pieces.parts);
    merge_parts(pieces.parts, step, range.begin, pieces.spare);
  }
  pieces.ranges.swap(pieces.spare);
}

// Rewrites every piece through `rewrite_piece(piece, range, out)`, which appends.
template <typename Rewrite>
void rewrite(Pieces& pieces, Rewrite rewrite_piece) {
  std::string out;
  out.reserve(pieces.text.size() + pieces.ranges.size() + 8);
  std::size_t origin = 0;
  std::string head;  // what a piece's part before the origin's end becomes
  for (Pieces::Range& range : pieces.ranges) {
    const auto begin = static_cast<std::uint32_t>(out.size());
    rewrite_piece(pieces.piece(range), range, out);
    if (out.size() > std::numeric_limits<std::uint32_t>::max()) {
      base::fail(base::ErrorKind::kInput, "text", "more than 4 GiB; expected less at once");
    }
    if (range.begin < pieces.origin) {
      head.clear();
      rewrite_piece(pieces.piece(range).substr(0, pieces.origin - range.begin), range, head);
      origin = begin + head.size();
    }
    range = {begin, static_cast<std::uint32_t>(out.size())};
  }
  pieces.origin = origin;
  pieces.owned = std::move(out);
  pieces.text = pieces.owned;
}

void apply_step(const ByteLevelStep& step, Pieces& pieces, RegexScratch& scratch) {
  if (step.add_prefix_space) {
    rewrite(pieces, [](std::string_view piece, Pieces::Range /*range*/, std::string& out) {
      if (piece.front() != ' ') out.push_back(' ');
      out.append(piece);
    });
  }
  if (!step.pattern) return;
  pieces.spare.clear();
  for (const Pieces::Range range : pieces.ranges) {
    step.pattern->find(pieces.piece(range), scratch, pieces.parts);
    for (const Part& part : pieces.parts) {
      if (part.begin == part.end) continue;
      pieces.spare.push_back({range.begin + static_cast<std::uint32_t>(part.begin),
                              range.begin + static_cast<std::uint32_t>(part.end)});
    }
  }
  pieces.ranges.swap(pieces.spare);
}

void apply_step(const MetaspaceStep& step, Pieces& pieces, RegexScratch& /*scratch*/) {
  const std::string& mark = step.fields.replacement;
  rewrite(pieces, [&](std::string_view piece, Pieces::Range range, std::string& out) {
    const bool begins = piece.front() == ' ' || piece.substr(0, mark.size()) == mark;
    const bool wanted =
        step.fields.scheme == PrependScheme::kAlways ||
        (step.fields.scheme == PrependScheme::kFirst && range.begin < pieces.origin);
    if (wanted && !begins) out.append(mark);
    std::size_t done = 0;
    for (std::size_t at = piece.find(' '); at != std::string_view::npos;
         at = piece.find(' ', done)) {
      out.append(piece.substr(done, at - done)).append(mark);
      done = at + 1;
    }
    out.append(piece.substr(done));
  });
  if (!step.fields.split) return;
  pieces.spare.clear();
  for (Pieces::Range range : pieces.ranges) {
    const std::string_view piece = pieces.piece(range);
    const std::uint32_t base = range.begin;
    for (std::size_t at = piece.find(mark, 1); at != std::string_view::npos;
         at = piece.find(mark, at + 1)) {
      pieces.spare.push_back({range.begin, base + static_cast<std::uint32_t>(at)});
      range.begin = base + static_cast<std::uint32_t>(at);
    }
    pieces.spare.push_back(range);
  }
  pieces.ranges.swap(pieces.spare);
}

void apply_step(const FixedLengthStep& step, Pieces& pieces, RegexScratch& /*scratch*/) {
  pieces.spare.clear();
  for (Pieces::Range range : pieces.ranges) {
    std::size_t count = 0;
    for (std::size_t at = range.begin; at < range.end; ++count) {
      if (count == step.length) {
        pieces.spare.push_back({range.begin, static_cast<std::uint32_t>(at)});
        range.begin = static_cast<std::uint32_t>(at);
        count = 0;
      }
      at += utf8_step(pieces.text, at).size;
    }
    pieces.spare.push_back(range);
  }
  pieces.ranges.swap(pieces.spare);
}

std::size_t length_of(const Field& field) {
  const auto length = field.find("length");
  if (!length) return kDefaultLength;
  if (length->integer() < 1) length->fail_input("{}; expected 1 or more", length->integer());
  return static_cast<std::size_t>(length->integer());
}

}  // namespace

void Pieces::reset(std::string_view whole, std::size_t origin_bytes) {
  if (whole.size() > std::numeric_limits<std::uint32_t>::max()) {
    base::fail(base::ErrorKind::kInput, "text", "more than 4 GiB; expected less at once");
  }
  text = whole;
  origin = origin_bytes;
  ranges.clear();
  if (!whole.empty()) ranges.push_back({0, static_cast<std::uint32_t>(whole.size())});
}

PreTokenizer::PreTokenizer(std::optional<Field> field, bool model_reads_bytes) {
  if (!field) return;
  add(*field, 0);
  yields_bytes_ =
      model_reads_bytes && !steps_.empty() && std::holds_alternative<ByteLevelStep>(steps_.back());
}

// The steps that are one cut by a pattern.
bool PreTokenizer::add_split(const Field& field, const std::string& type) {
  const auto cut = [&](Pattern pattern, SplitBehavior behavior, bool invert = false) {
    steps_.emplace_back(SplitStep{std::move(pattern), behavior, invert});
    return true;
  };
  if (type == "Split") {
    return cut(read_pattern(field.at("pattern")), behavior_of(field.at("behavior")),
               field.boolean_or("invert", false));
  }
  if (type == "Digits") {
    return cut(Pattern(&is_numeric), field.boolean_or("individual_digits", false)
                                         ? SplitBehavior::kIsolated
                                         : SplitBehavior::kContiguous);
  }
  if (type == "Punctuation") {
    const auto behavior = field.find("behavior");
    return cut(Pattern(&is_punctuation),
               behavior ? behavior_of(*behavior) : SplitBehavior::kIsolated);
  }
  if (type == "WhitespaceSplit") return cut(Pattern(&is_white_space), SplitBehavior::kRemoved);
  if (type == "Whitespace") {
    cut(Pattern(&is_white_space), SplitBehavior::kRemoved);
    return cut(Pattern(&is_delimiter), SplitBehavior::kContiguous);
  }
  if (type == "BertPreTokenizer") {
    cut(Pattern(&is_white_space), SplitBehavior::kRemoved);
    return cut(Pattern(&is_punctuation), SplitBehavior::kIsolated);
  }
  if (type == "CharDelimiterSplit") {
    const Field delimiter = field.at("delimiter");
    if (delimiter.string().empty()) delimiter.fail_input("empty; expected a character");
    return cut(Pattern(delimiter.string()), SplitBehavior::kRemoved);
  }
  return false;
}

void PreTokenizer::add(const Field& field, int depth) {
  const std::string type = field.at("type").string();
  if (type == "Sequence") {
    if (depth >= kMaxNesting) field.fail_input("nested {} deep; expected less", depth);
    const Field items = field.at("pretokenizers");
    for (std::size_t i = 0; i < items.size(); ++i) add(items.item(i), depth + 1);
  } else if (type == "ByteLevel") {
    std::optional<Pattern> pattern;
    if (field.boolean_or("use_regex", true)) pattern.emplace(Regex(kGpt2Pattern, field.subject()));
    steps_.emplace_back(
        ByteLevelStep{field.boolean_or("add_prefix_space", true), std::move(pattern)});
  } else if (type == "Metaspace") {
    steps_.emplace_back(MetaspaceStep{read_metaspace(field)});
  } else if (type == "FixedLength") {
    steps_.emplace_back(FixedLengthStep{length_of(field)});
  } else if (!add_split(field, type)) {
    field.fail_unsupported(
        "pre-tokenizer {:?}; whit knows Sequence, Split, Digits, ByteLevel, Metaspace, "
        "Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, FixedLength, "
        "BertPreTokenizer",
        type);
  }
}

void PreTokenizer::apply(Pieces& pieces, RegexScratch& scratch) const {
  const std::size_t limit = std::max(pieces.text.size() * kMaxGrowth, kGrowsFreely);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (pieces.text.size() > limit) {
      base::fail(base::ErrorKind::kInput, "pre_tokenizer",
                 "it makes {} bytes of a text; expected at most {}", pieces.text.size(), limit);
    }
    std::visit([&](const auto& step) { apply_step(step, pieces, scratch); }, steps_[i]);
    const bool last = i + 1 == steps_.size();
    if (std::holds_alternative<ByteLevelStep>(steps_[i]) && !(last && yields_bytes_)) {
      rewrite(pieces, [](std::string_view piece, Pieces::Range /*range*/, std::string& out) {
        out += to_byte_chars(piece);
      });
    }
  }
}

}  // namespace whit::text
