#include "text/sentence_piece.h"

#include <sentencepiece_processor.h>

#include <charconv>

#include "text/sentence_piece_check.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

constexpr std::string_view kSpacePiece = "\xE2\x96\x81";  // U+2581
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

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

std::string with_spaces(std::string_view piece) {
  std::string out;
  for (std::size_t at = 0; at < piece.size();) {
    if (piece.substr(at, kSpacePiece.size()) == kSpacePiece) {
      out.push_back(' ');
      at += kSpacePiece.size();
    } else {
      out.push_back(piece[at++]);
    }
  }
  return out;
}

}  // namespace

struct SentencePieceTokenizer::Library {
  sentencepiece::SentencePieceProcessor first;  // as the model says
  sentencepiece::SentencePieceProcessor later;  // without the dummy prefix
};

SentencePieceTokenizer::SentencePieceTokenizer(std::string_view model, const std::string& file,
                                               const SpecialTokens& special)
    : library_(std::make_unique<Library>()), legacy_(special.legacy) {
  dummy_prefix_ = check_sentence_piece_model(model, file).add_dummy_prefix;
  load(library_->first, model, file);
  if (dummy_prefix_ && !legacy_) {
    load(library_->later, std::string(model).append(kNoDummyPrefix), file);
  }
  read_pieces();
  read_added(special, file);
  frame_text(special, file);
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

void SentencePieceTokenizer::read_pieces() {
  const auto& processor = library_->first;
  const int count = processor.GetPieceSize();
  pieces_.resize(static_cast<std::size_t>(count));
  for (int id = 0; id < count; ++id) {
    Piece& piece = pieces_[static_cast<std::size_t>(id)];
    const std::string& text = processor.IdToPiece(id);
    piece.known = true;
    piece.special = processor.IsControl(id) || processor.IsUnknown(id);
    piece.byte = processor.IsByte(id);
    ids_.emplace(text, id);
    if (piece.byte) {
      std::uint8_t byte = 0;
      std::from_chars(text.data() + 3, text.data() + 5, byte, 16);
      piece.bytes.assign(1, static_cast<char>(byte));
    } else if (piece.special) {
      piece.bytes = text;
      added_.add({.content = text, .id = id, .special = true});
    } else {
      piece.bytes = with_spaces(text);
    }
  }
}

void SentencePieceTokenizer::read_added(const SpecialTokens& special, const std::string& file) {
  for (const AddedToken& token : special.added) {
    if (token.content.empty()) continue;
    const auto known = ids_.find(token.content);
    const auto index = static_cast<std::size_t>(token.id);
    if (known != ids_.end() ? known->second != token.id
                            : index < pieces_.size() && pieces_[index].known) {
      base::fail(
          base::ErrorKind::kInput, file,
          "added token {:?} has id {}, and the model disagrees; expected one id for one token",
          token.content, token.id);
    }
    if (known != ids_.end() && pieces_[index].special) continue;
    if (index >= pieces_.size()) pieces_.resize(index + 1);
    pieces_[index] = {token.content, true, token.special, false};
    ids_.emplace(token.content, token.id);
    added_.add(token);
  }
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

std::vector<TokenId> SentencePieceTokenizer::encode(std::string_view text, bool add_special) const {
  const std::string repaired = is_utf8(text) ? std::string() : repair_utf8(text);
  if (!repaired.empty()) text = repaired;
  std::vector<TokenId> out;
  if (add_special) out = frame_.before;
  RegexScratch scratch;
  std::vector<int> ids;
  for (const AddedTokens::Section& section : added_.split(text, scratch)) {
    if (section.id != AddedTokens::kText) {
      out.push_back(section.id);
      continue;
    }
    const bool first = section.text.data() == text.data() || legacy_ || !dummy_prefix_;
    const auto status = (first ? library_->first : library_->later).Encode(section.text, &ids);
    if (!status.ok()) {
      base::fail(base::ErrorKind::kInput, "text", "SentencePiece says {:?}", status.ToString());
    }
    out.insert(out.end(), ids.begin(), ids.end());
  }
  if (add_special) out.insert(out.end(), frame_.after.begin(), frame_.after.end());
  return out;
}

bool SentencePieceTokenizer::shows(TokenId id, bool skip_special) const {
  if (id < 0 || id >= vocabulary()) return false;
  const Piece& piece = pieces_[static_cast<std::size_t>(id)];
  return piece.known && !(skip_special && piece.special);
}

std::optional<std::string> SentencePieceTokenizer::bytes_of(TokenId id, bool skip_special,
                                                            bool first) const {
  if (!shows(id, skip_special)) return std::nullopt;
  const std::string& bytes = pieces_[static_cast<std::size_t>(id)].bytes;
  const bool strip = first && dummy_prefix_ && !bytes.empty() && bytes.front() == ' ';
  return strip ? bytes.substr(1) : bytes;
}

std::string SentencePieceTokenizer::decode(const std::vector<TokenId>& ids,
                                           bool skip_special) const {
  std::string out;
  std::string run;  // of byte pieces: text if it is UTF-8 as a whole, else one U+FFFD a byte
  const auto end_run = [&] {
    if (is_utf8(run)) {
      out += run;
    } else {
      for (std::size_t i = 0; i < run.size(); ++i) out += kReplacement;
    }
    run.clear();
  };
  for (const TokenId id : ids) {
    if (!shows(id, skip_special)) continue;
    const Piece& piece = pieces_[static_cast<std::size_t>(id)];
    if (piece.byte) {
      run += piece.bytes;
      continue;
    }
    end_run();
    out += piece.bytes;
  }
  end_run();
  if (dummy_prefix_ && !out.empty() && out.front() == ' ') out.erase(0, 1);
  return out;
}

}  // namespace whit::text
