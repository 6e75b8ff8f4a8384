#include "formats/torch_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace whit::formats {
namespace {

std::string golden() {
  const base::MappedFile file(std::filesystem::path(WHIT_TEST_DATA) / "golden/vptq/0_up.pt");
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(TorchFile, TensorsAndNumbersOfADict) {
  const auto entries = read_torch_dict(golden(), "0_up.pt");
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(tensor::to_f32_vector(entries.at("flatH").view()),
            (std::vector<float>{2, 0.5F, 3, -0.25F, 0.75F, 1}));
  EXPECT_EQ(tensor::to_f32_vector(entries.at("mu").view()), (std::vector<float>{0.5F, -1, 2}));
  EXPECT_EQ(entries.at("n").as<std::int64_t>()[0], 3);
  EXPECT_EQ(entries.at("ct").as<std::int64_t>()[0], 4096);
}

TEST(TorchFile, EveryTruncationIsRefused) {
  const std::string whole = golden();
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    try {
      read_torch_dict(std::string_view(whole).substr(0, size), "cut.pt");
      ADD_FAILURE() << size << " bytes were taken";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInput) << error.what();
    }
  }
}

TEST(TorchFile, OtherNamesAreNotRun) {
  std::string evil = golden();
  const std::string name = "_rebuild_tensor_v2";
  for (std::size_t at = evil.find(name); at != std::string::npos; at = evil.find(name, at + 1))
    evil.replace(at, name.size(), "_rebuild_tensor_v9");
  EXPECT_THROW(read_torch_dict(evil, "evil.pt"), base::Error);
}

}  // namespace
}  // namespace whit::formats
