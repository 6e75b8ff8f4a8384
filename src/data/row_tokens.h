#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

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

// Rows of a file as ids.
class RowTokenizer {
 public:
  RowTokenizer(const RowFile& rows, const text::Tokenizer* tokenizer, std::int64_t vocabulary,
               bool bos);

  RowTokens read(std::size_t row) const;
  std::optional<text::TokenId> bos() const { return bos_; }

 private:
  const RowFile& rows_;
  const text::Tokenizer* tokenizer_;
  std::int64_t vocabulary_;
  std::optional<text::TokenId> bos_;
};

}  // namespace whit::data
