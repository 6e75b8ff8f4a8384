#include "expect.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

// Byte-level encoding loses nothing but what was no UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit::text;
  static const auto tokenizer = load_tokenizer(fs::path(WHIT_SOURCE_DIR) / "demo" / "moe-15m");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto ids = tokenizer->encode(text, false);
  require(tokenizer->decode(ids, false) == repair_utf8(text));
  StreamDecoder stream(*tokenizer, false);
  std::string streamed;
  for (const TokenId id : ids) {
    const std::string part = stream.push(id);
    require(is_utf8(part));
    streamed += part;
  }
  require(streamed + stream.finish() == repair_utf8(text));
  return 0;
}
