#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/regex.h"
#include "text/tokenizer.h"

namespace whit::text {

// A token that is recognised in the text before anything else reads it.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;
  bool single_word = false;  // only where no letter or digit touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // is looked for after the others
};

// Finds the longest of a set of strings at the leftmost place.
class LongestMatcher {
 public:
  void add(std::string_view content, std::size_t index);
  bool empty() const { return children_.empty(); }
  // The longest string that begins at `at`: its index and length; length 0 where none does.
  std::pair<std::size_t, std::size_t> match(std::string_view text, std::size_t at) const;
  bool may_begin(char c) const { return first_[static_cast<std::uint8_t>(c)]; }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;
  std::unordered_map<std::uint64_t, std::uint32_t> children_;  // (node, byte) -> node
  std::vector<std::size_t> value_ = {kNone};                   // of a node
  std::array<bool, 256> first_{};
};

class AddedTokens {
 public:
  struct Section {
    std::string_view text;
    TokenId id = kText;  // kText where it is plain text
  };
  static constexpr TokenId kText = -1;

  AddedTokens();
  void add(AddedToken token);
  const std::vector<AddedToken>& tokens() const { return tokens_; }
  // Cuts `text` into added tokens and what lies between them.
  std::vector<Section> split(std::string_view text, RegexScratch& scratch) const;

 private:
  void split_by(const LongestMatcher& matcher, std::string_view text, RegexScratch& scratch,
                std::vector<Section>& out) const;
  bool touches_word(std::string_view text, std::size_t begin, std::size_t end,
                    RegexScratch& scratch) const;

  std::vector<AddedToken> tokens_;
  LongestMatcher plain_;
  LongestMatcher normalized_;
  Regex word_;
};

}  // namespace whit::text
