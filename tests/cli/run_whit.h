#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"

namespace whit::testing {

namespace fs = std::filesystem;

inline std::string demo() {
  return std::string(WHIT_SOURCE_DIR) + "/demo/moe-15m";
}
inline std::string evaluation_text() {
  return std::string(WHIT_SOURCE_DIR) + "/demo/text/evaluation.txt";
}

// An empty folder of the running test.
inline fs::path scratch() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const auto folder = fs::path(::testing::TempDir()) /
                      (std::string("whit_cli_") + test->test_suite_name() + test->name());
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

struct Finished {
  int code = -1;  // exit code; 128 + signal where one ended it
  std::string out, err;
};

struct Streams {
  std::string in, out = "/dev/null", err = "/dev/null";
};

inline pid_t start_whit(const std::vector<std::string>& args, const Streams& streams) {
  std::vector<std::string> words{WHIT_PROGRAM};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  if (std::freopen(streams.in.empty() ? "/dev/null" : streams.in.c_str(), "r", stdin) == nullptr ||
      std::freopen(streams.out.c_str(), "w", stdout) == nullptr ||
      std::freopen(streams.err.c_str(), "w", stderr) == nullptr)
    _exit(99);
  execv(WHIT_PROGRAM, argv.data());
  _exit(98);
}

inline int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline Finished whit(const std::vector<std::string>& args, const std::string& input = "") {
  const auto folder = fs::path(::testing::TempDir()) / ("whit_cli_run_" + std::to_string(getpid()));
  fs::create_directories(folder);
  const Streams streams{folder / "in", folder / "out", folder / "err"};
  base::write_file_atomic(streams.in, input);
  Finished finished;
  finished.code = wait_for(start_whit(args, streams));
  finished.out = base::read_text_file(streams.out);
  finished.err = base::read_text_file(streams.err);
  fs::remove_all(folder);
  return finished;
}

// The document of a verb that must succeed.
inline nlohmann::json whit_json(std::vector<std::string> args, const std::string& input = "") {
  args.emplace_back("--json");
  const auto finished = whit(args, input);
  EXPECT_EQ(finished.code, 0) << finished.err;
  return nlohmann::json::parse(finished.out);
}

}  // namespace whit::testing
