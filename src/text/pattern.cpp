#include "text/pattern.h"

#include "text/utf8.h"

namespace whit::text {

namespace {

void find_regex(const Regex& regex, std::string_view text, RegexScratch& scratch,
                std::vector<Part>& parts) {
  std::size_t previous = 0;
  std::size_t from = 0;
  bool any = false;
  while (from <= text.size()) {
    const auto match = regex.search(text, from, scratch);
    if (!match) break;
    if (match->begin == match->end && any && match->end == previous) {
      // An empty match right after a match does not count: step over one character.
      std::size_t step = 1;
      while (from + step < text.size() &&
             (static_cast<unsigned char>(text[from + step]) & 0xC0) == 0x80) {
        ++step;
      }
      from += step;
      continue;
    }
    if (previous != match->begin) parts.push_back({previous, match->begin, false});
    parts.push_back({match->begin, match->end, true});
    previous = from = match->end;
    any = true;
  }
  if (previous != text.size()) parts.push_back({previous, text.size(), false});
}

void find_literal(std::string_view literal, std::string_view text, std::vector<Part>& parts) {
  std::size_t previous = 0;
  for (;;) {
    const std::size_t at = text.find(literal, previous);
    if (at == std::string_view::npos) break;
    if (previous != at) parts.push_back({previous, at, false});
    previous = at + literal.size();
    parts.push_back({at, previous, true});
  }
  if (previous != text.size()) parts.push_back({previous, text.size(), false});
}

void find_set(Pattern::CharacterSet set, std::string_view text, std::vector<Part>& parts) {
  std::size_t previous = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    const std::size_t end = at + step.size;
    if (set(step.code)) {
      if (previous != at) parts.push_back({previous, at, false});
      parts.push_back({at, end, true});
      previous = end;
    }
    at = end;
  }
  if (previous != text.size()) parts.push_back({previous, text.size(), false});
}

}  // namespace

void Pattern::find(std::string_view text, RegexScratch& scratch, std::vector<Part>& parts) const {
  parts.clear();
  if (text.empty()) return;  // in which the reference finds nothing, not even an empty match
  if (const auto* regex = std::get_if<Regex>(&what_)) {
    find_regex(*regex, text, scratch, parts);
  } else if (const auto* string = std::get_if<std::string>(&what_)) {
    find_literal(*string, text, parts);
  } else {
    find_set(std::get<CharacterSet>(what_), text, parts);
  }
}

Pattern read_pattern(const Field& field) {
  const std::optional<Field> literal = field.find("String");
  const Field source = literal ? *literal : field.at("Regex");
  std::string text = source.string();
  if (text.empty()) source.fail_input("an empty pattern; expected something to look for");
  if (literal) return Pattern(std::move(text));
  return Pattern(Regex(text, source.subject()));
}

}  // namespace whit::text
