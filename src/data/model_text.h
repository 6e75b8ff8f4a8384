#pragma once

#include <functional>
#include <string>
#include <utility>

#include "data/rows.h"
#include "text/tokenizer.h"

namespace whit::data {

// A chat as the model's template writes it. Errors: kInput, kUnsupported (what the template
// cannot).
using RenderChat = std::function<std::string(const Json& messages)>;

// What makes ids of rows. Either may be empty, where rows do not need it.
struct ModelText {
  ModelText(const text::Tokenizer* its_tokenizer) : tokenizer(its_tokenizer) {}  // NOLINT
  ModelText(const text::Tokenizer* its_tokenizer, RenderChat its_template)
      : tokenizer(its_tokenizer), render_chat(std::move(its_template)) {}

  const text::Tokenizer* tokenizer;
  RenderChat render_chat;
};

}  // namespace whit::data
