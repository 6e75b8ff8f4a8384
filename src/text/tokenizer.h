#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whit::text {

namespace fs = std::filesystem;

using TokenId = std::int32_t;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Ids of `text`. Added tokens in the text are recognised. add_special: also what the
  // post-processor adds (BOS and the like).
  virtual std::vector<TokenId> encode(std::string_view text, bool add_special) const = 0;
  // Text of ids, as the Hugging Face decoder gives it; skip_special leaves special tokens out.
  virtual std::string decode(const std::vector<TokenId>& ids, bool skip_special) const = 0;
  virtual std::int64_t vocabulary() const = 0;
  virtual std::optional<TokenId> id_of(std::string_view token) const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
};

// Reads tokenizer.json, or a SentencePiece .model, of a model folder or a file; special tokens from
// tokenizer_config.json beside it. Errors: kInput (subject: file and field), kUnsupported for a
// component that whit does not know, by its name.
std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& model_folder_or_file);
bool has_tokenizer(const fs::path& model_folder);

}  // namespace whit::text
