#include "text/added_tokens.h"

#include <algorithm>

#include "text/utf8.h"

namespace whit::text {

namespace {

std::size_t character_before(std::string_view text, std::size_t end) {
  std::size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return begin;
}

std::size_t skip_space_back(std::string_view text, std::size_t end) {
  while (end > 0) {
    const std::size_t begin = character_before(text, end);
    if (!is_white_space(utf8_step(text, begin).code)) break;
    end = begin;
  }
  return end;
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text, at);
    if (!is_white_space(step.code)) break;
    at += step.size;
  }
  return at;
}

}  // namespace

void LongestMatcher::add(std::string_view content, std::size_t index) {
  std::uint32_t node = 0;
  first_[static_cast<std::uint8_t>(content.front())] = true;
  for (const char c : content) {
    const std::uint64_t key =
        (static_cast<std::uint64_t>(node) << 8) | static_cast<std::uint8_t>(c);
    const auto [child, made] =
        children_.try_emplace(key, static_cast<std::uint32_t>(value_.size()));
    if (made) value_.push_back(kNone);
    node = child->second;
  }
  value_[node] = index;
}

std::pair<std::size_t, std::size_t> LongestMatcher::match(std::string_view text,
                                                          std::size_t at) const {
  std::pair<std::size_t, std::size_t> best{0, 0};
  std::uint32_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const std::uint64_t key =
        (static_cast<std::uint64_t>(node) << 8) | static_cast<std::uint8_t>(text[i]);
    const auto child = children_.find(key);
    if (child == children_.end()) break;
    node = child->second;
    if (value_[node] != kNone) best = {value_[node], i + 1 - at};
  }
  return best;
}

// Rust's \w, which also takes the two joiners.
AddedTokens::AddedTokens() : word_(R"([\w\x{200c}\x{200d}])", "single_word") {}

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  (token.normalized ? normalized_ : plain_).add(token.content, tokens_.size());
  tokens_.push_back(std::move(token));
}

bool AddedTokens::touches_word(std::string_view text, std::size_t begin, std::size_t end,
                               RegexScratch& scratch) const {
  if (begin > 0) {
    const std::size_t before = character_before(text, begin);
    if (word_.search(text.substr(before, begin - before), 0, scratch)) return true;
  }
  return end < text.size() &&
         word_.search(text.substr(end, utf8_step(text, end).size), 0, scratch).has_value();
}

void AddedTokens::split_by(const LongestMatcher& matcher, std::string_view text,
                           RegexScratch& scratch, std::vector<Section>& out) const {
  std::size_t done = 0;
  const auto put_text = [&](std::size_t end) {
    if (end > done) out.push_back({text.substr(done, end - done), kText});
  };
  for (std::size_t at = 0; at < text.size();) {
    if (!matcher.may_begin(text[at])) {
      ++at;
      continue;
    }
    const auto [index, size] = matcher.match(text, at);
    if (size == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[index];
    const std::size_t begin = at;
    std::size_t end = at += size;
    if (token.single_word && touches_word(text, begin, end, scratch)) continue;
    put_text(token.lstrip ? std::max(skip_space_back(text, begin), done) : begin);
    if (token.rstrip) end = skip_space(text, end);
    out.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  put_text(text.size());
}

std::vector<AddedTokens::Section> AddedTokens::split(std::string_view text,
                                                     RegexScratch& scratch) const {
  std::vector<Section> first;
  if (plain_.empty()) {
    first.push_back({text, kText});
  } else {
    split_by(plain_, text, scratch, first);
  }
  if (normalized_.empty()) return first;
  std::vector<Section> second;
  for (const Section& section : first) {
    if (section.id == kText) {
      split_by(normalized_, section.text, scratch, second);
    } else {
      second.push_back(section);
    }
  }
  return second;
}

}  // namespace whit::text
