#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_field.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

namespace whit::text {

// A tiktoken list of ranks. It holds neither the regular expression nor the special tokens: those
// are known by the model family, which tokenizer_config.json's class, the file's name, or the
// tokens themselves tell. Errors: kInput; kUnsupported where the family is not known; subject =
// file.
std::unique_ptr<Tokenizer> load_tiktoken(std::string_view contents, const std::string& file,
                                         const SpecialTokens& special);

// Mistral's tekken.json (and its form for JavaScript, with `bpe_ranks`), which holds the regular
// expression. Special tokens come before the ranks. Errors: kInput, subject = "FILE: FIELD".
bool looks_like_tekken(const Json& json);
std::unique_ptr<Tokenizer> load_tekken(const Json& json, const std::string& file,
                                       const SpecialTokens& special);

// Regular expressions that several families share.
inline constexpr std::string_view kCl100kPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";

// All of a byte-level tokenizer.json but its model: one cut by `pattern`, NFC before it if `nfc`.
Json byte_level_pipeline(std::string_view pattern, bool nfc);
void add_special(Json& pipeline, std::string_view content, std::int64_t id);

}  // namespace whit::text
