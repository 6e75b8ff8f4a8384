#include <gtest/gtest.h>

#include "base/nearest.h"
#include "cli/run_whit.h"
#include "cli/verb.h"

namespace whit::testing {
namespace {

// The run fails with `code`, says nothing on stdout, and its first line holds `words`.
void expect_error(const std::vector<std::string>& args, int code,
                  const std::vector<std::string>& words) {
  const auto finished = whit(args);
  EXPECT_EQ(finished.code, code) << finished.err;
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(finished.err.rfind("whit: error: ", 0), 0U) << finished.err;
  for (const auto& word : words)
    EXPECT_NE(finished.err.find(word), std::string::npos) << word << " in " << finished.err;
}

TEST(Usage, HelpTeachesByExample) {
  const auto help = whit({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  for (const auto& verb : cli::verbs()) {
    EXPECT_NE(help.out.find(verb.name), std::string::npos) << verb.name;
    const auto own = whit({std::string(verb.name), "--help"});
    EXPECT_EQ(own.code, 0);
    EXPECT_NE(own.out.find(std::string(verb.examples)), std::string::npos) << own.out;
    EXPECT_NE(own.out.find("--json"), std::string::npos);
  }
}

TEST(Usage, VersionNamesWhatIsBuiltIn) {
  const auto version = whit({"--version"});
  EXPECT_EQ(version.code, 0);
  for (const char* word : {"whit ", "compiler", "backends", "blas", "communicators"})
    EXPECT_NE(version.out.find(word), std::string::npos) << word;
}

TEST(Usage, MalformedRequestsEndWith2) {
  expect_error({"inspekt", demo()}, 2, {"inspekt: ", "did you mean whit inspect?"});
  expect_error({"inspect", demo(), "--jsn"}, 2, {"--jsn: ", "did you mean --json?"});
  expect_error({"quantize", demo(), "x", "--grup-size", "64"}, 2, {"did you mean --group-size?"});
  expect_error({"quantize", demo(), "x", "--num_gpus", "8"}, 2,
               {"--num-gpus: ", "mpirun -n N whit"});
  expect_error({"inspect"}, 2, {"MODEL"});
  expect_error({"inspect", demo(), "more"}, 2, {"more: "});
  expect_error({"inspect", demo(), "--threads", "many"}, 2, {"--threads"});
  expect_error({"inspect", demo(), "--device", "tpu"}, 2, {"--device: tpu"});
  expect_error({"inspect", demo(), "--max-memory", "lots"}, 2, {"--max-memory: "});
  expect_error({"inspect", demo(), "--quiet", "--verbose"}, 2, {"--quiet: "});
  expect_error({"--json", "inspect"}, 2, {"--json: "});
  expect_error({"quantize", demo(), "x", "--method", "magic"}, 2, {"--method: magic", "gptq, rtn"});
  expect_error({"quantize", demo(), "x", "--group-size", "some"}, 2, {"--group-size: some"});
  expect_error({"quantize", demo(), "x", "--method", "fp8", "--bits", "4"}, 2,
               {"--bits: given with --method fp8", "--method gptq"});
  expect_error({"quantize", demo(), "x", "--kv-cache", "fp8"}, 2, {"--kv-cache: ", "--method fp8"});
  expect_error({"eval", demo()}, 2, {"--text: "});
  expect_error({"bench", "nothing"}, 2, {"WHAT: nothing"});
  EXPECT_EQ(whit({}).code, 2);
}

TEST(Usage, WhatIsNotSupportedEndsWith4) {
  expect_error({"serve", demo()}, 4, {"serve: "});
  expect_error({"inspect", demo(), "--device", "cuda:1"}, 4, {"--device: cuda:1"});
  expect_error({"quantize", demo(), "x", "--method", "vptq"}, 2, {"--calibration: absent"});
  expect_error({"quantize", demo(), "x", "--quality", "finest"}, 2, {"--quality: finest"});
  expect_error({"quantize", demo(), "x", "--format", "gguf"}, 4, {"--format: gguf"});
  expect_error({"convert", demo(), "x", "--to", "q4"}, 4, {"--to: q4"});
  expect_error({"eval", demo(), "--tasks", "mmlu"}, 4, {"--tasks: "});
}

TEST(Usage, UnreadableInputsEndWith3) {
  const auto folder = scratch();
  expect_error({"generate", demo(), "--messages", "m.json"}, 3, {"m.json: "});
  expect_error({"inspect", (folder / "absent").string()}, 3, {"absent"});
  expect_error({"eval", demo(), "--text", (folder / "absent.txt").string()}, 3, {"absent.txt"});
  base::write_file_atomic(folder / "ids.json", "[1, 99999]");
  expect_error({"logits", demo(), "--ids", folder / "ids.json", "--out", folder / "l.npy"}, 3,
               {"99999 at place 1"});
  EXPECT_FALSE(fs::exists(folder / "l.npy"));
  base::write_file_atomic(folder / "ids.json", "{]");
  expect_error({"logits", demo(), "--ids", folder / "ids.json", "--out", folder / "l.npy"}, 3,
               {"ids.json"});
}

TEST(Usage, ExhaustedResourcesEndWith5) {
  const auto folder = scratch();
  expect_error({"inspect", demo(), "--log-json", (folder / "no" / "such" / "log").string()}, 5,
               {"such/log"});
  expect_error({"eval", demo(), "--text", evaluation_text(), "--max-memory", "1MiB"}, 5,
               {"--max-memory: 1.0 MiB"});
  if (fs::exists("/dev/full")) {
    const pid_t child = start_whit({"inspect", demo()}, {"", "/dev/full", folder / "err"});
    EXPECT_EQ(wait_for(child), 5);
    EXPECT_NE(base::read_text_file(folder / "err").find("stdout: "), std::string::npos);
  }
}

TEST(Nearest, OnlyWhatIsNear) {
  EXPECT_EQ(base::nearest("group-sise", {"seed", "group-size", "block-size"}), "group-size");
  EXPECT_EQ(base::nearest("zzzzzzzz", {"seed", "group-size"}), "");
}

}  // namespace
}  // namespace whit::testing
