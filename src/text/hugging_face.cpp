#include "text/hugging_face.h"

#include <algorithm>
#include <array>
#include <span>

#include "text/byte_level.h"
#include "text/unicode_additions.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

Field model_field(const Field& root) {
  if (!root.find("model") && (root.find("vocab") || root.find("bpe_ranks"))) {
    root.fail_unsupported(
        "a Tekken or tiktoken vocabulary; whit reads Hugging Face's tokenizer.json");
  }
  Field model = root.at("model");
  const std::string type = model.at("type").string();
  if (type != "BPE") {
    model.at("type").fail_unsupported("model {:?}; whit knows BPE", type);
  }
  return model;
}

void check_normalizer(const Field& field) {
  const std::string type = field.at("type").string();
  if (type != "Sequence") {
    field.fail_unsupported("normalizer {:?}; whit knows an empty Sequence", type);
  }
  const Field items = field.at("normalizers");
  if (items.size() > 0) check_normalizer(items.item(0));
}

// transformers 4 rebuilt the post-processor of these classes from add_bos_token and add_eos_token.
bool rebuilds_frame(std::string_view tokenizer_class) {
  constexpr std::array<std::string_view, 8> kClasses = {
      "LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer", "CodeLlamaTokenizerFast",
      "GemmaTokenizer", "GemmaTokenizerFast", "CohereTokenizer",    "CohereTokenizerFast"};
  return std::find(kClasses.begin(), kClasses.end(), tokenizer_class) != kClasses.end();
}

}  // namespace

// What encoding needs besides the tokenizer itself. One call uses one at a time.
struct HuggingFaceTokenizer::Workspace {
  RegexScratch regex;
  BpeScratch bpe;
  Pieces pieces;
  WordCache cache;
};

HuggingFaceTokenizer::HuggingFaceTokenizer(const Json& json, const std::string& file,
                                           const SpecialTokens& special)
    : pre_tokenizer_(Field(json, file).find("pre_tokenizer")),
      model_(model_field(Field(json, file)), pre_tokenizer_.yields_bytes()) {
  const Field root(json, file);
  if (const auto normalizer = root.find("normalizer")) check_normalizer(*normalizer);
  for (const auto& [token, id] : model_.vocabulary()) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= pieces_.size()) pieces_.resize(index + 1);
    pieces_[index] = {token, true, false};
  }
  read_added(root, special);
  check_merges(root);
  read_decoder(root);
  frame_text(root, file, special);
}

HuggingFaceTokenizer::~HuggingFaceTokenizer() = default;

void HuggingFaceTokenizer::read_added(const Field& root, const SpecialTokens& special) {
  std::vector<AddedToken> tokens;
  if (const auto field = root.find("added_tokens")) {
    for (std::size_t i = 0; i < field->size(); ++i) {
      const Field entry = field->item(i);
      const Field id = entry.at("id");
      tokens.push_back(read_added_token(entry, read_token_id(id, id.integer())));
    }
  }
  tokens.insert(tokens.end(), special.added.begin(), special.added.end());
  for (AddedToken& token : tokens) {
    if (token.content.empty() || added_ids_.contains(token.content)) continue;
    const auto known = model_.vocabulary().find(token.content);
    const auto index = static_cast<std::size_t>(token.id);
    if (index >= pieces_.size()) pieces_.resize(index + 1);
    Piece& piece = pieces_[index];
    if ((known != model_.vocabulary().end() && known->second != token.id) ||
        (piece.known && piece.bytes != token.content)) {
      root.at("added_tokens")
          .fail_input(
              "token {:?} has id {}, and the vocabulary disagrees; expected one id for one token",
              token.content, token.id);
    }
    piece = {token.content, true, token.special};
    added_ids_.emplace(token.content, token.id);
    added_.add(std::move(token));
  }
}

// A vocabulary of words that nothing can build means that the merges were lost.
void HuggingFaceTokenizer::check_merges(const Field& root) const {
  if (model_.has_merges() || model_.ignores_merges()) return;
  for (const auto& [token, id] : model_.vocabulary()) {
    const bool byte_token = token.size() == 6 && token.rfind("<0x", 0) == 0;
    if (token.empty() || byte_token || added_ids_.contains(token)) continue;
    if (utf8_step(token, 0).size == token.size()) continue;
    root.at("model").at("merges").fail_input(
        "no merges, and the vocabulary has {:?}; expected the merges that make it", token);
  }
}

