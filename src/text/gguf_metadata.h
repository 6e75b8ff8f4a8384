#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whit::text {

// What the metadata of a GGUF file say of its vocabulary: the keys `tokenizer.ggml.*`.
struct GgufVocabulary {
  std::string model;  // "llama", "gpt2", "t5", ...
  std::string pre;    // which pre-tokenizer, of "gpt2"
  std::vector<std::string> tokens;
  std::vector<float> scores;        // one for each token, or none
  std::vector<std::int32_t> types;  // one for each token, or none: GgufTokenType
  std::vector<std::string> merges;  // "LEFT RIGHT"
  std::string charsmap;
  std::optional<std::uint64_t> bos;
  std::optional<std::uint64_t> eos;
  std::optional<std::uint64_t> unknown;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<bool> add_space_prefix;
  std::optional<bool> remove_extra_whitespaces;
};

enum GgufTokenType : std::int32_t {
  kGgufNormal = 1,
  kGgufUnknown = 2,
  kGgufControl = 3,
  kGgufUserDefined = 4,
  kGgufUnused = 5,
  kGgufByte = 6
};

bool looks_like_gguf(std::string_view contents);

// Reads the metadata that the vocabulary needs and passes over the rest; tensors are not looked at.
// Nothing is allocated that the file's own bytes do not hold.
// Errors: kInput, subject = "FILE: KEY"; kUnsupported for a version other than 2 and 3.
// Source: the GGUF specification (ggml, docs/gguf.md).
GgufVocabulary read_gguf_vocabulary(std::string_view contents, const std::string& file);

}  // namespace whit::text
