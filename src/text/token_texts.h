#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/decoder.h"
#include "text/tokenizer.h"

namespace whit::text {

// The tokens of a tokenizer by id, and how their text is made.
class TokenTexts {
 public:
  explicit TokenTexts(Decoder decoder) : decoder_(std::move(decoder)) {}

  // A token that is there already is replaced.
  void put(TokenId id, std::string_view token, bool special);
  bool knows(TokenId id) const { return find(id) != nullptr; }
  std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }

  // As Tokenizer's functions of these names. An id that names no token is passed over.
  std::string decode(const std::vector<TokenId>& ids, bool skip_special) const;
  std::unique_ptr<TextRun> begin_text(bool skip_special) const;

 private:
  struct Token {
    std::string prepared;
    bool known = false;
    bool special = false;
  };
  class Run;

  const Token* find(TokenId id) const;

  Decoder decoder_;
  RegexScratch scratch_;  // of put()
  std::vector<Token> tokens_;
};

}  // namespace whit::text
