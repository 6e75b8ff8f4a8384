#pragma once

#include <optional>
#include <vector>

#include "text/json_field.h"
#include "text/tokenizer.h"

namespace whit::text {

// What stands before and after the ids of a text when special tokens are added.
struct Frame {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};

// The field `post_processor` of tokenizer.json: TemplateProcessing, RobertaProcessing,
// BertProcessing, ByteLevel (which changes offsets only), Sequence. Errors: kUnsupported for
// another type, by its name; kInput.
Frame read_post_processor(std::optional<Field> field);

}  // namespace whit::text
