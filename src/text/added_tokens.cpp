#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode_ranges.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

std::size_t skip_space_back(std::string_view text, std::size_t end, std::size_t low) {
  while (end > low) {
    const std::size_t begin = character_before(text, end);
    if (!is_white_space(utf8_step(text, begin).code)) break;
    end = begin;
  }
  return std::max(end, low);
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text, at);
    if (!is_white_space(step.code)) break;
    at += step.size;
  }
  return at;
}

bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
  return (begin > 0 && is_word(utf8_step(text, character_before(text, begin)).code)) ||
         (end < text.size() && is_word(utf8_step(text, end).code));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  std::vector<std::string> contents;
  contents.reserve(tokens_.size());
  for (const AddedToken& token : tokens_) {
    contents.push_back(token.content);
    begins_[static_cast<std::uint8_t>(token.content.front())] = true;
  }
  trie_ = TokenTrie(contents);
}

void AddedTokens::split(std::string_view text, std::vector<Section>& sections) const {
  std::size_t done = 0;
  std::size_t space_end = 0;  // of the white space that a token took last
  const auto put_text = [&](std::size_t end) {
    if (end > done) sections.push_back({text.substr(done, end - done), kText});
  };
  for (std::size_t at = 0; at < text.size();) {
    if (!begins_[static_cast<std::uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    std::size_t size = 0;
    TokenId index = 0;
    trie_.prefixes(text, at, [&](std::size_t length, TokenId value) {
      size = length;
      index = value;
    });
    if (size == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
    const std::size_t begin = at;
    std::size_t end = at += size;
    if (token.single_word && touches_word(text, begin, end)) continue;
    const std::size_t from = token.lstrip ? skip_space_back(text, begin, done) : begin;
    if (token.rstrip) end = space_end = end < space_end ? space_end : skip_space(text, end);
    put_text(from);
    // The white space that a token would take may be the one before's already, and all of it.
    if (from < end) sections.push_back({text.substr(from, end - from), token.id});
    done = end;
  }
  put_text(text.size());
}

}  // namespace whit::text
