// Broken and hostile tokenizers: an error that names the file and the field.
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "text/expectations.h"
#include "text/hugging_face.h"
#include "text/sentence_piece.h"
#include "text/stream_decoder.h"

namespace whit::text {
namespace {

using base::ErrorKind;

Json small_tokenizer() {
  return Json::parse(R"({
    "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Isolated"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, " ": 3}, "merges": ["a b"]}})");
}

void expect_refused(const std::string& pointer, const Json& value, const std::string& subject,
                    const std::string& detail = "", ErrorKind kind = ErrorKind::kInput) {
  Json json = small_tokenizer();
  if (value.is_discarded()) {
    json = json.patch(Json::array({{{"op", "remove"}, {"path", pointer}}}));
  } else {
    json[Json::json_pointer(pointer)] = value;
  }
  expect_error([&] { HuggingFaceTokenizer(json, "t.json", {}); }, kind, "t.json: " + subject,
               detail);
}

const Json kRemoved(Json::value_t::discarded);

TEST(TokenizerJson, TheSmallOneIsFine) {
  const HuggingFaceTokenizer tokenizer(small_tokenizer(), "t.json", {});
  EXPECT_EQ(tokenizer.encode("ab<s>ba", false), (std::vector<TokenId>{2, 4, 1, 0}));
  EXPECT_EQ(tokenizer.vocabulary(), 5);
}

TEST(TokenizerJson, InputErrorsNameTheField) {
  expect_refused("/model", kRemoved, "model", "missing");
  expect_refused("/model/merges", kRemoved, "model.merges", "missing");
  expect_refused("/model/merges", Json::array(), "model.merges", "no merges");
  expect_refused("/model/merges", "a b", "model.merges", "expected an array");
  expect_refused("/model/merges/0", "a b c", "model.merges[0]", "two tokens");
  expect_refused("/model/merges/0", Json::array({"a"}), "model.merges[0]", "pair");
  expect_refused("/model/merges/0", "a c", "model.merges[0]", "\"c\" is not in the vocabulary");
  expect_refused("/model/merges/0", "b a", "model.merges[0]", "\"ba\" is not in the vocabulary");
  expect_refused("/model/vocab", kRemoved, "model.vocab", "missing");
  expect_refused("/model/vocab", Json::object(), "model.vocab", "no tokens");
  expect_refused("/model/vocab/a", "0", "model.vocab", "\"a\"");
  expect_refused("/model/vocab/a", -1, "model.vocab", "-1");
  expect_refused("/model/vocab/a", 4000000000U, "model.vocab", "4000000000");
  expect_refused("/model/vocab/a", 1, "model.vocab", "two tokens");
  expect_refused("/model/unk_token", "<unk>", "model.unk_token", "not in the vocabulary");
  expect_refused("/model/fuse_unk", 1, "model.fuse_unk", "true or false");
  expect_refused("/pre_tokenizer/pattern/Regex", "(", "pre_tokenizer.pattern.Regex", "compiles");
  expect_refused("/pre_tokenizer/pattern/Regex", "", "pre_tokenizer.pattern.Regex", "empty");
  expect_refused("/pre_tokenizer/pattern", "x", "pre_tokenizer.pattern", "expected an object");
  expect_refused("/added_tokens/0/id", 1, "added_tokens", "disagrees");
  expect_refused("/added_tokens/0/id", "4", "added_tokens[0].id", "integer");
  expect_refused("/added_tokens/0/content", kRemoved, "added_tokens[0].content", "missing");
}

TEST(TokenizerJson, UnknownComponentsAreRefusedByName) {
  const auto refuse = [](const std::string& pointer, const Json& value, const std::string& subject,
                         const std::string& name) {
    expect_refused(pointer, value, subject, name, ErrorKind::kUnsupported);
  };
  refuse("/model/type", "WordPiece", "model.type", "WordPiece");
  refuse("/model/type", "WordLevel", "model.type", "WordLevel");
  refuse("/normalizer", Json({{"type", "BertNormalizer"}}), "normalizer", "BertNormalizer");
  refuse("/pre_tokenizer", Json({{"type", "UnicodeScripts"}}), "pre_tokenizer", "UnicodeScripts");
  refuse("/pre_tokenizer/behavior", "Swallowed", "pre_tokenizer.behavior", "Swallowed");
  refuse("/decoder", Json({{"type", "WordPiece"}}), "decoder", "WordPiece");
  refuse("/decoder", Json({{"type", "CTC"}}), "decoder", "CTC");
  refuse("/post_processor", Json({{"type", "Padding"}}), "post_processor", "Padding");
  refuse("/model/dropout", 0.1, "model.dropout", "0.1");
  for (const char* pattern : {"[a&&b]", "[^a&&[b]]", "[[^a]b]", "(?i:\\p{Lu})", "[[:alpha:]]",
                              R"(\bword)", "(?<name>a)", R"(\p{Mn})", "a{1,2}+"}) {
    refuse("/pre_tokenizer/pattern/Regex", pattern, "pre_tokenizer.pattern.Regex", "");
  }
}

