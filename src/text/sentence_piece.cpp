#include "text/sentence_piece.h"

#include <sentencepiece_processor.h>

#include <span>
#include <unordered_set>

#include "text/sentence_piece_check.h"
#include "text/utf8.h"
#include "text/word_cache.h"

namespace whit::text {

namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, which stands for a space

// Appended to a serialized model, sets normalizer_spec.add_dummy_prefix to false: protobuf merges
// a repeated message into the first.
constexpr std::string_view kNoDummyPrefix{"\x1A\x02\x18\x00", 4};

void load(sentencepiece::SentencePieceProcessor& processor, std::string_view model,
          const std::string& file) {
  std::string found;
  try {
    const auto status = processor.LoadFromSerializedProto(model);
    if (status.ok()) return;
    found = status.ToString();
  } catch (const std::exception& error) {
    found = error.what();
  }
  base::fail(base::ErrorKind::kInput, file,
             "SentencePiece says {:?}; expected a model that it loads", found);
}

// As the converted tokenizer of transformers decodes.
Decoder make_decoder(bool dummy_prefix) {
  Json steps =
      Json::array({{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
                   {{"type", "ByteFallback"}},
                   {{"type", "Fuse"}}});
  if (dummy_prefix) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  const Json decoder = {{"type", "Sequence"}, {"decoders", std::move(steps)}};
  const std::string name = "decoder";
  return Decoder(Field(decoder, name));
}

}  // namespace

struct SentencePieceTokenizer::Library {
  sentencepiece::SentencePieceProcessor first;  // as the model says
  sentencepiece::SentencePieceProcessor later;  // without the dummy prefix
};

// What encoding needs besides the tokenizer itself. One call uses one at a time.
struct SentencePieceTokenizer::Workspace {
  std::vector<AddedTokens::Section> sections;
  std::vector<int> ids;
  WordCache cache;
};

SentencePieceTokenizer::SentencePieceTokenizer(std::string_view model, const std::string& file,
                                               const SpecialTokens& special)
    : library_(std::make_unique<Library>()), legacy_(special.legacy) {
  const SentencePieceFacts facts = check_sentence_piece_model(model, file);
  dummy_prefix_ = facts.add_dummy_prefix;
  load(library_->first, model, file);
  if (dummy_prefix_) load(library_->later, std::string(model).append(kNoDummyPrefix), file);
  has_cuts_ = facts.plain_bpe;
  if (has_cuts_) find_crossings();
  texts_.emplace(make_decoder(dummy_prefix_));
  read_tokens(special, file);
  frame_text(special, file);
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

void SentencePieceTokenizer::read_tokens(const SpecialTokens& special, const std::string& file) {
  const auto& processor = library_->first;
  std::vector<AddedToken> added;
  std::unordered_set<TokenId> control;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const std::string& text = processor.IdToPiece(id);
    const bool is_special = processor.IsControl(id) || processor.IsUnknown(id);
    texts_->put(id, text, is_special);
    ids_.emplace(text, id);
    if (!is_special) continue;
    control.insert(id);
    added.push_back({.content = text, .id = id, .special = true});
  }
  for (const AddedToken& token : special.added) {
    if (token.content.empty()) continue;
    const auto known = ids_.find(token.content);
    if (known != ids_.end() ? known->second != token.id : texts_->knows(token.id)) {
      base::fail(
          base::ErrorKind::kInput, file,
          "added token {:?} has id {}, and the model disagrees; expected one id for one token",
          token.content, token.id);
    }
    if (control.contains(token.id)) continue;
    texts_->put(token.id, token.content, token.special);
    ids_.emplace(token.content, token.id);
    added.push_back(token);
  }
  added_ = AddedTokens(std::move(added));
}

void SentencePieceTokenizer::frame_text(const SpecialTokens& special, const std::string& file) {
  const auto find = [&](const std::optional<std::string>& token, int id) -> std::optional<TokenId> {
    if (!token) return id >= 0 ? std::optional<TokenId>(id) : std::nullopt;
    const auto found = id_of(*token);
    if (!found) {
      base::fail(base::ErrorKind::kInput, file,
                 "special token {:?} of tokenizer_config.json is not in the vocabulary", *token);
    }
    return found;
  };
  bos_ = find(special.bos, library_->first.bos_id());
  eos_ = find(special.eos, library_->first.eos_id());
  if (bos_ && special.add_bos.value_or(true)) frame_.before.push_back(*bos_);
  if (eos_ && special.add_eos.value_or(false)) frame_.after.push_back(*eos_);
}

std::optional<TokenId> SentencePieceTokenizer::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

void SentencePieceTokenizer::find_crossings() {
  const auto& processor = library_->first;
  // An unknown mark could join an unknown word before it.
  has_cuts_ = !processor.IsUnknown(processor.PieceToId(std::string(kMark)));
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const std::string& piece = processor.IdToPiece(id);
    if (piece.find(' ') != std::string::npos) has_cuts_ = false;
    for (std::size_t at = piece.find(kMark, 1); at != std::string::npos;
         at = piece.find(kMark, at + 1)) {
      const std::size_t before = character_before(piece, at);
      crossings_.insert(piece.substr(before, at - before));
    }
  }
  if (crossings_.contains(kMark)) crossings_.insert(" ");
}

void SentencePieceTokenizer::encode_section(std::string_view section, bool begins, Workspace& work,
                                            std::vector<TokenId>& out) const {
  const auto call = [&](std::string_view text, bool first) {
    const auto status = (first || !dummy_prefix_ ? library_->first : library_->later)
                            .Encode({text.data(), text.size()}, &work.ids);
    if (!status.ok()) {
      base::fail(base::ErrorKind::kInput, "text", "SentencePiece says {:?}", status.ToString());
    }
    out.insert(out.end(), work.ids.begin(), work.ids.end());
  };
  if (!has_cuts_) return call(section, begins);
  for (std::size_t at = 0; at < section.size();) {
    std::size_t end = section.find(' ', at + 1);
    while (end != std::string_view::npos) {
      const std::size_t before = character_before(section, end);
      if (!crossings_.contains(section.substr(before, end - before))) break;
      end = section.find(' ', end + 1);
    }
    const std::string_view word = section.substr(at, end - at);
    at += word.size();
    const bool first = begins && word.data() == section.data();
    const bool kept = !first && word.size() <= WordCache::kMaxWord;
    if (kept && work.cache.find(word, out)) continue;
    const std::size_t before = out.size();
    call(word, first);
    if (kept) work.cache.put(word, std::span(out).subspan(before));
  }
}

std::unique_ptr<SentencePieceTokenizer::Workspace> SentencePieceTokenizer::take_workspace() const {
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

std::vector<TokenId> SentencePieceTokenizer::encode(std::string_view text, bool add_special) const {
  const std::string repaired = is_utf8(text) ? std::string() : repair_utf8(text);
  if (!repaired.empty()) text = repaired;
  std::vector<TokenId> out;
  if (add_special) out = frame_.before;
  auto work = take_workspace();
  work->sections.clear();
  added_.split(text, work->sections);
  for (const AddedTokens::Section& section : work->sections) {
    if (section.id != AddedTokens::kText) {
      out.push_back(section.id);
    } else {
      encode_section(section.text, section.text.data() == text.data() || legacy_, *work, out);
    }
  }
  if (add_special) out.insert(out.end(), frame_.after.begin(), frame_.after.end());
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(work));
  return out;
}

}  // namespace whit::text
