#include "text/tiktoken.h"

#include "streams.h"
#include "text/ranked_tokens.h"

// A list of ranks, or tekken.json, that is accepted encodes and gives the text back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit::text;
  const std::string_view contents(reinterpret_cast<const char*>(data), size);
  SpecialTokens special;
  special.tokenizer_class = "QWenTokenizer";  // so that the family is known
  accepts([&] {
    const Json json = Json::parse(contents, nullptr, false);
    const auto tokenizer = looks_like_tekken(json) ? load_tekken(json, "fuzz", {})
                                                   : load_tiktoken(contents, "fuzz", special);
    for (const char* text : {"", "a b  ab\n12 <s>x", "naïve 字😀 \xF0\x9F"}) {
      const auto ids = tokenizer->encode(text, false);
      for (const TokenId id : ids) require(id >= 0 && id < tokenizer->vocabulary());
      require_streams(*tokenizer, ids, false, false);
    }
    require_streams(*tokenizer, any_ids(data, size, tokenizer->vocabulary()), true, false);
  });
  return 0;
}