TEST(TokenizerJson, UnigramsThatCannotBeAreRefused) {
  const Json unigram =
      Json::parse(R"({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]]})");
  const auto refuse = [&](const char* pointer, const Json& value, const std::string& subject,
                          const std::string& detail) {
    Json model = unigram;
    model[Json::json_pointer(pointer)] = value;
    expect_error(
        [&] {
          HuggingFaceTokenizer(Json({{"model", model}}), "t.json", {});
        },
        ErrorKind::kInput, "t.json: " + subject, detail);
  };
  refuse("/unk_id", 2, "model.unk_id", "2; expected an id of the 2 tokens");
  refuse("/unk_id", -1, "model.unk_id", "-1");
  refuse("/vocab", Json::array(), "model.vocab", "no tokens");
  refuse("/vocab/1", Json::array({"a"}), "model.vocab[1]", "a pair of token and score");
  refuse("/vocab/1/1", "x", "model.vocab[1]", "a pair of token and score");
  Json without = unigram;
  without.erase("unk_id");
  const HuggingFaceTokenizer tokenizer(Json({{"model", without}}), "t.json", {});
  expect_error([&] { tokenizer.encode("ab", false); }, ErrorKind::kInput, "t.json: model",
               "no unk_id for \"b\"");
}

TEST(TokenizerJson, MapsOfCharactersThatLeadOutOfThemselvesAreRefused) {
  const auto refuse = [](const std::string& map, const std::string& detail) {
    expect_refused("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", map}},
                   "normalizer.precompiled_charsmap", detail);
  };
  refuse("?", "not base64");
  refuse("AAAA", "too short");
  refuse("/////wAA", "a double array beyond its end");
  refuse("AQAAAAAA", "a double array of odd size");
}

TEST(TokenizerJson, ASearchWithoutEndIsAnError) {
  Json json = small_tokenizer();
  json["pre_tokenizer"]["pattern"]["Regex"] = "(?:a|aa)*(?:a|aa)*(?:a|aa)*[cd]";
  const HuggingFaceTokenizer tokenizer(json, "t.json", {});
  expect_error([&] { tokenizer.encode(std::string(3000, 'a'), false); }, ErrorKind::kInput,
               "t.json: pre_tokenizer.pattern.Regex", "limit");
}

TEST(Files, MissingBrokenAndEmptyOnes) {
  const fs::path folder = fs::temp_directory_path() / "whit_text_files";
  fs::create_directories(folder);
  const auto write = [&](const char* name, std::string_view contents) {
    std::ofstream(folder / name, std::ios::binary) << contents;
    return folder / name;
  };
  const std::string path = folder.string();
  EXPECT_FALSE(has_tokenizer(folder));
  expect_error([&] { load_tokenizer(folder); }, ErrorKind::kInput, path, "no tokenizer");
  expect_error([&] { load_tokenizer(folder / "none.json"); }, ErrorKind::kInput,
               path + "/none.json");
  const auto broken = write("tokenizer.json", "{\"model\": ");
  EXPECT_TRUE(has_tokenizer(folder));
  expect_error([&] { load_tokenizer(folder); }, ErrorKind::kInput, broken.string(), "JSON");
  const auto empty = write("empty.model", "");
  expect_error([&] { load_tokenizer(empty); }, ErrorKind::kInput, empty.string(), "empty");
  write("tokenizer.json", small_tokenizer().dump());
  write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": null})");
  EXPECT_EQ(load_tokenizer(folder)->bos(), 4);
  EXPECT_FALSE(load_tokenizer(folder)->eos().has_value());
  write("tokenizer_config.json", R"({"bos_token": "<t>"})");
  expect_error([&] { load_tokenizer(folder); }, ErrorKind::kInput, broken.string() + ": bos_token",
               "<t>");
  write("tokenizer_config.json",
        R"({"bos_token": "<s>", "tokenizer_class": "LlamaTokenizerFast", "add_bos_token": true})");
  EXPECT_EQ(load_tokenizer(folder)->encode("a", true), (std::vector<TokenId>{4, 0}));
  write(
      "tokenizer_config.json",
      R"({"bos_token": "<s>", "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": true})");
  EXPECT_EQ(load_tokenizer(folder)->encode("a", true), (std::vector<TokenId>{0}));
  fs::remove_all(folder);
}

