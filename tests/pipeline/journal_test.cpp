#include "pipeline/journal.h"

#include <fstream>

#include "base/error.h"
#include "pipeline/pipeline_demo.h"

namespace whit::pipeline {
namespace {

using JournalTest = DemoJob;

const nlohmann::ordered_json kJob{{"bits", 4}, {"source", "abc"}};

StepRecord step(const fs::path& folder, const std::string& name) {
  base::write_file_atomic(folder / (name + ".bin"), "contents of " + name);
  StepRecord record;
  record.step = name;
  record.shards = {{name + ".bin", fs::file_size(folder / (name + ".bin")),
                    base::hash_hex(base::MappedFile(folder / (name + ".bin")).bytes())}};
  record.weights = {{"w." + name, "gptq", 7, 2, 0.25, std::nullopt, 0.1, 1.5}};
  record.warnings = {"a warning"};
  return record;
}

TEST_F(JournalTest, ComesBackAsWritten) {
  {
    Journal journal = Journal::begin(folder_, kJob);
    journal.append(step(folder_, "one"));
    journal.append(step(folder_, "two"));
  }
  const Journal journal = Journal::resume(folder_, kJob);
  ASSERT_EQ(journal.finished().size(), 2u);
  const WeightRecord& weight = journal.finished()[1].weights.at(0);
  EXPECT_EQ(weight.name, "w.two");
  EXPECT_EQ(weight.proxy_error, 0.25);
  EXPECT_EQ(weight.proxy_error_rtn, std::nullopt);
  EXPECT_EQ(journal.finished()[1].warnings.at(0), "a warning");
}

TEST_F(JournalTest, TornLastLineIsNoLine) {
  Journal::begin(folder_, kJob).append(step(folder_, "one"));
  std::ofstream(folder_ / Journal::kFile, std::ios::app) << "{\"step\": \"two\", \"sha";
  EXPECT_EQ(Journal::resume(folder_, kJob).finished().size(), 1u);
  EXPECT_EQ(Journal::resume(folder_, kJob).finished().size(), 1u) << "the torn line was dropped";
}

TEST_F(JournalTest, AChangedFileIsDoneAgain) {
  {
    Journal journal = Journal::begin(folder_, kJob);
    for (const char* name : {"one", "two", "three"}) journal.append(step(folder_, name));
  }
  std::ofstream(folder_ / "two.bin") << "CONTENTS of two";
  EXPECT_EQ(Journal::resume(folder_, kJob).finished().size(), 1u);
}

TEST_F(JournalTest, AnotherJobIsRefusedByItsField) {
  Journal::begin(folder_, kJob);
  try {
    Journal::resume(folder_, {{"bits", 8}, {"source", "abc"}});
    FAIL() << "another job was resumed";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_NE(error.detail().find("bits = 4"), std::string::npos) << error.detail();
  }
}

TEST_F(JournalTest, GarbageIsAnInputError) {
  std::ofstream(folder_ / Journal::kFile) << "not json\n";
  try {
    Journal::resume(folder_, kJob);
    FAIL() << "garbage was read";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInput);
  }
}

}  // namespace
}  // namespace whit::pipeline
