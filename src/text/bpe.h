#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "text/json_field.h"
#include "text/tokenizer.h"

namespace whit::text {

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
using Vocabulary = std::unordered_map<std::string, TokenId, StringHash, std::equal_to<>>;

// Rank and result of every merge, by the pair of ids that it joins.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;
    TokenId result;
  };
  explicit MergeTable(std::size_t count);
  // A pair that is there already gets the later rank, as in the reference.
  void put(TokenId left, TokenId right, Merge merge);
  const Merge* find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t key;
    Merge merge;
  };
  std::size_t slot_of(std::uint64_t key) const;
  std::vector<Slot> slots_;
};

// What merging one word needs; reused between words.
struct BpeScratch {
  struct Symbol {
    TokenId id;
    std::int32_t previous;
    std::int32_t next;
    bool alive;
  };
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t at;
    TokenId result;
  };
  std::vector<TokenId> ids;
  std::vector<std::uint32_t> ranks;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

// The field `model` of tokenizer.json where its type is BPE, or a list of ranks (tiktoken).
class Bpe {
 public:
  // Whether words may come as raw bytes, each standing for its character of GPT-2's alphabet:
  // not where affixes are put to characters.
  static bool may_read_bytes(const Field& model);
  // words_are_bytes: they do. Errors: kInput, kUnsupported; subject = field.
  Bpe(const Field& model, bool words_are_bytes);
  // Of tokens in GPT-2's alphabet whose ids are their ranks plus `first`: what two neighbours spell
  // is merged where it is a token, the lowest rank first, and a word that is a token is that token.
  // Errors: kInput where a byte is no token; subject as given.
  Bpe(const std::vector<std::string>& tokens, TokenId first, const std::string& subject);

  // Appends the ids of one word. Time n log n in its length.
  void encode(std::string_view word, BpeScratch& scratch, std::vector<TokenId>& out) const;
  // Where a long word may be cut without changing its ids: before the first place at or after
  // `from` that no merge crosses; npos where none is found.
  std::size_t next_cut(std::string_view word, std::size_t from) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  bool has_merges() const { return has_merges_; }
  bool ignores_merges() const { return ignore_merges_; }

 private:
  void read_vocabulary(const Field& model);
  void read_merges(const Field& model);
  void read_options(const Field& model);
  // Ids of one character: itself, or (fallback) its bytes; nothing where it is unknown.
  struct Spelling {
    std::vector<TokenId> ids;
    bool fallback = false;
  };
  Spelling spell(std::string_view character) const;
  void first_symbols(std::string_view word, std::vector<TokenId>& ids) const;
  void read_bytes_as_characters();
  void find_crossings(const std::string& left, const std::string& right);

  Vocabulary vocabulary_;
  Vocabulary byte_words_;  // for ignore_merges: tokens by the bytes that they spell
  MergeTable merges_{0};
  std::array<Spelling, 256> byte_symbols_;
  std::string prefix_;  // of every character of a word but the first
  std::string suffix_;  // of its last
  // Characters before which a merge joins U+2581; whether there is any place for a cut.
  std::unordered_set<std::string, StringHash, std::equal_to<>> crossings_;
  bool has_cuts_ = false;
  std::optional<TokenId> unknown_;
  bool words_are_bytes_;
  bool fuse_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  bool has_merges_ = false;
};

}  // namespace whit::text
