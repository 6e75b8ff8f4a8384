#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"
#include "text/word_cache.h"

namespace whit::text {

// A tokenizer.json whose model is BPE, read as the Rust library `tokenizers` reads it.
class HuggingFaceTokenizer final : public Tokenizer {
 public:
  // Errors: kInput, kUnsupported; subject = "FILE: FIELD".
  HuggingFaceTokenizer(const Json& json, const std::string& file, const SpecialTokens& special);
  ~HuggingFaceTokenizer() override;

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override;
  std::string decode(const std::vector<TokenId>& ids, bool skip_special) const override;
  std::optional<std::string> bytes_of(TokenId id, bool skip_special, bool first) const override;
  std::int64_t vocabulary() const override { return static_cast<std::int64_t>(pieces_.size()); }
  std::optional<TokenId> id_of(std::string_view token) const override;
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }

 private:
  struct Piece {
    std::string bytes;  // what it adds to the text
    bool known = false;
    bool special = false;
  };
  struct Workspace;

  void read_added(const Field& root, const SpecialTokens& special);
  void read_decoder(const Field& root);
  void frame_text(const Field& root, const std::string& file, const SpecialTokens& special);
  void check_merges(const Field& root) const;
  void encode_section(std::string_view section, Workspace& work, std::vector<TokenId>& out) const;
  std::unique_ptr<Workspace> take_workspace() const;

  PreTokenizer pre_tokenizer_;
  Bpe model_;
  AddedTokens added_;
  Vocabulary added_ids_;
  Frame frame_;
  std::vector<Piece> pieces_;
  bool joins_with_space_ = false;  // no decoder: tokens are joined by spaces
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace whit::text
