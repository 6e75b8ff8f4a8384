#include "expect.h"
#include "text/hugging_face.h"
#include "text/stream_decoder.h"
#include "text/utf8.h"

// A tokenizer that is accepted encodes into its vocabulary, and streams what it decodes: of byte
// tokens that are no UTF-8 another number of U+FFFD.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit::text;
  const Json json = Json::parse(data, data + size, nullptr, false);
  if (json.is_discarded()) return 0;
  accepts([&] {
    const HuggingFaceTokenizer tokenizer(json, "fuzz", {});
    for (const char* text : {"", "a b  ab\n12 <s>x", "naïve 字😀 \xF0\x9F"}) {
      const auto ids = tokenizer.encode(text, true);
      StreamDecoder stream(tokenizer, false);
      std::string streamed;
      for (const TokenId id : ids) {
        require(id >= 0 && id < tokenizer.vocabulary());
        const std::string part = stream.push(id);
        require(is_utf8(part));
        streamed += part;
      }
      streamed += stream.finish();
      const std::string decoded = tokenizer.decode(ids, false);
      require(streamed == decoded || decoded.find("\uFFFD") != std::string::npos);
    }
  });
  return 0;
}
