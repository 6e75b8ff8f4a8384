#include "eval/text_windows.h"

#include "data/samples.h"

namespace whit::eval {

namespace {

std::optional<text::TokenId> bos_token(const text::Tokenizer* tokenizer,
                                       const checkpoint::Checkpoint& checkpoint) {
  if (tokenizer != nullptr && tokenizer->bos()) return tokenizer->bos();
  const auto& config = checkpoint.config();
  if (config.contains("bos_token_id") && config["bos_token_id"].is_number_integer())
    return config["bos_token_id"].get<text::TokenId>();
  return std::nullopt;
}

}  // namespace

std::vector<Window> read_windows(const runtime::OpenModel& model, const data::ModelText& text,
                                 const std::filesystem::path& file, const std::string& column,
                                 const WindowArgs& args) {
  const auto ids = data::read_eval_ids(file, args.max_tokens, text, model.spec.vocabulary, column);
  return cut_windows(ids, bos_token(text.tokenizer, model.checkpoint), args);
}

}  // namespace whit::eval
