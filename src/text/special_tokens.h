#pragma once

#include <optional>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/json_field.h"

namespace whit::text {

// What tokenizer_config.json (and special_tokens_map.json, for what it leaves out) say.
struct SpecialTokens {
  std::optional<std::string> bos;
  std::optional<std::string> eos;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  bool legacy = false;
  std::string tokenizer_class;
  std::vector<AddedToken> added;  // added_tokens_decoder
};

// Of the folder that holds the tokenizer; empty where it has neither file. Errors: kInput.
SpecialTokens read_special_tokens(const fs::path& folder);

// An entry of tokenizer.json's added_tokens or tokenizer_config.json's added_tokens_decoder.
AddedToken read_added_token(const Field& field, TokenId id);

// A token id within what whit allows. Errors: kInput, subject = field.
TokenId read_token_id(const Field& field, std::int64_t value);

}  // namespace whit::text
