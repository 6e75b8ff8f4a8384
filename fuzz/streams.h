#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "expect.h"
#include "text/stream_decoder.h"
#include "text/utf8.h"

// Whether `streamed` is `decoded`, where a run of U+FFFD in `decoded` stands for any text that is
// not empty: byte tokens whose run turned out to be no UTF-8 (StreamDecoder says why).
inline bool same_but_broken_runs(std::string_view streamed, std::string_view decoded) {
  constexpr std::string_view kBroken = "\uFFFD";
  while (true) {
    const std::size_t at = decoded.find(kBroken);
    if (at == std::string_view::npos) {
      return streamed.size() >= decoded.size() &&
             streamed.substr(streamed.size() - decoded.size()) == decoded;
    }
    if (streamed.substr(0, at) != decoded.substr(0, at)) return false;
    streamed.remove_prefix(at);
    decoded.remove_prefix(at);
    while (decoded.substr(0, kBroken.size()) == kBroken) decoded.remove_prefix(kBroken.size());
    // The next text that is certain, after at least one byte.
    const std::string_view next = decoded.substr(0, decoded.find(kBroken));
    const std::size_t found = next.empty() ? 1 : streamed.find(next, 1);
    if (streamed.empty() || found == std::string_view::npos) return false;
    streamed.remove_prefix(found);
    if (decoded.empty()) return true;
  }
}

// Whatever the ids: every part is whole characters, and all of them are what decode() gives.
// broken_runs: the tokenizer has byte tokens of the <0xHH> kind.
inline void require_streams(const whit::text::Tokenizer& tokenizer,
                            const std::vector<whit::text::TokenId>& ids, bool skip_special,
                            bool broken_runs) {
  whit::text::StreamDecoder stream(tokenizer, skip_special);
  std::string streamed;
  for (const whit::text::TokenId id : ids) {
    const std::string part = stream.push(id);
    require(whit::text::is_utf8(part));
    streamed += part;
  }
  const std::string last = stream.finish();
  require(whit::text::is_utf8(last));
  streamed += last;
  const std::string decoded = tokenizer.decode(ids, skip_special);
  require(whit::text::is_utf8(decoded));
  require(streamed == decoded || (broken_runs && same_but_broken_runs(streamed, decoded)));
}

// Ids in any order, some of none: what a model may generate.
inline std::vector<whit::text::TokenId> any_ids(const std::uint8_t* data, std::size_t size,
                                                std::int64_t vocabulary) {
  std::vector<whit::text::TokenId> ids;
  for (std::size_t at = 0; at < std::min<std::size_t>(size, 64); ++at) {
    ids.push_back(static_cast<whit::text::TokenId>((data[at] * 2654435761U) % (vocabulary + 1)));
  }
  return ids;
}