TEST(SentencePiece, EveryCutAndManyBrokenBytesAreErrorsOrModels) {
  const std::string model = base::read_text_file(kGolden / "tiny.model");
  const auto load = [](const std::string& bytes) {
    try {
      SentencePieceTokenizer(bytes, "t.model", {}).encode("a whit", false);
    } catch (const base::Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::kInput || error.kind() == ErrorKind::kUnsupported);
    }
  };
  for (std::size_t size = 0; size < model.size(); size += 37) load(model.substr(0, size));
  for (std::size_t at = 0; at < model.size(); at += 11) {
    std::string bytes = model;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x5A);
    load(bytes);
  }
  expect_error([] { SentencePieceTokenizer("plain text", "t.model", {}); }, ErrorKind::kInput,
               "t.model");
}

TEST(SentencePiece, MapsAndOptionsAreRefusedByName) {
  const auto refuse = [](const std::string& bytes, ErrorKind kind, const std::string& detail) {
    try {
      SentencePieceTokenizer(bytes, "t.model", {});
      ADD_FAILURE() << "accepted; expected: " << detail;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_NE(std::string(error.what()).find(detail), std::string::npos) << error.what();
    }
  };
  const fs::path seeds = fs::path(WHIT_SOURCE_DIR) / "fuzz" / "corpus" / "sentence_piece";
  const auto seed = [&](const char* name) { return base::read_text_file(seeds / name); };
  refuse(seed("far_child"), ErrorKind::kInput, "a child out of bounds");
  refuse(seed("far_string"), ErrorKind::kInput, "a string out of bounds");
  refuse(seed("nan_score"), ErrorKind::kInput, "finite");
  // A trainer's field 24 of value 1 behind the rest: messages of a field are merged.
  refuse(base::read_text_file(kGolden / "tiny.model") + std::string("\x12\x03\xc0\x01\x01"),
         ErrorKind::kUnsupported, "treat_whitespace_as_suffix");
}

TEST(Encode, LongWordsTakeNoQuadraticTime) {
  // Half a million letters with merges at every step: minutes if merging were quadratic.
  Json json = Json::parse(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})");
  std::string token = "a";
  for (int level = 1; level <= 10; ++level) {
    json["model"]["merges"].push_back(Json::array({token, token}));
    token += token;
    json["model"]["vocab"][token] = level;
  }
  const HuggingFaceTokenizer tokenizer(json, "t.json", {});
  const auto ids = tokenizer.encode(std::string(1 << 19, 'a'), false);
  EXPECT_EQ(ids, std::vector<TokenId>(512, 10));
}

TEST(Encode, LongRunsStayWithinTheLimits) {
  const auto tokenizer = load_tokenizer(kDemo);
  for (const char* unit : {" ", "\n", " \n", "a", "1", "!", "字", "é ", "\u00a0", "😀"}) {
    std::string text = "x";
    while (text.size() < (1 << 18)) text += unit;
    text += "y";
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false), false), text) << unit;
  }
}

TEST(Encode, BytesThatAreNoTextAreReplacedAsInRust) {
  const auto tokenizer = load_tokenizer(kDemo);
  const auto round = [&](std::string_view text) {
    return tokenizer->decode(tokenizer->encode(text, false), false);
  };
  EXPECT_EQ(round("a\xFF"
                  "b"),
            "a\uFFFDb");
  EXPECT_EQ(round("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(round("\xC0\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(round("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(round("\xE5\xAD"
                  "x"),
            "\uFFFDx");
}

TEST(Stream, NeverSplitsACharacter) {
  const auto tokenizer = load_tokenizer(kDemo);
  const std::string text = "naïve 日本語 👨‍👩‍👧 \xF0\x9F\x98\x80 x";
  StreamDecoder decoder(*tokenizer, true);
  std::string all;
  for (const TokenId id : tokenizer->encode(text, false)) {
    const std::string part = decoder.push(id);
    EXPECT_EQ(part.find("\uFFFD"), std::string::npos);
    all += part;
  }
  EXPECT_EQ(all + decoder.finish(), text);
}

TEST(Encode, ManyThreadsAtOnce) {
  const auto tokenizer = load_tokenizer(kDemo);
  std::string text;
  for (int i = 0; i < 300; ++i) text += "Word" + std::to_string(i * 7919) + " and more; ";
  const auto expected = tokenizer->encode(text, true);
  std::vector<std::vector<TokenId>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) result = tokenizer->encode(text, true);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

}  // namespace
}  // namespace whit::text
