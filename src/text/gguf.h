#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace whit::text {

// The tokenizer that a GGUF file's metadata describe: "llama" and "t5" as SentencePiece reads them,
// "gpt2" as a byte-level tokenizer.json with the pre-tokenizer that `pre` names.
// Errors: kInput, subject = "FILE: KEY"; kUnsupported for another kind or `pre`, by its name.
std::unique_ptr<Tokenizer> load_gguf(std::string_view contents, const std::string& file);

}  // namespace whit::text
