#include "text/token_texts.h"

namespace whit::text {

class TokenTexts::Run final : public TextRun {
 public:
  Run(const TokenTexts& texts, bool skip_special)
      : texts_(texts), skip_special_(skip_special), run_(texts.decoder_, true) {}

  std::string push(TokenId id) override {
    std::string text;
    const Token* token = texts_.find(id);
    if (token != nullptr && !(skip_special_ && token->special)) run_.push(token->prepared, text);
    return text;
  }
  std::string finish() override {
    std::string text;
    run_.finish(text);
    return text;
  }

 private:
  const TokenTexts& texts_;
  bool skip_special_;
  Decoder::Run run_;
};

void TokenTexts::put(TokenId id, std::string_view token, bool special) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  tokens_[index] = {decoder_.prepare(token, scratch_), true, special};
}

const TokenTexts::Token* TokenTexts::find(TokenId id) const {
  if (id < 0 || id >= size()) return nullptr;
  const Token& token = tokens_[static_cast<std::size_t>(id)];
  return token.known ? &token : nullptr;
}

std::string TokenTexts::decode(const std::vector<TokenId>& ids, bool skip_special) const {
  Decoder::Run run(decoder_, false);
  std::string text;
  text.reserve(ids.size() * 4);
  for (const TokenId id : ids) {
    const Token* token = find(id);
    if (token != nullptr && !(skip_special && token->special)) run.push(token->prepared, text);
  }
  run.finish(text);
  return text;
}

std::unique_ptr<TextRun> TokenTexts::begin_text(bool skip_special) const {
  return std::make_unique<Run>(*this, skip_special);
}

}  // namespace whit::text
