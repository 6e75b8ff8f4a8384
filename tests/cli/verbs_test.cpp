#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <sstream>

#include "cli/run_whit.h"

namespace whit::testing {
namespace {

nlohmann::json reference() {
  return nlohmann::json::parse(base::read_text_file(fs::path(WHIT_TEST_DATA) / "golden" /
                                                    "moe-15m" / "reference.json"))["fp8deq"];
}

std::vector<float> npy_values(const fs::path& path) {
  const std::string file = base::read_text_file(path);
  const auto length = static_cast<std::size_t>(static_cast<unsigned char>(file[8])) +
                      256 * static_cast<std::size_t>(static_cast<unsigned char>(file[9]));
  std::vector<float> values((file.size() - 10 - length) / sizeof(float));
  std::memcpy(values.data(), file.data() + 10 + length, values.size() * sizeof(float));
  return values;
}

TEST(Verbs, InspectHasThePromisedFields) {
  const auto json = whit_json({"inspect", demo()});
  for (const char* field :
       {"architecture", "parameters", "bytes", "bits_per_weight", "quantization", "tensors"})
    EXPECT_TRUE(json.contains(field)) << field;
  for (const char* field : {"name", "dtype", "shape", "bytes", "file", "role"})
    EXPECT_TRUE(json["tensors"][0].contains(field)) << field;
}

TEST(Verbs, PlanHasThePromisedFields) {
  const auto json = whit_json({"plan", demo()});
  for (const char* field : {"quantized", "copied", "ignored", "peak_memory_bytes",
                            "peak_gpu_memory_bytes", "disk_bytes", "flops", "stages"})
    EXPECT_TRUE(json.contains(field)) << field;
  EXPECT_GT(json["quantized"].size(), 0U);
}

TEST(Verbs, LogitsEqualTransformers) {
  const auto folder = scratch();
  base::write_file_atomic(folder / "ids.json", reference()["prompt_ids"].dump());
  const auto json =
      whit_json({"logits", demo(), "--ids", folder / "ids.json", "--out", folder / "logits.npy"});
  EXPECT_EQ(json["tokens"], reference()["prompt_ids"].size());
  EXPECT_EQ(json["vocabulary"], 4096);
  const auto found = npy_values(folder / "logits.npy");
  const auto expected =
      npy_values(fs::path(WHIT_TEST_DATA) / "golden" / "moe-15m" / "logits_fp8deq.npy");
  ASSERT_EQ(found.size(), expected.size());
  float largest = 0, difference = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(expected[i] - found[i]));
  }
  EXPECT_LE(difference, 1e-4F * largest);
}

TEST(Verbs, GenerateStreamsTheTextOfTheDocument) {
  const std::vector<std::string> args{"generate",         demo(), "--prompt", reference()["prompt"],
                                      "--max-new-tokens", "12"};
  const auto json = whit_json(args);
  const auto whole = reference()["greedy_ids"];
  nlohmann::json ids = json["prompt_ids"];
  for (const auto& id : json["ids"]) ids.push_back(id);
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], whole[i]) << i;
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_GT(json["tokens_per_second"].get<double>(), 0);
  EXPECT_EQ(whit(args).out, json["text"].get<std::string>() + "\n");
}

TEST(Verbs, TokenizeAndBack) {
  const std::string text = "The old man, 42 of them: naïve café.";
  const auto json = whit_json({"tokenize", demo(), text});
  EXPECT_EQ(json["ids"], whit_json({"tokenize", demo()}, text)["ids"]) << "stdin";
  const auto plain = whit({"tokenize", demo(), text});
  EXPECT_EQ(whit({"tokenize", demo(), "--decode", plain.out}).out, text + "\n");
  EXPECT_EQ(whit({"tokenize", demo(), "--decode", json["ids"].dump()}).out, text + "\n");
  const auto special = whit_json({"tokenize", demo(), text, "--special"});
  EXPECT_EQ(special["ids"].size(), json["ids"].size() + 1);
  EXPECT_EQ(whit({"tokenize", demo(), "--decode", "1 2 x"}).code, 3);
}

