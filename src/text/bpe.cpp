#include "text/bpe.h"

#include <algorithm>
#include <limits>

#include "text/byte_level.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

constexpr std::string_view kSpacePiece = "\xE2\x96\x81";  // U+2581
constexpr std::uint64_t kEmptyKey = std::numeric_limits<std::uint64_t>::max();

std::uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
         static_cast<std::uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(std::size_t count) {
  std::size_t size = 16;
  while (size < count * 2) size *= 2;
  slots_.assign(size, Slot{kEmptyKey, {0, 0}});
}

std::size_t MergeTable::slot_of(std::uint64_t key) const {
  std::uint64_t mixed = key * 0x9E3779B97F4A7C15ULL;
  mixed ^= mixed >> 32;
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = static_cast<std::size_t>(mixed) & mask;
  while (slots_[at].key != kEmptyKey && slots_[at].key != key) at = (at + 1) & mask;
  return at;
}

void MergeTable::put(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t key = pair_key(left, right);
  slots_[slot_of(key)] = {key, merge};
}

const MergeTable::Merge* MergeTable::find(TokenId left, TokenId right) const {
  const Slot& slot = slots_[slot_of(pair_key(left, right))];
  return slot.key == kEmptyKey ? nullptr : &slot.merge;
}

bool Bpe::may_read_bytes(const Field& model) {
  return model.string_or("continuing_subword_prefix", "").empty() &&
         model.string_or("end_of_word_suffix", "").empty();
}

Bpe::Bpe(const Field& model, bool words_are_bytes) : words_are_bytes_(words_are_bytes) {
  read_vocabulary(model);
  read_options(model);
  const bool plain = prefix_.empty() && suffix_.empty() && !words_are_bytes_ && !ignore_merges_;
  has_cuts_ = plain && vocabulary_.contains(kSpacePiece);
  read_merges(model);
  if (words_are_bytes_) read_bytes_as_characters();
}

Bpe::Bpe(const std::vector<std::string>& tokens, TokenId first, const std::string& subject)
    : words_are_bytes_(true), ignore_merges_(true), has_merges_(true) {
  vocabulary_.reserve(tokens.size());
  for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
    vocabulary_.emplace(tokens[rank], first + static_cast<TokenId>(rank));
  }
  read_bytes_as_characters();
  for (std::size_t byte = 0; byte < byte_symbols_.size(); ++byte) {
    if (!byte_symbols_[byte].ids.empty()) continue;
    base::fail(base::ErrorKind::kInput, subject, "no token is the byte {}; expected all 256", byte);
  }
  struct Pair {
    TokenId left;
    TokenId right;
    MergeTable::Merge merge;
  };
  std::vector<Pair> pairs;
  pairs.reserve(tokens.size() * 2);
  for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
    const std::string_view token = tokens[rank];
    for (std::size_t at = utf8_step(token, 0).size; at < token.size();
         at += utf8_step(token, at).size) {
      const auto left = vocabulary_.find(token.substr(0, at));
      if (left == vocabulary_.end()) continue;
      const auto right = vocabulary_.find(token.substr(at));
      if (right == vocabulary_.end()) continue;
      pairs.push_back({left->second,
                       right->second,
                       {static_cast<std::uint32_t>(rank), first + static_cast<TokenId>(rank)}});
    }
  }
  merges_ = MergeTable(pairs.size());
  for (const Pair& pair : pairs) merges_.put(pair.left, pair.right, pair.merge);
}

void Bpe::read_bytes_as_characters() {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string character;
    append_utf8(character, byte_to_char(static_cast<std::uint8_t>(byte)));
    byte_symbols_[byte] = spell(character);
  }
  if (!ignore_merges_) return;
  for (const auto& [token, id] : vocabulary_) {
    // Only tokens that are spelt in the alphabet can equal a word.
    std::string bytes = from_byte_chars(token);
    if (to_byte_chars(bytes) == token) byte_words_.emplace(std::move(bytes), id);
  }
}

void Bpe::read_vocabulary(const Field& model) {
  const Field field = model.at("vocab");
  if (!field.json().is_object()) field.fail_type("an object of token: id");
  if (field.json().empty()) field.fail_input("no tokens; expected at least one");
  std::vector<bool> seen;
  vocabulary_.reserve(field.json().size());
  for (const auto& [token, value] : field.json().items()) {
    const std::int64_t number = value.is_number_integer() ? value.get<std::int64_t>() : -1;
    if (number < 0 || number >= kMaxTokenId) {
      field.fail_input("token {:?} has id {}; expected an integer below {}", token, value.dump(),
                       kMaxTokenId);
    }
    const auto id = static_cast<TokenId>(number);
    const auto index = static_cast<std::size_t>(id);
    if (index >= seen.size()) seen.resize(std::max(index + 1, seen.size() * 2));
    if (seen[index])
      field.fail_input("id {} belongs to two tokens, one {:?}; expected one", id, token);
    seen[index] = true;
    vocabulary_.emplace(token, id);
  }
}

