#include <algorithm>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/hugging_face.h"
#include "text/sentence_piece.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

namespace whit::text {

namespace {

// The tokenizer's file in a model folder; empty where there is none.
fs::path find_tokenizer(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::is_regular_file(folder / name)) return folder / name;
  }
  std::vector<fs::path> models;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".model" && entry.is_regular_file()) {
      models.push_back(entry.path());
    }
  }
  return models.size() == 1 ? models.front() : fs::path();
}

bool is_json(const fs::path& file) {
  const base::MappedFile mapped(file);
  for (const std::byte byte : mapped.bytes()) {
    const char c = static_cast<char>(byte);
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return c == '{';
  }
  base::fail(base::ErrorKind::kInput, file.string(), "an empty file; expected a tokenizer");
}

}  // namespace

bool has_tokenizer(const fs::path& model_folder) {
  return !find_tokenizer(model_folder).empty();
}

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& model_folder_or_file) {
  fs::path file = model_folder_or_file;
  if (fs::is_directory(file)) {
    file = find_tokenizer(file);
    if (file.empty()) {
      base::fail(base::ErrorKind::kInput, model_folder_or_file.string(),
                 "no tokenizer; expected tokenizer.json, tokenizer.model or one *.model");
    }
  }
  if (file.extension() == ".json" || is_json(file)) {
    const Json json = read_json_file(file);
    return std::make_unique<HuggingFaceTokenizer>(json, file.string(),
                                                  read_special_tokens(file.parent_path()));
  }
  return std::make_unique<SentencePieceTokenizer>(base::read_text_file(file), file.string(),
                                                  read_special_tokens(file.parent_path()));
}

}  // namespace whit::text
