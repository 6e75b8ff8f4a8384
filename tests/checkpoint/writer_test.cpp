#include "checkpoint/writer.h"

#include "base/file.h"
#include "base/hash.h"
#include "checkpoint/raw_files.h"
#include "checkpoint/safetensors.h"

namespace whit::checkpoint {
namespace {

using base::ErrorKind;
using testing::expect_error;
using testing::Folder;
using Entries = std::vector<SafetensorsWriter::Entry>;

const Entries kEntries{{"b", tensor::Dtype::kF32, {2, 3}},
                       {"a\"\n", tensor::Dtype::kI64, {}},
                       {"c", tensor::Dtype::kBF16, {0}}};

std::string write_sample(const fs::path& path) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  tensor::Tensor number({}, tensor::Dtype::kI64);
  *number.as<std::int64_t>() = -5;
  SafetensorsWriter writer(path, kEntries);
  writer.write("b", tensor::make_f32({2, 3}, values).view());
  writer.write("a\"\n", number.view());
  writer.write("c", tensor::Tensor({0}, tensor::Dtype::kBF16).view());
  return writer.finish();
}

TEST(SafetensorsWriter, WritesWhatTheReaderProves) {
  const Folder folder;
  const std::string hash = write_sample(folder.path() / "m.safetensors");
  const SafetensorsFile file(folder.path() / "m.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  ASSERT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(tensor::to_f32_vector(file.view(*file.find("b"))),
            (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(tensor::to_f32_vector(file.view(*file.find("a\"\n"))), (std::vector<float>{-5}));
  EXPECT_EQ(file.tensors()[0].offset % 8, 0U);
  EXPECT_EQ(file.file_bytes(), safetensors_bytes(kEntries));
  const std::string bytes = base::read_text_file(file.path());
  EXPECT_EQ(hash, base::hash_hex(std::as_bytes(std::span(bytes))));
  EXPECT_EQ(bytes.substr(8, 51), R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32",)");
}

TEST(SafetensorsWriter, SameTensorsSameBytes) {
  const Folder folder;
  EXPECT_EQ(write_sample(folder.path() / "m"), write_sample(folder.path() / "n"));
  EXPECT_EQ(base::read_text_file(folder.path() / "m"), base::read_text_file(folder.path() / "n"));
}

TEST(SafetensorsWriter, LeavesNothingBehindWhenUnfinished) {
  const Folder folder;
  { SafetensorsWriter writer(folder.path() / "m.safetensors", kEntries); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsWriter, RefusesWhatWasNotAnnounced) {
  const Folder folder;
  const tensor::Tensor wrong({6}, tensor::Dtype::kF32);
  SafetensorsWriter writer(folder.path() / "m", kEntries);
  EXPECT_THROW(writer.write("a", wrong.view()), base::Error);
  EXPECT_THROW(writer.write("b", wrong.view()), base::Error);
  EXPECT_THROW(writer.finish(), base::Error);
  EXPECT_THROW(SafetensorsWriter(folder.path() / "n", {kEntries[0], kEntries[0]}), base::Error);
}

TEST(SafetensorsWriter, NamesAFolderThatCannotBeWritten) {
  expect_error(ErrorKind::kResource, "/nowhere/m", "creating",
               [] { SafetensorsWriter writer("/nowhere/m", kEntries); });
}

}  // namespace
}  // namespace whit::checkpoint
