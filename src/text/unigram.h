#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe.h"
#include "text/json_field.h"
#include "text/token_trie.h"

namespace whit::text {

// What cutting one word needs; reused between words.
struct UnigramScratch {
  struct Best {
    double score;
    std::uint32_t begin;  // of the token that ends here
    TokenId id;           // kUnreached: nothing ends here
  };
  static constexpr TokenId kUnreached = -1;
  std::vector<Best> best;  // by the place where a path ends
  std::vector<TokenId> ids;
};

// The field `model` of tokenizer.json where its type is Unigram: the path of tokens with the
// highest sum of scores. Unknown characters in a row become one token, or their bytes with
// byte_fallback.
class Unigram {
 public:
  // Errors: kInput; subject = field.
  explicit Unigram(const Field& model);

  // Appends the ids of one word (valid UTF-8). Time linear in its length, times the longest token.
  // Errors: kInput where a character is unknown and the model has no unk_id.
  void encode(std::string_view word, UnigramScratch& scratch, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  const std::vector<std::string>& tokens() const { return tokens_; }  // by id

 private:
  void read_vocabulary(const Field& model);
  void find_best(std::string_view word, UnigramScratch& scratch) const;
  void append_unknown(std::string_view text, UnigramScratch& scratch) const;

  std::string subject_;
  std::vector<std::string> tokens_;
  std::vector<double> scores_;
  Vocabulary vocabulary_;  // of equal tokens the last
  TokenTrie trie_;
  std::optional<TokenId> unknown_;
  double unknown_score_ = 0;
  std::array<TokenId, 256> bytes_{};  // tokens <0x00> to <0xFF>; -1 where there is none
  bool byte_fallback_ = false;
};

}  // namespace whit::text