void HuggingFaceTokenizer::read_decoder(const Field& root) {
  const auto field = root.find("decoder");
  joins_with_space_ = !field.has_value();
  if (!field) return;
  const std::string type = field->at("type").string();
  if (type != "ByteLevel") field->fail_unsupported("decoder {:?}; whit knows ByteLevel", type);
  for (Piece& piece : pieces_) piece.bytes = from_byte_chars(piece.bytes);
}

void HuggingFaceTokenizer::frame_text(const Field& root, const std::string& file,
                                      const SpecialTokens& special) {
  const auto find = [&](const std::optional<std::string>& token,
                        const char* name) -> std::optional<TokenId> {
    if (!token) return std::nullopt;
    const auto id = id_of(*token);
    if (!id) {
      base::fail(base::ErrorKind::kInput, fmt::format("{}: {}", file, name),
                 "{:?} is not in the vocabulary; expected a token", *token);
    }
    return id;
  };
  bos_ = find(special.bos, "bos_token");
  eos_ = find(special.eos, "eos_token");
  frame_ = read_post_processor(root.find("post_processor"));
  if (rebuilds_frame(special.tokenizer_class)) {
    frame_ = {};
    if (bos_ && special.add_bos.value_or(true)) frame_.before.push_back(*bos_);
    if (eos_ && special.add_eos.value_or(false)) frame_.after.push_back(*eos_);
  }
  for (const std::vector<TokenId>* ids : {&frame_.before, &frame_.after}) {
    for (const TokenId id : *ids) {
      if (id >= vocabulary() || !pieces_[static_cast<std::size_t>(id)].known) {
        root.at("post_processor").fail_input("id {} is not in the vocabulary", id);
      }
    }
  }
}

std::optional<TokenId> HuggingFaceTokenizer::id_of(std::string_view token) const {
  if (const auto found = added_ids_.find(token); found != added_ids_.end()) return found->second;
  const auto found = model_.vocabulary().find(token);
  if (found == model_.vocabulary().end()) return std::nullopt;
  return found->second;
}

std::unique_ptr<HuggingFaceTokenizer::Workspace> HuggingFaceTokenizer::take_workspace() const {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto work = std::move(idle_.back());
      idle_.pop_back();
      return work;
    }
  }
  return std::make_unique<Workspace>();
}

void HuggingFaceTokenizer::encode_section(std::string_view section, Workspace& work,
                                          std::vector<TokenId>& out) const {
  work.pieces.reset(section);
  pre_tokenizer_.apply(work.pieces, work.regex);
  for (const Pieces::Range range : work.pieces.ranges) {
    const std::string_view word = work.pieces.piece(range);
    const bool kept = word.size() <= WordCache::kMaxWord;
    if (kept && work.cache.find(word, out)) continue;
    const std::size_t begin = out.size();
    model_.encode(word, work.bpe, out);
    if (kept) work.cache.put(word, std::span(out).subspan(begin));
  }
}

std::vector<TokenId> HuggingFaceTokenizer::encode(std::string_view text, bool add_special) const {
  std::string repaired;
  if (!is_utf8(text)) {
    repaired = repair_utf8(text);
    text = repaired;
  }
  std::vector<TokenId> out;
  out.reserve(text.size() / 3 + 8);
  if (add_special) out = frame_.before;
  auto work = take_workspace();
  work->regex.expect(has_unicode_additions(text));
  for (const AddedTokens::Section& section : added_.split(text, work->regex)) {
    if (section.id == AddedTokens::kText) {
      encode_section(section.text, *work, out);
    } else {
      out.push_back(section.id);
    }
  }
  if (add_special) out.insert(out.end(), frame_.after.begin(), frame_.after.end());
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(work));
  return out;
}

std::optional<std::string> HuggingFaceTokenizer::bytes_of(TokenId id, bool skip_special,
                                                          bool first) const {
  if (id < 0 || id >= vocabulary()) return std::nullopt;
  const Piece& piece = pieces_[static_cast<std::size_t>(id)];
  if (!piece.known || (skip_special && piece.special)) return std::nullopt;
  return joins_with_space_ && !first ? " " + piece.bytes : piece.bytes;
}

std::string HuggingFaceTokenizer::decode(const std::vector<TokenId>& ids, bool skip_special) const {
  std::string bytes;
  bool first = true;
  for (const TokenId id : ids) {
    const auto added = bytes_of(id, skip_special, first);
    if (!added) continue;
    bytes += *added;
    first = false;
  }
  return repair_utf8(bytes);
}

}  // namespace whit::text
