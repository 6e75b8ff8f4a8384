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
  std::string decode(const std::vector<TokenId>& ids, bool skip_special) const override;
  std::optional<std::string> bytes_of(TokenId id, bool skip_special, bool first) const override;
  std::int64_t vocabulary() const override { return static_cast<std::int64_t>(pieces_.size()); }
  std::optional<TokenId> id_of(std::string_view token) const override;
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }

 private:
  struct Piece {
    std::string bytes;
    bool known = false;
    bool special = false;
    bool byte = false;
  };
  struct Library;

  void read_pieces();
  void read_added(const SpecialTokens& special, const std::string& file);
  void frame_text(const SpecialTokens& special, const std::string& file);
  bool shows(TokenId id, bool skip_special) const;

  std::unique_ptr<Library> library_;
  std::vector<Piece> pieces_;
  AddedTokens added_;
  Vocabulary ids_;
  Frame frame_;
  bool dummy_prefix_ = true;
  bool legacy_ = false;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
};

}  // namespace whit::text
