#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "pipeline/run.h"

namespace whit::pipeline {

namespace fs = std::filesystem;

// Keeps every event, and may ask for a stop after some of them.
class Recorder final : public base::EventSink {
 public:
  void emit(const base::Event& event) override {
    events.push_back(event);
    if (cancel != nullptr && event.name == "weight" && ++weights == cancel_after)
      cancel->cancel(15);
  }
  std::int64_t count(const std::string& name) const {
    return std::count_if(events.begin(), events.end(),
                         [&](const auto& e) { return e.name == name; });
  }

  std::vector<base::Event> events;
  base::CancelToken* cancel = nullptr;
  std::int64_t cancel_after = 0;
  std::int64_t weights = 0;
};

// A scratch folder that goes with the test, and small jobs on the demo model in it.
class DemoJob : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              ("whit-" + std::string(info->name()) + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    write_calibration(6, 48);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static checkpoint::Checkpoint demo() {
    return checkpoint::Checkpoint::open(fs::path(WHIT_SOURCE_DIR) / "demo/moe-15m");
  }

  // Token ids in [0, 4096) from a fixed congruential sequence.
  void write_calibration(int sequences, int length) {
    std::ofstream out(folder_ / "ids.jsonl");
    std::uint32_t state = 1;
    for (int s = 0; s < sequences; ++s) {
      out << "{\"input_ids\": [";
      for (int i = 0; i < length; ++i) {
        state = state * 1664525u + 1013904223u;
        out << (i > 0 ? "," : "") << (state >> 20);
      }
      out << "]}\n";
    }
  }

  Recipe recipe() const {
    Recipe recipe;
    recipe.calibration = folder_ / "ids.jsonl";
    recipe.samples.samples = 6;
    recipe.samples.max_length = 48;
    return recipe;
  }

  RunResult quantize(const std::string& output, const Recipe& recipe,
                     ExistingOutput existing = ExistingOutput::kRefuse, int threads = 2,
                     base::EventSink* events = nullptr,
                     const base::CancelToken* cancel = nullptr) const {
    const auto backend = compute::make_cpu_backend(threads);
    base::NullSink silent;
    const base::CancelToken never;
    const auto source = demo();
    return run(source, {recipe, folder_ / output, existing}, *backend, events ? *events : silent,
               cancel ? *cancel : never);
  }

  // The same, stopped after so many weights.
  void stop(const std::string& output, const Recipe& recipe, std::int64_t after,
            int threads = 2) const {
    base::CancelToken cancel;
    Recorder recorder;
    recorder.cancel = &cancel;
    recorder.cancel_after = after;
    EXPECT_THROW(quantize(output, recipe, ExistingOutput::kRefuse, threads, &recorder, &cancel),
                 base::Error);
  }

  // Hash of every file of a folder, by name.
  std::map<std::string, std::string> hashes(const std::string& output) const {
    std::map<std::string, std::string> result;
    for (const auto& entry : fs::directory_iterator(folder_ / output))
      result[entry.path().filename().string()] =
          base::hash_hex(base::MappedFile(entry.path()).bytes());
    return result;
  }

  fs::path folder_;
};

}  // namespace whit::pipeline
