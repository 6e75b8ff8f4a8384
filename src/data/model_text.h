#pragma once

#include <filesystem>
#include <functional>
#include <memory>
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

// What is used instead of a model folder's own; empty: its own.
struct TextFiles {
  fs::path tokenizer = {};  // a folder, whose template is used too where the model has none; a file
  fs::path chat_template = {};  // a file as jinja::ChatTemplate::load takes it; the model's tokens
};

// Tokenizer and chat template of a model folder, as far as it has them. A template is read when the
// first chat needs it, so that one that whit cannot read is no error where there are no chats.
class FolderText {
 public:
  // Errors: those of load_tokenizer; kInput where the template's file is not there.
  explicit FolderText(const fs::path& folder, const TextFiles& files = {});

  const text::Tokenizer* tokenizer() const { return tokenizer_.get(); }
  // Valid as long as this lives. Dates in templates are 26 July 2024, so that a job gives the same
  // samples on every day.
  ModelText view() const { return {tokenizer_.get(), render_chat_}; }

 private:
  std::unique_ptr<text::Tokenizer> tokenizer_;
  RenderChat render_chat_;
};

}  // namespace whit::data
