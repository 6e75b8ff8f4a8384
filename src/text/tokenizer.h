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
// Ids lie below this: tables are indexed by them, and a file may name any.
inline constexpr std::int64_t kMaxTokenId = 1 << 22;

// Text of ids that come one by one.
class TextRun {
 public:
  virtual ~TextRun() = default;
  // The text that is certain now, never part of a character.
  virtual std::string push(TokenId id) = 0;
  // What was held back. No push follows.
  virtual std::string finish() = 0;
};

// Text in and out of ids. Functions may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Ids of `text`. Added tokens in the text are recognised. add_special: also what the
  // post-processor adds (BOS and the like). Bytes that are not UTF-8 are read as U+FFFD.
  // Errors: kInput where the tokenizer's regular expression exceeds its limits on this text.
  virtual std::vector<TokenId> encode(std::string_view text, bool add_special) const = 0;
  // Text of ids, as the Hugging Face decoder gives it; skip_special leaves special tokens out.
  // Ids that name no token are passed over.
  virtual std::string decode(const std::vector<TokenId>& ids, bool skip_special) const = 0;
  // Decodes ids as they come; the tokenizer must outlive it. All its parts joined are decode() of
  // all ids; only a run of byte tokens that is no UTF-8 may differ, in the number of U+FFFD.
  virtual std::unique_ptr<TextRun> begin_text(bool skip_special) const = 0;
  // One more than the largest id.
  virtual std::int64_t vocabulary() const = 0;
  virtual std::optional<TokenId> id_of(std::string_view token) const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
};

// Reads the tokenizer of a model folder or a file: tokenizer.json, a SentencePiece .model, a
// tiktoken list of ranks, Mistral's tekken.json, the vocabulary of a GGUF file; special tokens from
// tokenizer_config.json beside it. Errors: kInput (subject: file and field), kUnsupported for a
// component that whit does not know, by its name.
std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& model_folder_or_file);
bool has_tokenizer(const fs::path& model_folder);

}  // namespace whit::text
