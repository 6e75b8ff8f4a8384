#include "text/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/utf8.h"

namespace whit::text {

namespace {

constexpr double kUnknownPenalty = 10.0;  // below the lowest score

}  // namespace

Unigram::Unigram(const Field& model) : subject_(model.subject()) {
  read_vocabulary(model);
  byte_fallback_ = model.boolean_or("byte_fallback", false);
  if (const auto unknown = model.find("unk_id")) {
    const std::int64_t id = unknown->integer();
    if (id < 0 || id >= static_cast<std::int64_t>(tokens_.size())) {
      unknown->fail_input("{}; expected an id of the {} tokens", id, tokens_.size());
    }
    unknown_ = static_cast<TokenId>(id);
  }
  unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
  trie_ = TokenTrie(tokens_);
  for (std::size_t byte = 0; byte < bytes_.size(); ++byte) {
    const auto found = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
    bytes_[byte] = found == vocabulary_.end() ? -1 : found->second;
  }
}

void Unigram::read_vocabulary(const Field& model) {
  const Field field = model.at("vocab");
  const std::size_t count = field.size();
  if (count == 0) field.fail_input("no tokens; expected at least one");
  if (count > static_cast<std::size_t>(kMaxTokenId))
    field.fail_input("{} tokens; expected at most {}", count, kMaxTokenId);
  tokens_.reserve(count);
  scores_.reserve(count);
  for (const Json& entry : field.json()) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      field.item(tokens_.size()).fail_type("a pair of token and score");
    }
    const auto& token = entry[0].get_ref<const std::string&>();
    scores_.push_back(entry[1].get<double>());
    if (!std::isfinite(scores_.back())) {
      field.item(tokens_.size()).fail_input("score {}; expected a finite number", scores_.back());
    }
    vocabulary_[token] = static_cast<TokenId>(tokens_.size());
    tokens_.push_back(token);
  }
}

void Unigram::find_best(std::string_view word, UnigramScratch& scratch) const {
  auto& best = scratch.best;
  best.assign(word.size() + 1, {0, 0, UnigramScratch::kUnreached});
  for (std::size_t at = 0; at < word.size();) {
    const double here = best[at].score;
    const std::size_t character = utf8_step(word, at).size;
    bool single = false;
    const auto propose = [&](std::size_t length, double score, TokenId id) {
      UnigramScratch::Best& end = best[at + length];
      if (end.id == UnigramScratch::kUnreached || score > end.score) {
        end = {score, static_cast<std::uint32_t>(at), id};
      }
    };
    trie_.prefixes(word, at, [&](std::size_t length, TokenId id) {
      propose(length, scores_[static_cast<std::size_t>(id)] + here, id);
      single = single || length == character;
    });
    if (!single) {
      if (!unknown_) {
        base::fail(base::ErrorKind::kInput, subject_,
                   "no unk_id for {:?}, which the vocabulary lacks; expected an unknown token",
                   word.substr(at, character));
      }
      propose(character, unknown_score_ + here, *unknown_);
    }
    at += character;
  }
}

void Unigram::append_unknown(std::string_view text, UnigramScratch& scratch) const {
  // Joined unknown characters can be a token, though not one that the best path takes.
  if (const auto found = vocabulary_.find(text); found != vocabulary_.end()) {
    scratch.ids.push_back(found->second);
    return;
  }
  const auto byte_of = [&](char c) { return bytes_[static_cast<std::uint8_t>(c)]; };
  if (byte_fallback_ &&
      std::all_of(text.begin(), text.end(), [&](char c) { return byte_of(c) >= 0; })) {
    // The ids are gathered from the word's end.
    for (auto c = text.rbegin(); c != text.rend(); ++c) scratch.ids.push_back(byte_of(*c));
    return;
  }
  scratch.ids.push_back(*unknown_);
}

void Unigram::encode(std::string_view word, UnigramScratch& scratch,
                     std::vector<TokenId>& out) const {
  if (word.size() > std::numeric_limits<std::uint32_t>::max() - 1) {
    base::fail(base::ErrorKind::kInput, "text", "a word of {} bytes; expected less", word.size());
  }
  find_best(word, scratch);
  scratch.ids.clear();
  std::size_t unknown_end = 0;  // of a run of unknown characters; 0: none
  for (std::size_t end = word.size(); end > 0;) {
    const UnigramScratch::Best& node = scratch.best[end];
    if (unknown_ && node.id == *unknown_) {
      if (unknown_end == 0) unknown_end = end;
    } else {
      if (unknown_end != 0) append_unknown(word.substr(end, unknown_end - end), scratch);
      unknown_end = 0;
      scratch.ids.push_back(node.id);
    }
    end = node.begin;
  }
  if (unknown_end != 0) append_unknown(word.substr(0, unknown_end), scratch);
  out.insert(out.end(), scratch.ids.rbegin(), scratch.ids.rend());
}

}  // namespace whit::text
