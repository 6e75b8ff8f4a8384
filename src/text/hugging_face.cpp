#include "text/hugging_face.h"

#include <algorithm>
#include <array>
#include <span>

#include "text/unicode_additions.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

// The type of the model; BPE where an old file does not say it.
std::string model_type(const Field& root) {
  const Field model = root.at("model");
  std::string type =
      model.find("merges") ? model.string_or("type", "BPE") : model.at("type").string();
  if (type != "BPE" && type != "Unigram") {
    model.at("type").fail_unsupported("model {:?}; whit knows BPE, Unigram", type);
  }
  return type;
}

bool may_read_bytes(const Field& root) {
  return model_type(root) == "BPE" && Bpe::may_read_bytes(root.at("model"));
}

std::variant<Bpe, Unigram> read_model(const Field& root, bool words_are_bytes) {
  if (model_type(root) == "Unigram") return Unigram(root.at("model"));
  return Bpe(root.at("model"), words_are_bytes);
}

// transformers 4 rebuilt the post-processor of these classes from add_bos_token and add_eos_token.
bool rebuilds_frame(std::string_view tokenizer_class) {
  constexpr std::array<std::string_view, 8> kClasses = {
      "LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer", "CodeLlamaTokenizerFast",
      "GemmaTokenizer", "GemmaTokenizerFast", "CohereTokenizer",    "CohereTokenizerFast"};
  return std::find(kClasses.begin(), kClasses.end(), tokenizer_class) != kClasses.end();
}

std::vector<AddedToken> added_tokens_of(const Field& root, const SpecialTokens& special) {
  std::vector<AddedToken> tokens;
  if (const auto field = root.find("added_tokens")) {
    for (std::size_t i = 0; i < field->size(); ++i) {
      const Field entry = field->item(i);
      const Field id = entry.at("id");
      tokens.push_back(read_added_token(entry, read_token_id(id, id.integer())));
    }
  }
  tokens.insert(tokens.end(), special.added.begin(), special.added.end());
  return tokens;
}

}  // namespace

// What encoding needs besides the tokenizer itself. One call uses one at a time.
struct HuggingFaceTokenizer::Workspace {
  RegexScratch regex;
  BpeScratch bpe;
  UnigramScratch unigram;
  Pieces pieces;
  NormalizedText normalized;
  std::vector<AddedTokens::Section> raw_sections;
  std::vector<AddedTokens::Section> sections;
  WordCache cache;
};

HuggingFaceTokenizer::HuggingFaceTokenizer(const Json& json, const std::string& file,
                                           const SpecialTokens& special)
    : normalizer_(Field(json, file).find("normalizer")),
      pre_tokenizer_(Field(json, file).find("pre_tokenizer"), may_read_bytes(Field(json, file))),
      model_(read_model(Field(json, file), pre_tokenizer_.yields_bytes())),
      texts_(Decoder(Field(json, file).find("decoder"))) {
  const Field root(json, file);
  read(root, special);
  check_merges(root);
}

HuggingFaceTokenizer::HuggingFaceTokenizer(const Json& json, Bpe model, const std::string& file,
                                           const SpecialTokens& special)
    : normalizer_(Field(json, file).find("normalizer")),
      pre_tokenizer_(Field(json, file).find("pre_tokenizer"), true),
      model_(std::move(model)),
      texts_(Decoder(Field(json, file).find("decoder"))) {
  read(Field(json, file), special);
}

HuggingFaceTokenizer::~HuggingFaceTokenizer() = default;

void HuggingFaceTokenizer::read(const Field& root, const SpecialTokens& special) {
  read_model_tokens();
  read_added(root, special);
  frame_text(root, special);
}

void HuggingFaceTokenizer::read_model_tokens() {
  if (const auto* unigram = std::get_if<Unigram>(&model_)) {
    const std::vector<std::string>& tokens = unigram->tokens();
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      texts_.put(static_cast<TokenId>(id), tokens[id], false);
    }
    return;
  }
  for (const auto& [token, id] : model_vocabulary()) texts_.put(id, token, false);
}

const Vocabulary& HuggingFaceTokenizer::model_vocabulary() const {
  return std::visit([](const auto& model) -> const Vocabulary& { return model.vocabulary(); },
                    model_);
}

void HuggingFaceTokenizer::read_added(const Field& root, const SpecialTokens& special) {
  std::vector<AddedToken> tokens = added_tokens_of(root, special);
  std::erase_if(tokens, [&](const AddedToken& token) {
    return token.content.empty() || !added_ids_.emplace(token.content, token.id).second;
  });
  std::unordered_set<std::string_view> specials;
  for (const AddedToken& token : tokens) {
    if (token.special) specials.insert(token.content);
  }
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  std::unordered_map<TokenId, std::string_view> owners;
  for (const AddedToken& token : tokens) {
    const auto known = model_vocabulary().find(token.content);
    const bool in_model = known != model_vocabulary().end();
    const bool twice = !owners.emplace(token.id, token.content).second;
    if (in_model ? known->second != token.id : texts_.knows(token.id) || twice) {
      root.at("added_tokens")
          .fail_input(
              "token {:?} has id {}, and the vocabulary disagrees; expected one id for one token",
              token.content, token.id);
    }
    AddedToken sought = token;
    if (token.normalized) sought.content = normalizer_.apply(token.content);
    // A token is shown, and is special, as it is looked for.
    texts_.put(token.id, sought.content, specials.contains(sought.content));
    (token.normalized ? normalized : raw).push_back(std::move(sought));
  }
  raw_ = AddedTokens(std::move(raw));
  normalized_ = AddedTokens(std::move(normalized));
}

