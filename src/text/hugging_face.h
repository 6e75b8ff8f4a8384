#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/special_tokens.h"
#include "text/token_texts.h"
#include "text/tokenizer.h"
#include "text/unigram.h"
#include "text/word_cache.h"

namespace whit::text {

// A tokenizer.json, read as the Rust library `tokenizers` reads it: added tokens, normalizer,
// pre-tokenizer, model (BPE or Unigram), post-processor, decoder.
class HuggingFaceTokenizer final : public Tokenizer {
 public:
  // Errors: kInput, kUnsupported; subject = "FILE: FIELD".
  HuggingFaceTokenizer(const Json& json, const std::string& file, const SpecialTokens& special);
  // As a tokenizer.json of which `json` is all but the model, which reads bytes.
  HuggingFaceTokenizer(const Json& json, Bpe model, const std::string& file,
                       const SpecialTokens& special);
  ~HuggingFaceTokenizer() override;

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override;
  std::string decode(const std::vector<TokenId>& ids, bool skip_special) const override {
    return texts_.decode(ids, skip_special);
  }
  std::unique_ptr<TextRun> begin_text(bool skip_special) const override {
    return texts_.begin_text(skip_special);
  }
  std::int64_t vocabulary() const override { return texts_.size(); }
  std::optional<TokenId> id_of(std::string_view token) const override;
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }

 private:
  struct Workspace;
  using Model = std::variant<Bpe, Unigram>;

  void read(const Field& root, const SpecialTokens& special);
  void read_model_tokens();
  void read_added(const Field& root, const SpecialTokens& special);
  void frame_text(const Field& root, const SpecialTokens& special);
  void check_merges(const Field& root) const;
  const Vocabulary& model_vocabulary() const;
  void encode_section(std::string_view section, bool begins_input, Workspace& work,
                      std::vector<TokenId>& out) const;
  void encode_pieces(std::string_view section, std::size_t origin, Workspace& work,
                     std::vector<TokenId>& out) const;
  void encode_word(std::string_view word, Workspace& work, std::vector<TokenId>& out) const;
  std::unique_ptr<Workspace> take_workspace() const;

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  Model model_;
  AddedTokens raw_;         // looked for in the text as it is
  AddedTokens normalized_;  // looked for in normalized text
  Vocabulary added_ids_;
  Frame frame_;
  TokenTexts texts_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace whit::text
