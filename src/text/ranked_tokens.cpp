#include "text/ranked_tokens.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "text/base64.h"
#include "text/byte_level.h"

namespace whit::text {

namespace {

constexpr std::size_t kMaxTokens = 1 << 21;

struct Line {
  std::string token;
  std::uint64_t rank;
};

std::optional<Line> parse_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0) return std::nullopt;
  const std::string_view digits = line.substr(space + 1);
  Line parsed;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), parsed.rank);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  auto token = decode_base64(line.substr(0, space));
  if (!token) return std::nullopt;
  parsed.token = std::move(*token);
  return parsed;
}

std::string_view next_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

}  // namespace

bool looks_like_tiktoken(std::string_view contents) {
  constexpr std::size_t kLongestLine = 4096;
  std::string_view rest = contents.substr(0, kLongestLine);
  const std::string_view line = next_line(rest);
  return (line.size() < kLongestLine) && parse_line(line).has_value();
}

std::vector<std::string> read_tiktoken(std::string_view contents, const std::string& file) {
  std::vector<std::string> tokens;
  std::size_t number = 0;
  while (!contents.empty()) {
    const std::string_view line = next_line(contents);
    ++number;
    if (line.empty() && contents.empty()) break;
    const std::string subject = fmt::format("{}: line {}", file, number);
    auto parsed = parse_line(line);
    if (!parsed) {
      base::fail(base::ErrorKind::kInput, subject,
                 "{:?}; expected a token in base64, a space and its rank", line.substr(0, 80));
    }
    if (parsed->rank != tokens.size()) {
      base::fail(base::ErrorKind::kInput, subject, "rank {}; expected {}, as ranks have no gaps",
                 parsed->rank, tokens.size());
    }
    if (tokens.size() == kMaxTokens) {
      base::fail(base::ErrorKind::kInput, subject, "more than {} tokens; expected less",
                 kMaxTokens);
    }
    tokens.push_back(std::move(parsed->token));
  }
  return tokens;
}

std::string fingerprint(const std::vector<std::string>& tokens) {
  base::Hasher hasher;
  for (const std::string& token : tokens) {
    hasher.update(fmt::format("{}:", token.size()));
    hasher.update(token);
  }
  return hasher.hex();
}

std::vector<std::string> spell_tokens(const std::vector<std::string>& tokens,
                                      const std::string& subject) {
  std::vector<std::string> spelt;
  spelt.reserve(tokens.size());
  std::unordered_set<std::string_view> seen;
  seen.reserve(tokens.size());
  for (const std::string& token : tokens) {
    if (token.empty() || !seen.insert(token).second) {
      base::fail(base::ErrorKind::kInput, subject, "rank {} is {}; expected a token of its own",
                 spelt.size(), token.empty() ? "empty" : "there twice");
    }
    spelt.push_back(to_byte_chars(token));
  }
  return spelt;
}

}  // namespace whit::text
