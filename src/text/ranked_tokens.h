#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace whit::text {

// Whether a file's beginning is a line of tiktoken's: base64, a space, a rank.
bool looks_like_tiktoken(std::string_view contents);

// The tokens of tiktoken's lines, by rank. Errors: kInput, subject = "FILE: line N": a line that is
// none, ranks that do not count up from 0, a token twice.
std::vector<std::string> read_tiktoken(std::string_view contents, const std::string& file);

// XXH3-128 of the tokens, each after its length and a colon.
std::string fingerprint(const std::vector<std::string>& tokens);

// The tokens in GPT-2's alphabet. Errors: kInput where one is there twice or empty; subject as
// given.
std::vector<std::string> spell_tokens(const std::vector<std::string>& tokens,
                                      const std::string& subject);

}  // namespace whit::text
