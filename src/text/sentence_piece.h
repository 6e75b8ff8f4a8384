#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

  void read_tokens(const SpecialTokens& special, const std::string& file);
  void frame_text(const SpecialTokens& special, const std::string& file);

  std::unique_ptr<Library> library_;
  std::optional<TokenTexts> texts_;
  AddedTokens added_;
  Vocabulary ids_;
  Frame frame_;
  bool dummy_prefix_ = true;
  bool legacy_ = false;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
};

}  // namespace whit::text
