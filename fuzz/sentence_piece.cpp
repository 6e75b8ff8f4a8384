#include "text/sentence_piece.h"

#include "streams.h"

// A model that is accepted encodes into its vocabulary and decodes to text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit::text;
  const std::string_view model(reinterpret_cast<const char*>(data), size);
  accepts([&] {
    const SentencePieceTokenizer tokenizer(model, "fuzz", {});
    for (const char* text : {"", "a whit  of text\n<s>x", "naïve 字😀 \xF0\x9F"}) {
      const auto ids = tokenizer.encode(text, true);
      for (const TokenId id : ids) require(id >= 0 && id < tokenizer.vocabulary());
      require_streams(tokenizer, ids, false, true);
    }
    require_streams(tokenizer, any_ids(data, size, tokenizer.vocabulary()), true, true);
  });
  return 0;
}
