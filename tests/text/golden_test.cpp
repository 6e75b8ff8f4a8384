// Ids and texts against files made by scripts/goldens/make_tokenizer_golden.py.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "text/expectations.h"
#include "text/hugging_face.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace whit::text {
namespace {

using Ids = std::vector<TokenId>;

Json read_golden(const char* name) {
  std::ifstream in(kGolden / name);
  return Json::parse(in);
}

std::string stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string out;
  for (const TokenId id : ids) {
    const std::string part = decoder.push(id);
    EXPECT_TRUE(is_utf8(part));
    out += part;
  }
  return out + decoder.finish();
}

void expect_cases(const Tokenizer& tokenizer, const Json& cases, const std::string& name) {
  for (const Json& one : cases) {
    const auto text = one["text"].get<std::string>();
    const auto ids = one["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.encode(text, false), ids) << name << ": " << one["text"];
    EXPECT_EQ(tokenizer.encode(text, true), one["special"].get<Ids>())
        << name << ": " << one["text"];
    EXPECT_EQ(tokenizer.decode(ids, false), one["decoded"].get<std::string>()) << name;
    EXPECT_EQ(tokenizer.decode(ids, true), one["skipped"].get<std::string>()) << name;
    EXPECT_EQ(stream(tokenizer, ids, false), one["decoded"].get<std::string>()) << name;
    EXPECT_EQ(stream(tokenizer, ids, true), one["skipped"].get<std::string>()) << name;
  }
}

TEST(Golden, DemoModel) {
  const Json golden = read_golden("moe-15m.json");
  ASSERT_GE(golden["cases"].size(), 60U);
  const auto tokenizer = load_tokenizer(kDemo);
  expect_cases(*tokenizer, golden["cases"], "moe-15m");
}

void expect_tokenizers(const char* file) {
  const Json golden = read_golden(file);
  ASSERT_GE(golden["tokenizers"].size(), 30U);
  int number = 0;
  for (const Json& one : golden["tokenizers"]) {
    const std::string name = std::string(file) + " " + std::to_string(number++);
    const HuggingFaceTokenizer tokenizer(one["tokenizer"], name, {});
    expect_cases(tokenizer, one["cases"], name);
  }
}

TEST(Golden, EveryByteLevelComponentAsTheReference) {
  expect_tokenizers("components.json");
}

TEST(Golden, EveryOtherComponentAsTheReference) {
  expect_tokenizers("pipelines.json");
}

TEST(Golden, SentencePieceModel) {
  const Json golden = read_golden("tiny.json");
  const auto tokenizer = load_tokenizer(kGolden / "tiny.model");
  for (const Json& one : golden["cases"]) {
    const auto ids = one["ids"].get<Ids>();
    const auto text = one["text"].get<std::string>();
    EXPECT_EQ(tokenizer->encode(text, false), ids) << text;
    EXPECT_EQ(stream(*tokenizer, ids, false), tokenizer->decode(ids, false)) << text;
  }
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->encode("a whit", true).front(), 1);
}

TEST(SentencePiece, DecodesAsHuggingFaceDoes) {
  const auto tokenizer = load_tokenizer(kGolden / "tiny.model");
  for (const char* text : {"a whit is lost", "  two  spaces ", "naïve 字😀", "the [USER] model"}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false), true), text);
  }
  // Control pieces in the text are tokens, and what follows them gets no second leading space.
  const Ids ids = tokenizer->encode("<s>a whit</s>", false);
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(ids.back(), 2);
  EXPECT_EQ(tokenizer->decode(ids, false), "<s>a whit</s>");
  EXPECT_EQ(tokenizer->decode(ids, true), "a whit");
  // A run of bytes that is no text: one U+FFFD for each of them.
  const auto byte = [&](const char* name) { return *tokenizer->id_of(name); };
  EXPECT_EQ(tokenizer->decode({byte("<0xE5>"), byte("<0xAD>")}, false), "\uFFFD\uFFFD");
  EXPECT_EQ(tokenizer->decode({byte("<0xE5>"), byte("<0xAD>"), byte("<0x97>")}, false), "字");
}

}  // namespace
}  // namespace whit::text
