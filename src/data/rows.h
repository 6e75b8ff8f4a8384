#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "text/tokenizer.h"

namespace whit::data {

namespace fs = std::filesystem;

// One row of a dataset: a text, or ids as they came.
struct Row {
  std::variant<std::string, std::vector<text::TokenId>> content;
};

// The rows of a file: the lines of a JSONL file, or the blocks of a plain text. Holds the place of
// every row and reads one at a time, so memory does not grow with the rows' contents.
class RowFile {
 public:
  // column: the field to read; empty: `input_ids` where a row has it, else `text`.
  // block_bytes: a plain text is cut at the first line end after that many bytes.
  // Errors: kInput (missing, empty, binary), kUnsupported (another kind of file); subject = path.
  RowFile(const fs::path& path, std::string column, std::uint64_t block_bytes);

  std::size_t count() const { return places_.size(); }
  bool is_plain_text() const { return plain_text_; }
  // "FILE:LINE" of a row, for errors.
  std::string name(std::size_t row) const;
  // Errors: kInput, subject = name(row).
  Row read(std::size_t row) const;

 private:
  struct Place {
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t line;
  };
  void index_lines();
  void index_blocks(std::uint64_t block_bytes);
  std::string_view contents() const;

  base::MappedFile file_;
  std::string column_;
  bool plain_text_ = false;
  std::vector<Place> places_;
};

}  // namespace whit::data
