#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/post_processor.h"
#include "text/special_tokens.h"
#include "text/token_texts.h"
#include "text/tokenizer.h"

namespace whit::text {

// A SentencePiece .model. Control pieces in the text (<s>, </s>, [INST]) are recognised; only a
// text's beginning gets the dummy prefix, or every part between them where the config says
// `legacy`. Decodes as transformers' LlamaTokenizerFast does.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  // Errors: kInput, kUnsupported; subject = "FILE: FIELD".
  SentencePieceTokenizer(std::string_view model, const std::string& file,
                         const SpecialTokens& special);
  ~SentencePieceTokenizer() override;

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override;
  std::string decode(const std::vector<TokenId>& ids, bool skip_special) const override {
    return texts_->decode(ids, skip_special);
  }
  std::unique_ptr<TextRun> begin_text(bool skip_special) const override {
    return texts_->begin_text(skip_special);
  }
  std::int64_t vocabulary() const override { return texts_->size(); }
  std::optional<TokenId> id_of(std::string_view token) const override;
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }

 private:
  struct Library;
  struct Workspace;

  void read_tokens(const SpecialTokens& special, const std::string& file);
  void frame_text(const SpecialTokens& special, const std::string& file);

  void find_crossings();
  void encode_section(std::string_view section, bool begins, Workspace& work,
                      std::vector<TokenId>& out) const;
  std::unique_ptr<Workspace> take_workspace() const;

  std::unique_ptr<Library> library_;
  std::optional<TokenTexts> texts_;
  AddedTokens added_;
  Vocabulary ids_;
  Frame frame_;
  bool dummy_prefix_ = true;
  bool legacy_ = false;
  // Words may be encoded one by one: before a space that follows a character in no piece that has
  // U+2581 behind it, no merge joins.
  bool has_cuts_ = false;
  std::unordered_set<std::string, StringHash, std::equal_to<>> crossings_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace whit::text