TEST(Verbs, TokenizeLinesOfJson) {
  const std::string rows = "{\"id\": \"a\", \"text\": \"One.\"}\n{\"id\": 7, \"text\": \"Two\"}\n";
  const auto ids = whit({"tokenize", demo() + "/tokenizer.json", "--jsonl", "-"}, rows);
  ASSERT_EQ(ids.code, 0) << ids.err;
  std::istringstream lines(ids.out);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(nlohmann::json::parse(line)["id"], "a");
  EXPECT_GT(nlohmann::json::parse(line)["ids"].size(), 0U);
  const auto text = whit({"tokenize", demo(), "--jsonl", "-", "--decode"}, ids.out);
  EXPECT_EQ(text.out, "{\"id\":\"a\",\"text\":\"One.\"}\n{\"id\":7,\"text\":\"Two\"}\n");
  const auto broken = whit({"tokenize", demo(), "--jsonl", "-"}, "{\"id\": 1}\n");
  EXPECT_EQ(broken.code, 3);
  EXPECT_NE(broken.err.find("-:1: "), std::string::npos) << broken.err;
}

TEST(Verbs, EvalBesideTheOriginal) {
  const auto json = whit_json({"eval", demo(), "--text", evaluation_text(), "--max-tokens", "256",
                               "--window", "128", "--reference", demo()});
  EXPECT_EQ(json["tokens"], 254);
  EXPECT_EQ(json["mean_kl_nats"], 0);
  EXPECT_EQ(json["top1_agreement"], 1);
  EXPECT_EQ(json["reference_perplexity"], json["perplexity"]);
  for (const char* field : {"nll_nats", "bits_per_weight", "p99_kl_nats", "seconds"})
    EXPECT_TRUE(json[field].is_number()) << field;
}

TEST(Verbs, QuantizeConvertAndVerify) {
  const auto folder = scratch();
  const auto out = (folder / "out").string();
  const auto quantized = whit_json({"quantize", demo(), out, "--method", "rtn", "--targets",
                                    "re:.*self_attn.*", "--mtp", "keep"});
  for (const char* field : {"output", "bits_per_weight", "seconds", "peak_memory_bytes", "tensors",
                            "weights", "warnings"})
    EXPECT_TRUE(quantized.contains(field)) << field;
  for (const char* field :
       {"name", "method", "tokens", "proxy_error", "proxy_error_rtn", "damping", "seconds"})
    EXPECT_TRUE(quantized["weights"][0].contains(field)) << field;
  EXPECT_EQ(whit({"quantize", demo(), out, "--method", "rtn"}).code, 2) << "OUT is taken";

  const auto verified = whit_json({"verify", out, "--source", demo()});
  EXPECT_EQ(verified["ok"], true);
  EXPECT_GT(verified["checks"].size(), 3U);

  // What was written decodes to what convert says, and both give the same logits.
  whit_json({"convert", out, folder / "f32", "--to", "f32"});
  base::write_file_atomic(folder / "ids.json", "[0, 480, 729, 439, 894]");
  whit_json({"logits", out, "--ids", folder / "ids.json", "--out", folder / "a.npy"});
  whit_json({"logits", folder / "f32", "--ids", folder / "ids.json", "--out", folder / "b.npy"});
  EXPECT_EQ(base::read_text_file(folder / "a.npy"), base::read_text_file(folder / "b.npy"));

  // A changed config no longer says what the tensors are.
  auto config = nlohmann::json::parse(base::read_text_file(fs::path(out) / "config.json"));
  config["quantization_config"]["config_groups"]["group_0"]["weights"]["num_bits"] = 8;
  base::write_file_atomic(fs::path(out) / "config.json", config.dump());
  const auto refused = whit({"verify", out, "--json"});
  EXPECT_EQ(refused.code, 6) << refused.err;
  EXPECT_EQ(nlohmann::json::parse(refused.out)["ok"], false);
}

}  // namespace
}  // namespace whit::testing
