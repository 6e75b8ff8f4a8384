#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/content.h"
#include "data/model_text.h"
#include "data/row_window.h"
#include "data/rows.h"
#include "text/tokenizer.h"

namespace whit::data {

// The ids of a row without BOS, and whether BOS stands before every slice of it.
struct RowTokens {
  std::vector<text::TokenId> ids;
  bool bos = false;
};

// Throws kInput, subject = name, where an id is not below `vocabulary`.
void check_ids(const std::vector<text::TokenId>& ids, std::int64_t vocabulary,
               const std::string& name);

// A chat as the model's template writes it. Errors: kInput, kUnsupported, with the row as context;
// kInput, subject = name, where the model has no template.
std::string render(const Chat& chat, const std::string& name, const ModelText& model);

// What is said about many rows once: the first row of which it is true, and of how many.
struct RowNotes {
  struct Note {
    std::int64_t rows = 0;
    std::string first;
  };
  std::map<std::string, Note> skipped;  // by reason
  std::map<std::string, Note> remarks;
  static void add(std::map<std::string, Note>& notes, const std::string& text,
                  const std::string& row);
};

// Rows of a source as ids. A text gets BOS, where `bos` asks for it and the tokenizer has one; a
// rendered chat and a row of input_ids only where they begin with it.
class RowTokenizer {
 public:
  RowTokenizer(const RowSource& rows, const ModelText& model, std::int64_t vocabulary,
               std::string column, bool bos);

  // nullopt: the row holds nothing (a null); said in notes().
  std::optional<RowTokens> read(std::uint64_t row, const RowWindow::NextRows& next_rows);
  std::optional<text::TokenId> bos() const { return bos_; }
  const RowNotes& notes() const { return notes_; }

 private:
  RowTokens tokens_of(const std::string& text, bool with_bos, const std::string& name) const;
  RowTokens strip_bos(std::vector<text::TokenId> ids) const;
  RowTokens read_chat(const Chat& chat, const std::string& name);

  const RowSource& rows_;
  RowWindow window_;
  const ModelText& model_;
  std::int64_t vocabulary_;
  std::string column_;
  std::optional<text::TokenId> bos_;
  RowNotes notes_;
};

}  // namespace whit::data