void Bpe::read_options(const Field& model) {
  prefix_ = model.string_or("continuing_subword_prefix", "");
  suffix_ = model.string_or("end_of_word_suffix", "");
  if (const auto dropout = model.find("dropout")) {
    if (!dropout->json().is_number()) dropout->fail_type("a number");
    if (dropout->json().get<double>() != 0.0) {
      dropout->fail_unsupported("{}: merges left out at random", dropout->json().dump());
    }
  }
  fuse_unknown_ = model.boolean_or("fuse_unk", false);
  byte_fallback_ = model.boolean_or("byte_fallback", false);
  ignore_merges_ = model.boolean_or("ignore_merges", false);
  if (const auto unknown = model.find("unk_token")) {
    const auto found = vocabulary_.find(unknown->string());
    if (found == vocabulary_.end()) {
      unknown->fail_input("{:?} is not in the vocabulary; expected a token", unknown->string());
    }
    unknown_ = found->second;
  }
}

void Bpe::read_merges(const Field& model) {
  const Field field = model.at("merges");
  const Json& merges = field.json();
  if (field.size() > std::numeric_limits<std::uint32_t>::max()) field.fail_input("too many");
  merges_ = MergeTable(merges.size());
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    std::string left;
    std::string right;
    if (merges[i].is_string()) {
      const auto& text = merges[i].get_ref<const std::string&>();
      if (text.rfind("#version", 0) == 0) continue;
      const std::size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        field.item(i).fail_input("{:?}; expected two tokens and a space between them", text);
      }
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else if (merges[i].is_array() && merges[i].size() == 2 && merges[i][0].is_string() &&
               merges[i][1].is_string()) {
      left = merges[i][0].get<std::string>();
      right = merges[i][1].get<std::string>();
    } else {
      field.item(i).fail_type("a pair of tokens");
    }
    const auto id_of = [&](const std::string& token) {
      const auto found = vocabulary_.find(token);
      if (found == vocabulary_.end()) {
        field.item(i).fail_input("{:?} is not in the vocabulary; expected a token", token);
      }
      return found->second;
    };
    const TokenId left_id = id_of(left);
    const TokenId right_id = id_of(right);
    // The reference cuts as many bytes off as the prefix has characters.
    std::size_t dropped = 0;
    for (std::size_t at = 0; at < prefix_.size(); at += utf8_step(prefix_, at).size) ++dropped;
    if (dropped > right.size()) {
      field.item(i).fail_input("{:?}; expected it to begin with {:?}", right, prefix_);
    }
    merges_.put(left_id, right_id, {rank++, id_of(left + right.substr(dropped))});
    has_merges_ = true;
    // What the unknown token joins may be any character.
    if (unknown_ == left_id) has_cuts_ = false;
    if (has_cuts_) find_crossings(left, right);
  }
}

void Bpe::find_crossings(const std::string& left, const std::string& right) {
  if (right.substr(0, kSpacePiece.size()) != kSpacePiece) return;
  if (left.size() == 6 && left.substr(0, 3) == "<0x") {
    has_cuts_ = false;  // that token may stand for any character
    return;
  }
  crossings_.insert(left.substr(character_before(left, left.size())));
}

std::size_t Bpe::next_cut(std::string_view word, std::size_t from) const {
  if (!has_cuts_) return std::string_view::npos;
  for (std::size_t at = word.find(kSpacePiece, from); at != std::string_view::npos;
       at = word.find(kSpacePiece, at + 1)) {
    if (at == 0) continue;
    const std::size_t before = character_before(word, at);
    if (!crossings_.contains(word.substr(before, at - before))) return at;
  }
  return std::string_view::npos;
}

Bpe::Spelling Bpe::spell(std::string_view character) const {
  if (const auto found = vocabulary_.find(character); found != vocabulary_.end()) {
    return {{found->second}, false};
  }
  Spelling bytes{{}, true};
  if (!byte_fallback_) return bytes;
  for (const char c : character) {
    const auto found = vocabulary_.find(fmt::format("<0x{:02X}>", static_cast<std::uint8_t>(c)));
    if (found == vocabulary_.end()) return {{}, true};
    bytes.ids.push_back(found->second);
  }
  return bytes;
}

void Bpe::first_symbols(std::string_view word, std::vector<TokenId>& ids) const {
  ids.clear();
  // An unknown character waits, so that the next can fuse with it. Bytes of a fallback do not make
  // it come out: the reference's order is kept.
  bool waiting = false;
  const auto take = [&](const Spelling& spelling) {
    if (spelling.ids.empty()) {
      if (!unknown_) return;
      if (waiting && !fuse_unknown_) ids.push_back(*unknown_);
      waiting = true;
      return;
    }
    if (waiting && !spelling.fallback) {
      ids.push_back(*unknown_);
      waiting = false;
    }
    ids.insert(ids.end(), spelling.ids.begin(), spelling.ids.end());
  };
  const bool plain = prefix_.empty() && suffix_.empty();
  std::string affixed;
  for (std::size_t at = 0; at < word.size();) {
    if (words_are_bytes_) {
      take(byte_symbols_[static_cast<std::uint8_t>(word[at++])]);
      continue;
    }
    const std::size_t size = utf8_step(word, at).size;
    if (plain) {
      take(spell(word.substr(at, size)));
    } else {
      affixed.assign(at > 0 ? prefix_ : "").append(word.substr(at, size));
      if (at + size == word.size()) affixed.append(suffix_);
      take(spell(affixed));
    }
    at += size;
  }
  if (waiting) ids.push_back(*unknown_);
}

}  // namespace whit::text