// A vocabulary of words that nothing can build means that the merges were lost.
void HuggingFaceTokenizer::check_merges(const Field& root) const {
  const auto* bpe = std::get_if<Bpe>(&model_);
  if (bpe == nullptr || bpe->has_merges() || bpe->ignores_merges()) return;
  if (!Bpe::may_read_bytes(root.at("model"))) return;  // characters with affixes
  for (const auto& [token, id] : bpe->vocabulary()) {
    const bool byte_token = token.size() == 6 && token.rfind("<0x", 0) == 0;
    if (token.empty() || byte_token || added_ids_.contains(token)) continue;
    if (utf8_step(token, 0).size == token.size()) continue;
    root.at("model").at("merges").fail_input(
        "no merges, and the vocabulary has {:?}; expected the merges that make it", token);
  }
}

void HuggingFaceTokenizer::frame_text(const Field& root, const SpecialTokens& special) {
  const auto find = [&](const std::optional<std::string>& token,
                        const char* name) -> std::optional<TokenId> {
    if (!token) return std::nullopt;
    const auto id = id_of(*token);
    if (!id) {
      base::fail(base::ErrorKind::kInput, fmt::format("{}: {}", root.subject(), name),
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
      if (!texts_.knows(id)) {
        root.at("post_processor").fail_input("id {} is not in the vocabulary", id);
      }
    }
  }
}

std::optional<TokenId> HuggingFaceTokenizer::id_of(std::string_view token) const {
  if (const auto found = added_ids_.find(token); found != added_ids_.end()) return found->second;
  const auto found = model_vocabulary().find(token);
  if (found == model_vocabulary().end()) return std::nullopt;
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

void HuggingFaceTokenizer::encode_word(std::string_view word, Workspace& work,
                                       std::vector<TokenId>& out) const {
  const bool kept = word.size() <= WordCache::kMaxWord;
  if (kept && work.cache.find(word, out)) return;
  const std::size_t begin = out.size();
  if (const auto* bpe = std::get_if<Bpe>(&model_)) {
    bpe->encode(word, work.bpe, out);
  } else {
    std::get<Unigram>(model_).encode(word, work.unigram, out);
  }
  if (kept) work.cache.put(word, std::span(out).subspan(begin));
}

void HuggingFaceTokenizer::encode_pieces(std::string_view section, std::size_t origin,
                                         Workspace& work, std::vector<TokenId>& out) const {
  work.pieces.reset(section, origin);
  pre_tokenizer_.apply(work.pieces, work.regex);
  const auto* bpe = std::get_if<Bpe>(&model_);
  for (const Pieces::Range range : work.pieces.ranges) {
    const std::string_view word = work.pieces.piece(range);
    if (bpe == nullptr || word.size() <= WordCache::kMaxWord) {
      encode_word(word, work, out);
      continue;
    }
    std::size_t begin = 0;
    while (begin < word.size()) {
      const std::size_t end = std::min(bpe->next_cut(word, begin + 1), word.size());
      encode_word(word.substr(begin, end - begin), work, out);
      begin = end;
    }
  }
}

void HuggingFaceTokenizer::encode_section(std::string_view section, bool begins_input,
                                          Workspace& work, std::vector<TokenId>& out) const {
  NormalizedText& normalized = work.normalized;
  normalized.text = section;
  normalized.origin = begins_input ? utf8_step(section, 0).size : 0;
  if (!normalizer_.empty()) {
    normalizer_.apply(normalized, work.regex);
    work.regex.expect(has_unicode_additions(normalized.text));
  }
  if (normalized_.empty()) {
    encode_pieces(normalized.text, normalized.origin, work, out);
    return;
  }
  work.sections.clear();
  normalized_.split(normalized.text, work.sections);
  for (const AddedTokens::Section& part : work.sections) {
    if (part.id != AddedTokens::kText) {
      out.push_back(part.id);
      continue;
    }
    const auto at = static_cast<std::size_t>(part.text.data() - normalized.text.data());
    encode_pieces(part.text, normalized.origin > at ? normalized.origin - at : 0, work, out);
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
  work->raw_sections.clear();
  raw_.split(text, work->raw_sections);
  for (const AddedTokens::Section& section : work->raw_sections) {
    if (section.id == AddedTokens::kText) {
      encode_section(section.text, section.text.data() == text.data(), *work, out);
    } else {
      out.push_back(section.id);
    }
  }
  if (add_special) out.insert(out.end(), frame_.after.begin(), frame_.after.end());
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(work));
  return out;
}

}  // namespace whit::text
