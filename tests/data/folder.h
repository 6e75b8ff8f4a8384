#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/rows.h"

namespace whit::data {

// A folder of its own for each test.
class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string("whit_") + test->test_suite_name() + "_" + test->name();
    for (char& c : name) {
      if (c == '/') c = '_';
    }
    folder_ = fs::temp_directory_path() / name;
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& contents) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << contents;
    return folder_ / name;
  }

  fs::path folder_;
};

// All rows, in order.
inline std::vector<Json> all_rows(const RowSource& rows) {
  std::vector<std::uint64_t> numbers(rows.count());
  std::iota(numbers.begin(), numbers.end(), std::uint64_t{0});
  std::vector<Json> read;
  rows.read(numbers, [&](std::uint64_t row, Json columns) {
    EXPECT_EQ(row, read.size());
    read.push_back(std::move(columns));
    return true;
  });
  return read;
}

template <typename Run>
void expect_refusal(Run run, base::ErrorKind kind, const std::string& part) {
  try {
    run();
    ADD_FAILURE() << "accepted; expected: " << part;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    std::string told = error.what();
    for (const std::string& line : error.context()) told += '\n' + line;
    EXPECT_NE(told.find(part), std::string::npos) << told;
  }
}

}  // namespace whit::data
