#include "text/gguf.h"

#include "streams.h"

// A vocabulary that is accepted encodes into itself and decodes to text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit::text;
  const std::string_view contents(reinterpret_cast<const char*>(data), size);
  accepts([&] {
    const auto tokenizer = load_gguf(contents, "fuzz");
    for (const char* text : {"", "a b  ab\n12 <s>x", "naïve 字😀 \xF0\x9F"}) {
      const auto ids = tokenizer->encode(text, true);
      for (const TokenId id : ids) require(id >= 0 && id < tokenizer->vocabulary());
      require_streams(*tokenizer, ids, false, true);
    }
    require_streams(*tokenizer, any_ids(data, size, tokenizer->vocabulary()), true, true);
  });
  return 0;
}
