#include "streams.h"
#include "text/hugging_face.h"

// A tokenizer that is accepted encodes into its vocabulary, and streams what it decodes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit::text;
  const Json json = Json::parse(data, data + size, nullptr, false);
  if (json.is_discarded()) return 0;
  accepts([&] {
    const HuggingFaceTokenizer tokenizer(json, "fuzz", {});
    const bool broken_runs = json.dump().find("ByteFallback") != std::string::npos;
    for (const char* text : {"", "a b  ab\n12 <s>x", "naïve 字😀 \xF0\x9F"}) {
      const auto ids = tokenizer.encode(text, true);
      for (const TokenId id : ids) require(id >= 0 && id < tokenizer.vocabulary());
      require_streams(tokenizer, ids, false, broken_runs);
    }
    require_streams(tokenizer, any_ids(data, size, tokenizer.vocabulary()), true, broken_runs);
  });
  return 0;
}
