// Lists of ranks, tekken.json and vocabularies of GGUF: what they give, and what is refused.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "text/expectations.h"
#include "text/gguf.h"
#include "text/ranked_tokens.h"
#include "text/stream_decoder.h"
#include "text/tiktoken.h"

namespace whit::text {
namespace {

using base::ErrorKind;
using Ids = std::vector<TokenId>;

const fs::path kSeeds = fs::path(WHIT_SOURCE_DIR) / "fuzz" / "corpus";

std::string seed(const char* name) {
  return base::read_text_file(kSeeds / name);
}

SpecialTokens of_class(const char* name) {
  SpecialTokens special;
  special.tokenizer_class = name;
  return special;
}

// The tokens of fuzz/corpus/tiktoken/small: all bytes, then 256 ab, 257 " a", 258 ï, 259 12,
// 260 abab, 261 two spaces.
TEST(Tiktoken, MergesTheLowestRankAndTakesWholeWords) {
  const auto tokenizer = load_tiktoken(seed("tiktoken/small"), "t", of_class("QWenTokenizer"));
  EXPECT_EQ(tokenizer->encode("abab", false), (Ids{260}));
  EXPECT_EQ(tokenizer->encode(" ab", false), (Ids{32, 256}));
  EXPECT_EQ(tokenizer->encode("12", false), (Ids{'1', '2'}));  // Qwen cuts digits apart
  EXPECT_EQ(tokenizer->encode("i\u0308", false), (Ids{258}));  // and composes first
  EXPECT_EQ(tokenizer->encode("a<|im_start|>b", false), (Ids{'a', 263, 'b'}));
  EXPECT_EQ(tokenizer->vocabulary(), 262 + 3 + 205);
  EXPECT_EQ(tokenizer->decode({260, 258, 263}, false), "ababï<|im_start|>");
  EXPECT_EQ(tokenizer->decode({260, 258, 263}, true), "ababï");
}

TEST(Tiktoken, TheFamilyDecides) {
  const std::string list = seed("tiktoken/small");
  // Three digits together, and no special tokens but those of the config; two before a text.
  SpecialTokens glm = of_class("ChatGLM4Tokenizer");
  EXPECT_EQ(load_tiktoken(list, "t", glm)->encode("<|user|>12", true), (Ids{264, 266, 269, 259}));
  glm.added.push_back({.content = "[gMASK]", .id = 262, .special = true});
  expect_error([&] { load_tiktoken(list, "t", glm); }, ErrorKind::kInput, "t", "has no <sop>");
  glm.added.push_back({.content = "<sop>", .id = 263, .special = true});
  EXPECT_EQ(load_tiktoken(list, "t", glm)->encode("12[gMASK]", false), (Ids{259, 262}));
  EXPECT_EQ(load_tiktoken(list, "t", glm)->encode("12", true), (Ids{262, 263, 259}));
  EXPECT_EQ(load_tiktoken(list, "d/cl100k_base.tiktoken", {})->encode("12", false), (Ids{259}));
  // Kimi's ideographs stand alone, and ids that the config does not name have names too.
  SpecialTokens named = of_class("TikTokenTokenizer");
  named.added.push_back({.content = "[BOS]", .id = 262, .special = true});
  const auto kimi = load_tiktoken(list, "t", named);
  EXPECT_EQ(kimi->vocabulary(), 262 + 256);
  EXPECT_EQ(kimi->encode("[BOS]<|reserved_token_263|>", false), (Ids{262, 263}));
  EXPECT_EQ(kimi->decode(kimi->encode("ab字ab", false), false), "ab字ab");
  EXPECT_EQ(kimi->encode("ab字ab", false).front(), 256);
  expect_error([&] { load_tiktoken(list, "t", {}); }, ErrorKind::kUnsupported, "t", "262 ranks");
}

TEST(Tiktoken, BrokenListsAreRefused) {
  const auto refuse = [](const std::string& list, const std::string& subject,
                         const std::string& detail) {
    expect_error([&] { load_tiktoken(list, "t", of_class("QWenTokenizer")); }, ErrorKind::kInput,
                 subject, detail);
  };
  refuse(seed("tiktoken/gap"), "t: line 252", "rank 252; expected 251");
  refuse(seed("tiktoken/twice"), "t", "there twice");
  refuse(seed("tiktoken/few"), "t", "no token is the byte 0");
  refuse("IQ== 0\nI 1\n", "t: line 2", "expected a token in base64");
  refuse("IQ== 0\nIg==\n", "t: line 2", "expected a token in base64");
  refuse("IQ== 0\nIg== -1\n", "t: line 2", "expected a token in base64");
  refuse("IQ== 0\nIg== 99999999999999999999\n", "t: line 2", "expected a token in base64");
  EXPECT_FALSE(looks_like_tiktoken("plain text"));
  EXPECT_FALSE(looks_like_tiktoken(""));
  EXPECT_TRUE(looks_like_tiktoken("IQ== 0\nIg== 1\n"));
}

TEST(Tekken, SpecialTokensComeFirst) {
  for (const char* name : {"tiktoken/tekken", "tiktoken/tekken_ts"}) {
    const Json json = Json::parse(seed(name));
    ASSERT_TRUE(looks_like_tekken(json));
    const auto tokenizer = load_tekken(json, "t", {});
    EXPECT_EQ(tokenizer->encode("abab a", false), (Ids{268, 265})) << name;
    EXPECT_EQ(tokenizer->encode("abab", true), (Ids{1, 268})) << name;
    EXPECT_EQ(tokenizer->bos(), 1) << name;
    EXPECT_EQ(tokenizer->eos(), 2) << name;
    EXPECT_EQ(tokenizer->vocabulary(), 270) << name;
  }
}

TEST(Tekken, BrokenOnesNameTheField) {
  const auto refuse = [](const char* pointer, const Json& value, const std::string& subject,
                         const std::string& detail) {
    Json json = Json::parse(seed("tiktoken/tekken"));
    json[Json::json_pointer(pointer)] = value;
    expect_error([&] { load_tekken(json, "t", {}); }, ErrorKind::kInput, "t: " + subject, detail);
  };
  refuse("/vocab/3/rank", 4, "vocab[3].rank", "expected 3");
  refuse("/vocab/3/token_bytes", "?", "vocab[3].token_bytes", "base64");
  refuse("/vocab/3/token_bytes", "AA==", "vocab", "there twice");
  refuse("/config/default_vocab_size", -1, "config.default_vocab_size", "-1");
  refuse("/config/default_num_special_tokens", 270, "config.default_vocab_size", "expected more");
  refuse("/config/pattern", "(", "pre_tokenizer.pretokenizers[0].pattern.Regex", "compiles");
}

TEST(Gguf, SentencePieceVocabulary) {
  const auto tokenizer = load_gguf(seed("gguf/llama"), "g");
  // 259 ▁, 260 a, 261 b, 262 ab, 263 ▁a, 264 ▁ab, 265 x.
  EXPECT_EQ(tokenizer->encode("ab x", true), (Ids{1, 264, 259, 265}));
  EXPECT_EQ(tokenizer->encode("é", false), (Ids{259, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer->decode({264, 259, 265}, false), "ab x");
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->encode("[PAD]", false).size(), 6U);  // padding is not matched
}

TEST(Gguf, ByteLevelVocabulary) {
  const auto tokenizer = load_gguf(seed("gguf/gpt2"), "g");
  EXPECT_EQ(tokenizer->encode("ab ab<|endoftext|>", false), (Ids{256, 258, 259}));
  EXPECT_EQ(tokenizer->decode({256, 258, 259}, true), "ab ab");
  EXPECT_EQ(tokenizer->eos(), 259);
}

TEST(Gguf, BrokenAndUnknownOnesNameTheKey) {
  const auto refuse = [](const char* name, ErrorKind kind, const std::string& subject,
                         const std::string& detail) {
    expect_error([&] { load_gguf(seed(name), "g"); }, kind, "g" + subject, detail);
  };
  refuse("gguf/unknown_pre", ErrorKind::kUnsupported, ": tokenizer.ggml.pre", "\"default\"");
  refuse("gguf/bert", ErrorKind::kUnsupported, ": tokenizer.ggml.model", "\"bert\"");
  refuse("gguf/version1", ErrorKind::kUnsupported, "", "version 1");
  refuse("gguf/few_scores", ErrorKind::kInput, ": tokenizer.ggml.scores", "2 for 267 tokens");
  refuse("gguf/huge_array", ErrorKind::kInput, ": tokenizer.ggml.tokens", "elements");
  refuse("gguf/huge_key", ErrorKind::kInput, "", "expected as many in the file");
  refuse("gguf/nested", ErrorKind::kInput, ": x", "nested");
  refuse("gguf/nan", ErrorKind::kInput, ": pieces[0]", "finite");
  const std::string whole = seed("gguf/llama");
  for (std::size_t size = 0; size + 1 < whole.size(); size += 13) {
    EXPECT_THROW(load_gguf(whole.substr(0, size), "g"), base::Error) << size;
  }
}

TEST(Growth, NormalizersAndDecodersThatMultiplyAreStopped) {
  Json json = Json::parse(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
    "normalizer": {"type": "Sequence", "normalizers": []}})");
  const Json twice = {
      {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(64, 'a')}};
  for (int i = 0; i < 8; ++i) json["normalizer"]["normalizers"].push_back(twice);
  const fs::path file = fs::temp_directory_path() / "whit_growth.json";
  std::ofstream(file) << json.dump();
  expect_error([&] { load_tokenizer(file)->encode("a", false); }, ErrorKind::kInput, "normalizer",
               "at most");
  json["decoder"] = {{"type", "Sequence"}, {"decoders", json["normalizer"]["normalizers"]}};
  json.erase("normalizer");
  std::ofstream(file) << json.dump();
  expect_error([&] { load_tokenizer(file); }, ErrorKind::kInput, "decoder", "at most");
  fs::remove(file);
}

}  // namespace
}  // namespace whit::text
