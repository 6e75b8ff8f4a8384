#include "data/row_tokens.h"

#include "base/error.h"

namespace whit::data {

void check_ids(const std::vector<text::TokenId>& ids, std::int64_t vocabulary,
               const std::string& name) {
  for (const text::TokenId id : ids) {
    if (id < 0 || id >= vocabulary) {
      base::fail(base::ErrorKind::kInput, name, "token id {}; expected 0 to {}", id,
                 vocabulary - 1);
    }
  }
}

RowTokenizer::RowTokenizer(const RowFile& rows, const text::Tokenizer* tokenizer,
                           std::int64_t vocabulary, bool bos)
    : rows_(rows), tokenizer_(tokenizer), vocabulary_(vocabulary) {
  if (bos && tokenizer != nullptr) bos_ = tokenizer->bos();
}

RowTokens RowTokenizer::read(std::size_t row) const {
  Row content = rows_.read(row);
  RowTokens tokens;
  if (auto* ids = std::get_if<std::vector<text::TokenId>>(&content.content)) {
    tokens.ids = std::move(*ids);
    check_ids(tokens.ids, vocabulary_, rows_.name(row));
    if (bos_ && !tokens.ids.empty() && tokens.ids.front() == *bos_) {
      tokens.ids.erase(tokens.ids.begin());
      tokens.bos = true;
    }
    return tokens;
  }
  if (tokenizer_ == nullptr) {
    base::fail(base::ErrorKind::kInput, rows_.name(row),
               "a text, and the model has no tokenizer; expected input_ids");
  }
  tokens.ids = tokenizer_->encode(std::get<std::string>(content.content), false);
  check_ids(tokens.ids, vocabulary_, rows_.name(row));
  tokens.bos = bos_.has_value();
  return tokens;
}

}  // namespace whit::data
