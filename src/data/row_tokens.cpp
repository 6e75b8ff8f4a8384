#include "data/row_tokens.h"

#include "base/error.h"

namespace whit::data {

using base::ErrorKind;
using base::fail;

void check_ids(const std::vector<text::TokenId>& ids, std::int64_t vocabulary,
               const std::string& name) {
  for (const text::TokenId id : ids) {
    if (id < 0 || id >= vocabulary) {
      fail(ErrorKind::kInput, name, "token id {}; expected 0 to {}", id, vocabulary - 1);
    }
  }
}

std::string render(const Chat& chat, const std::string& name, const ModelText& model) {
  if (!model.render_chat) {
    fail(ErrorKind::kInput, name,
         "a chat, and the model has no chat template; expected text or input_ids, or "
         "--chat-template FILE");
  }
  try {
    return model.render_chat(chat.messages);
  } catch (base::Error& error) {
    throw error.add_context("in the chat of " + name);
  }
}

void RowNotes::add(std::map<std::string, Note>& notes, const std::string& text,
                   const std::string& row) {
  Note& note = notes[text];
  if (note.rows++ == 0) note.first = row;
}

RowTokenizer::RowTokenizer(const RowSource& rows, const ModelText& model, std::int64_t vocabulary,
                           std::string column, bool bos)
    : rows_(rows),
      window_(rows),
      model_(model),
      vocabulary_(vocabulary),
      column_(std::move(column)) {
  if (bos && model.tokenizer != nullptr) bos_ = model.tokenizer->bos();
}

std::optional<RowTokens> RowTokenizer::read(std::uint64_t row,
                                            const RowWindow::NextRows& next_rows) {
  const std::string name = rows_.name(row);
  Content content = content_of(window_.read(row, next_rows), column_, name);
  if (const auto* nothing = std::get_if<NoContent>(&content)) {
    RowNotes::add(notes_.skipped, nothing->reason, name);
    return std::nullopt;
  }
  if (auto* ids = std::get_if<std::vector<text::TokenId>>(&content)) {
    check_ids(*ids, vocabulary_, name);
    return strip_bos(std::move(*ids));
  }
  if (const auto* chat = std::get_if<Chat>(&content)) return read_chat(*chat, name);
  return tokens_of(std::get<std::string>(content), true, name);
}

RowTokens RowTokenizer::strip_bos(std::vector<text::TokenId> ids) const {
  RowTokens tokens{std::move(ids), false};
  if (bos_ && !tokens.ids.empty() && tokens.ids.front() == *bos_) {
    tokens.ids.erase(tokens.ids.begin());
    tokens.bos = true;
  }
  return tokens;
}

RowTokens RowTokenizer::tokens_of(const std::string& text, bool with_bos,
                                  const std::string& name) const {
  if (model_.tokenizer == nullptr) {
    fail(ErrorKind::kInput, name,
         "a text, and the model has no tokenizer; expected input_ids, or --tokenizer PATH");
  }
  std::vector<text::TokenId> ids = model_.tokenizer->encode(text, false);
  check_ids(ids, vocabulary_, name);
  if (!with_bos) return strip_bos(std::move(ids));
  return {std::move(ids), bos_.has_value()};
}

RowTokens RowTokenizer::read_chat(const Chat& chat, const std::string& name) {
  if (!model_.render_chat && !chat.joined.empty()) {
    RowNotes::add(notes_.remarks, "no chat template: read as \"SYSTEM_PROMPT. QUESTION\"", name);
    return tokens_of(chat.joined, true, name);
  }
  return tokens_of(render(chat, name, model_), false, name);
}

}  // namespace whit::data
