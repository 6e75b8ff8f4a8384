#include <array>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "streams.h"
#include "text/gguf.h"
#include "text/hugging_face.h"
#include "text/sentence_piece.h"
#include "text/tiktoken.h"

// Ids of every kind of tokenizer, decoded as they come. The first byte chooses the tokenizer and
// whether special tokens are left out; two bytes are an id.

namespace {

using namespace whit::text;

const std::filesystem::path kSource = WHIT_SOURCE_DIR;

struct Kind {
  std::unique_ptr<Tokenizer> tokenizer;
  bool broken_runs;
};

std::string file(const char* name) {
  return whit::base::read_text_file(kSource / name);
}

// Every byte as <0xHH> and some pieces; `decoder` makes text of them.
std::unique_ptr<Tokenizer> byte_fallback(const char* decoder) {
  Json vocabulary = {{"<unk>", 0}};
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = byte + 1;
  for (const char* piece : {"\u2581", "a", "\u2581a", "字", "é", "\u2581\u2581", "a</w>"}) {
    vocabulary[piece] = vocabulary.size();
  }
  const Json flags = {{"single_word", false},   {"lstrip", false},     {"rstrip", false},
                      {"special", true},        {"normalized", false}, {"content", "<s>"},
                      {"id", vocabulary.size()}};
  const Json json = {{"added_tokens", Json::array({flags})},
                     {"decoder", Json::parse(decoder)},
                     {"model",
                      {{"type", "BPE"},
                       {"vocab", vocabulary},
                       {"merges", Json::array({"\u2581 a"})},
                       {"byte_fallback", true},
                       {"unk_token", "<unk>"}}}};
  return std::make_unique<HuggingFaceTokenizer>(json, "fallback", SpecialTokens{});
}

std::vector<Kind> every_kind() {
  SpecialTokens qwen;
  qwen.tokenizer_class = "QWenTokenizer";
  std::vector<Kind> kinds;
  kinds.push_back({load_tokenizer(kSource / "demo/moe-15m"), false});
  kinds.push_back({load_tiktoken(file("fuzz/corpus/tiktoken/small"), "ranks", qwen), false});
  kinds.push_back(
      {load_tekken(Json::parse(file("fuzz/corpus/tiktoken/tekken")), "tekken", {}), false});
  kinds.push_back({load_gguf(file("fuzz/corpus/gguf/gpt2"), "gguf"), false});
  kinds.push_back({load_gguf(file("fuzz/corpus/gguf/llama"), "gguf"), true});
  kinds.push_back({std::make_unique<SentencePieceTokenizer>(file("tests/golden/text/tiny.model"),
                                                            "model", SpecialTokens{}),
                   true});
  // Llama 2's tokenizer.json, Gemma's, Metaspace's, and a word's end.
  for (const char* decoder :
       {R"({"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]})",
        R"({"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"ByteFallback"},{"type":"Fuse"}]})",
        R"({"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Metaspace",
            "replacement":"▁","prepend_scheme":"always","split":true}]})",
        R"({"type":"Sequence","decoders":[{"type":"BPEDecoder","suffix":"</w>"}]})"}) {
    kinds.push_back({byte_fallback(decoder), true});
  }
  return kinds;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Kind> kinds = every_kind();
  if (size == 0) return 0;
  const Kind& kind = kinds[(data[0] >> 1) % kinds.size()];
  const std::int64_t vocabulary = kind.tokenizer->vocabulary();
  std::vector<TokenId> ids;
  for (std::size_t at = 1; at + 1 < size; at += 2) {
    // One past the last names no token.
    ids.push_back(static_cast<TokenId>((data[at] + 256 * data[at + 1]) % (vocabulary + 1)));
  }
  require_streams(*kind.tokenizer, ids, (data[0] & 1) != 0, kind.broken_runs);
  // The same of any beginning: what is decoded so far does not wait for what comes.
  ids.resize(ids.size() / 2);
  require_streams(*kind.tokenizer, ids, (data[0] & 1) != 0, kind.broken_runs);
  return 0;
}
