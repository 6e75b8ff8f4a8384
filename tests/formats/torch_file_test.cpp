#include "formats/torch_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace whit::formats {
namespace {

using tensor::Tensor;

std::string golden(const char* name = "0_up.pt") {
  const base::MappedFile file(std::filesystem::path(WHIT_TEST_DATA) / "golden/vptq" / name);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void expect_hessian(const TorchEntries& entries) {
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(tensor::to_f32_vector(entries.at("flatH").view()),
            (std::vector<float>{2, 0.5F, 3, -0.25F, 0.75F, 1}));
  EXPECT_EQ(tensor::to_f32_vector(entries.at("mu").view()), (std::vector<float>{0.5F, -1, 2}));
  EXPECT_EQ(entries.at("n").as<std::int64_t>()[0], 3);
  EXPECT_EQ(entries.at("ct").as<std::int64_t>()[0], 4096);
}

TEST(TorchFile, TensorsAndNumbersOfADict) {
  expect_hessian(read_torch_dict(golden(), "0_up.pt"));
}

TEST(TorchFile, TheLayoutBeforeZipFiles) {
  expect_hessian(read_torch_dict(golden("0_up_plain.pt"), "0_up_plain.pt"));
}

TEST(TorchFile, WhatIsWrittenIsRead) {
  const std::string written = write_torch_dict(read_torch_dict(golden(), "0_up.pt"), "out.pt");
  expect_hessian(read_torch_dict(written, "out.pt"));
  EXPECT_EQ(written, write_torch_dict(read_torch_dict(written, "out.pt"), "out.pt"));
}

// A Cholesky factor of torch's, saved as it lies: column after column.
TEST(TorchFile, ATransposedTensor) {
  const Tensor u = std::move(read_torch_dict(golden("0_up_inverse.pt"), "u").at("invH"));
  const std::vector<float> expected{0.917977F, 0.281562F, -0.296074F, 0,        0.959250F,
                                    0,         0,         0,          1.269899F};
  ASSERT_EQ(u.shape(), (tensor::Shape{3, 3}));
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(u.as<float>()[i], expected[i], 1e-6) << i;
}

TEST(TorchFile, EveryTruncationIsRefused) {
  for (const char* name : {"0_up.pt", "0_up_plain.pt"}) {
    const std::string whole = golden(name);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      try {
        read_torch_dict(std::string_view(whole).substr(0, size), "cut.pt");
        ADD_FAILURE() << size << " bytes of " << name << " were taken";
      } catch (const base::Error& error) {
        EXPECT_NE(error.kind(), base::ErrorKind::kBug) << error.what();
        EXPECT_EQ(error.subject().substr(0, 6), "cut.pt") << error.what();
      }
    }
  }
}

TEST(TorchFile, AStorageLongerThanTheFileIsRefused) {
  std::string file = golden("0_up_plain.pt");
  file[file.size() - 3 * sizeof(float) - 1] = 0x7f;  // the last storage's number of elements
  EXPECT_THROW(read_torch_dict(file, "long.pt"), base::Error);
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
