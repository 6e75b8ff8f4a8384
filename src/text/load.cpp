#include <algorithm>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/gguf.h"
#include "text/gguf_metadata.h"
#include "text/hugging_face.h"
#include "text/ranked_tokens.h"
#include "text/sentence_piece.h"
#include "text/special_tokens.h"
#include "text/tiktoken.h"
#include "text/tokenizer.h"

namespace whit::text {

namespace {

// The tokenizer's file in a model folder; empty where there is none.
fs::path find_tokenizer(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tekken.json"}) {
    if (fs::is_regular_file(folder / name)) return folder / name;
  }
  for (const char* extension : {".model", ".tiktoken", ".gguf"}) {
    std::vector<fs::path> files;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (entry.path().extension() == extension && entry.is_regular_file()) {
        files.push_back(entry.path());
      }
    }
    if (files.size() == 1) return files.front();
  }
  return {};
}

bool is_json(std::string_view contents, const fs::path& file) {
  const std::size_t first = contents.find_first_not_of(" \n\r\t");
  if (first == std::string_view::npos) {
    base::fail(base::ErrorKind::kInput, file.string(), "an empty file; expected a tokenizer");
  }
  return contents[first] == '{';
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
                 "no tokenizer; expected tokenizer.json, tokenizer.model, tekken.json, or one "
                 "*.model, *.tiktoken or *.gguf");
    }
  }
  const std::string name = file.string();
  const base::MappedFile mapped(file);
  const std::string_view contents(reinterpret_cast<const char*>(mapped.bytes().data()),
                                  mapped.bytes().size());
  if (looks_like_gguf(contents)) return load_gguf(contents, name);
  const SpecialTokens special = read_special_tokens(file.parent_path());
  if (file.extension() == ".json" || is_json(contents, file)) {
    const Json json = read_json_file(file);
    if (looks_like_tekken(json)) return load_tekken(json, name, special);
    return std::make_unique<HuggingFaceTokenizer>(json, name, special);
  }
  if (looks_like_tiktoken(contents)) return load_tiktoken(contents, name, special);
  return std::make_unique<SentencePieceTokenizer>(base::read_text_file(file), name, special);
}

}  // namespace whit::text
