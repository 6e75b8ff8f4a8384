#include "text/pre_tokenizer.h"

#include <algorithm>
#include <limits>

#include "text/byte_level.h"

namespace whit::text {

namespace {

constexpr int kMaxDepth = 16;
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Rust's char::is_numeric.
constexpr std::string_view kNumeric = R"(\p{N})";

SplitBehavior behavior_of(const Field& field) {
  const std::string name = field.string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  field.fail_unsupported("split behavior {:?}", name);
}

std::string escaped(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!word && static_cast<unsigned char>(c) < 0x80 && c != '\n' && c != '\r' && c != '\t') {
      out.push_back('\\');
    }
    out.push_back(c);
  }
  return out;
}

SplitStep split_step(const Field& field) {
  const Field pattern = field.at("pattern");
  std::optional<Field> literal = pattern.find("String");
  const Field source = literal ? *literal : pattern.at("Regex");
  const std::string text = source.string();
  if (text.empty()) source.fail_input("an empty pattern; expected something to split by");
  return {Regex(literal ? escaped(text) : text, source.subject()),
          behavior_of(field.at("behavior")), field.boolean_or("invert", false)};
}

// Whether two neighbouring parts become one piece; `match` and `previous` tell what each is, in the
// direction of travel.
bool joins(SplitBehavior behavior, bool match, bool previous) {
  return behavior == SplitBehavior::kContiguous ? match == previous : match && !previous;
}

struct Part {
  Pieces::Range range;
  bool match;
};

// All of `piece`, in matches and what lies between them.
void find_parts(const Regex& regex, std::string_view piece, std::uint32_t base, bool invert,
                RegexScratch& scratch, std::vector<Part>& parts) {
  parts.clear();
  const auto put = [&](std::size_t begin, std::size_t end, bool match) {
    parts.push_back(
        {{base + static_cast<std::uint32_t>(begin), base + static_cast<std::uint32_t>(end)},
         match != invert});
  };
  std::size_t previous = 0;
  std::size_t from = 0;
  bool any = false;
  while (from <= piece.size()) {
    const auto match = regex.search(piece, from, scratch);
    if (!match) break;
    if (match->begin == match->end && any && match->end == previous) {
      // An empty match right after a match does not count: step over one character.
      std::size_t step = 1;
      while (from + step < piece.size() &&
             (static_cast<unsigned char>(piece[from + step]) & 0xC0) == 0x80) {
        ++step;
      }
      from += step;
      continue;
    }
    if (previous != match->begin) put(previous, match->begin, false);
    put(match->begin, match->end, true);
    previous = from = match->end;
    any = true;
  }
  if (previous != piece.size()) put(previous, piece.size(), false);
}

void merge_parts(const std::vector<Part>& parts, SplitBehavior behavior,
                 std::vector<Pieces::Range>& out) {
  const auto keep = [&](Pieces::Range range) {
    if (range.begin != range.end) out.push_back(range);
  };
  if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
    for (const Part& part : parts) {
      if (!part.match || behavior == SplitBehavior::kIsolated) keep(part.range);
    }
    return;
  }
  const std::size_t first = out.size();
  bool previous = false;
  if (behavior == SplitBehavior::kMergedWithNext) {
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      if (out.size() > first && joins(behavior, part->match, previous)) {
        out.back().begin = part->range.begin;
      } else {
        out.push_back(part->range);
      }
      previous = part->match;
    }
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  } else {
    for (const Part& part : parts) {
      if (out.size() > first && joins(behavior, part.match, previous)) {
        out.back().end = part.range.end;
      } else {
        out.push_back(part.range);
      }
      previous = part.match;
    }
  }
  const auto empty = [](Pieces::Range range) { return range.begin == range.end; };
  out.erase(std::remove_if(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(), empty),
            out.end());
}

void split(Pieces& pieces, const Regex& regex, SplitBehavior behavior, bool invert,
           RegexScratch& scratch) {
  pieces.spare.clear();
  std::vector<Part> parts;
  for (const Pieces::Range range : pieces.ranges) {
    find_parts(regex, pieces.piece(range), range.begin, invert, scratch, parts);
    merge_parts(parts, behavior, pieces.spare);
  }
  pieces.ranges.swap(pieces.spare);
}

// Rewrites every piece through `rewrite(piece, out)`, which appends.
template <typename Rewrite>
void rewrite(Pieces& pieces, Rewrite rewrite_piece) {
  std::string out;
  out.reserve(pieces.text.size());
  for (Pieces::Range& range : pieces.ranges) {
    const auto begin = static_cast<std::uint32_t>(out.size());
    rewrite_piece(pieces.piece(range), out);
    if (out.size() > std::numeric_limits<std::uint32_t>::max()) {
      base::fail(base::ErrorKind::kInput, "text", "more than 4 GiB; expected less at once");
    }
    range = {begin, static_cast<std::uint32_t>(out.size())};
  }
  pieces.owned = std::move(out);
  pieces.text = pieces.owned;
}

}  // namespace

void Pieces::reset(std::string_view whole) {
  if (whole.size() > std::numeric_limits<std::uint32_t>::max()) {
    base::fail(base::ErrorKind::kInput, "text", "more than 4 GiB; expected less at once");
  }
  text = whole;
  ranges.clear();
  if (!whole.empty()) ranges.push_back({0, static_cast<std::uint32_t>(whole.size())});
}

PreTokenizer::PreTokenizer(std::optional<Field> field) {
  if (!field) return;
  add(*field, 0);
  yields_bytes_ = !steps_.empty() && std::holds_alternative<ByteLevelStep>(steps_.back());
}

void PreTokenizer::add(const Field& field, int depth) {
  const std::string type = field.at("type").string();
  if (type == "Sequence") {
    if (depth >= kMaxDepth) field.fail_input("nested {} deep; expected less", depth);
    const Field items = field.at("pretokenizers");
    for (std::size_t i = 0; i < items.size(); ++i) add(items.item(i), depth + 1);
  } else if (type == "Split") {
    steps_.emplace_back(split_step(field));
  } else if (type == "Digits") {
    const bool individual = field.boolean_or("individual_digits", false);
    steps_.emplace_back(
        SplitStep{Regex(kNumeric, field.subject()),
                  individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, false});
  } else if (type == "ByteLevel") {
    std::optional<Regex> regex;
    if (field.boolean_or("use_regex", true)) regex.emplace(kGpt2Pattern, field.subject());
    steps_.emplace_back(
        ByteLevelStep{field.boolean_or("add_prefix_space", true), std::move(regex)});
  } else {
    field.fail_unsupported("pre-tokenizer {:?}; whit knows Sequence, Split, Digits, ByteLevel",
                           type);
  }
}

void PreTokenizer::apply(Pieces& pieces, RegexScratch& scratch) const {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (const auto* step = std::get_if<SplitStep>(&steps_[i])) {
      split(pieces, step->regex, step->behavior, step->invert, scratch);
      continue;
    }
    const auto& step = std::get<ByteLevelStep>(steps_[i]);
    if (step.add_prefix_space) {
      rewrite(pieces, [](std::string_view piece, std::string& out) {
        if (piece.front() != ' ') out.push_back(' ');
        out.append(piece);
      });
    }
    if (step.regex) split(pieces, *step.regex, SplitBehavior::kIsolated, false, scratch);
    if (i + 1 < steps_.size()) {
      rewrite(pieces,
              [](std::string_view piece, std::string& out) { out += to_byte_chars(piece); });
    }
  }
}

}  // namespace whit::text
