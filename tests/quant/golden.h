#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"

// Real weights and Grams of the demo model (scripts/conformance/make_gptq_golden.py).
namespace whit::quant::testing {

// A C-ordered .npy of version 1: magic, header length, header, data.
template <typename T>
std::vector<T> read_npy(const std::string& name, const std::string& descr) {
  const std::string file =
      base::read_text_file(std::string(WHIT_TEST_DATA) + "/golden/gptq/" + name + ".npy");
  const std::size_t header =
      10U + static_cast<unsigned char>(file.at(8)) + 256U * static_cast<unsigned char>(file.at(9));
  EXPECT_NE(file.find("'descr': '" + descr + "', 'fortran_order': False"), std::string::npos)
      << name;
  std::vector<T> values((file.size() - header) / sizeof(T));
  std::memcpy(values.data(), file.data() + header, values.size() * sizeof(T));
  return values;
}

struct Golden {
  std::string name;
  std::int64_t cols;
  std::int64_t group_size;
};

inline const Golden kGoldens[] = {{"attention_q_a", 256, 64}, {"shared_down", 128, 32}};
inline constexpr std::int64_t kGoldenTokens = 16 * 512;

}  // namespace whit::quant::testing
