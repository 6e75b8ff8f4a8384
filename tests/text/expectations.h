// What the tests of this room share: their golden files, and how an error is told.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/error.h"

namespace whit::text {

inline const std::filesystem::path kGolden =
    std::filesystem::path(WHIT_TEST_DATA) / "golden" / "text";
inline const std::filesystem::path kDemo =
    std::filesystem::path(WHIT_SOURCE_DIR) / "demo" / "moe-15m";

// `work` must fail with an error of this kind and subject whose detail contains `detail`.
template <typename Work>
void expect_error(Work work, base::ErrorKind kind, const std::string& subject,
                  const std::string& detail = "") {
  try {
    work();
    ADD_FAILURE() << "accepted; expected an error about " << subject;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_EQ(error.subject(), subject) << error.what();
    EXPECT_NE(error.detail().find(detail), std::string::npos) << error.what();
  }
}

}  // namespace whit::text
