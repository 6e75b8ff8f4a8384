#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "text/token_trie.h"
#include "text/tokenizer.h"

namespace whit::text {

// A token that is recognised in the text before the model reads it.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;
  bool single_word = false;  // only where no letter or digit touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // is looked for in normalized text, after the others
};

// Finds the longest of some added tokens at the leftmost place.
class AddedTokens {
 public:
  struct Section {
    std::string_view text;
    TokenId id = kText;  // kText where it is plain text
  };
  static constexpr TokenId kText = -1;

  AddedTokens() = default;
  // `content` is what is looked for; empty ones are passed over.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }
  // Cuts `text` (valid UTF-8) into added tokens and what lies between them.
  void split(std::string_view text, std::vector<Section>& sections) const;

 private:
  std::vector<AddedToken> tokens_;
  TokenTrie trie_;
  std::array<bool, 256> begins_{};
};

}  // namespace whit::text
