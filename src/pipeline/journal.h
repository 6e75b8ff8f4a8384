#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/run.h"

namespace whit::pipeline {

struct ShardRecord {
  std::string file;
  std::uint64_t bytes = 0;
  std::string hash;  // base::hash of the whole file
};

// A step that is durable: its files and what its weights became.
struct StepRecord {
  std::string step;
  std::vector<ShardRecord> shards;
  std::vector<WeightRecord> weights;
  std::vector<std::string> warnings;
};

nlohmann::ordered_json to_json(const WeightRecord& record);
WeightRecord weight_from_json(const nlohmann::json& object);

// An append-only file of JSON lines in the output folder: what job this is, then one line a
// finished step. Each line is on disk before the next step begins; a torn last line is no line.
class Journal {
 public:
  static constexpr const char* kFile = ".whit-journal.jsonl";

  // Starts a journal, or reads the one that is there. `job` names everything that the output's
  // bytes depend on. Errors: kUsage where the folder's job differs (naming the first field that
  // does), kInput where the journal is not one.
  static Journal begin(const std::filesystem::path& folder, const nlohmann::ordered_json& job);
  static Journal resume(const std::filesystem::path& folder, const nlohmann::ordered_json& job);

  // Finished steps whose files are there with the journaled bytes and hash, up to the first that
  // is not.
  const std::vector<StepRecord>& finished() const { return finished_; }
  void append(StepRecord record);
  // The job is whole: the journal goes.
  void remove();

 private:
  Journal(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void append_line(const nlohmann::ordered_json& line);
  void rewrite(const nlohmann::ordered_json& job);

  std::filesystem::path folder_;
  std::vector<StepRecord> finished_;
};

}  // namespace whit::pipeline
