#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace whit::base {
namespace {

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string name = (fs::temp_directory_path() / "whit-file-test-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FileTest() override { fs::remove_all(folder_); }

  static void put(const fs::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string get(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void expect_error(ErrorKind kind, const fs::path& subject,
                           const std::function<void()>& action) {
    try {
      action();
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_EQ(error.subject(), subject.string());
      EXPECT_FALSE(error.detail().empty());
    }
  }

  fs::path folder_;
};

std::string text_of(const MappedFile& file) {
  const auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(FileTest, MapsAWholeFile) {
  put(folder_ / "a", "hello");
  const MappedFile file(folder_ / "a");
  EXPECT_EQ(text_of(file), "hello");
  EXPECT_EQ(file.path(), folder_ / "a");
}

TEST_F(FileTest, MapsAnEmptyFile) {
  put(folder_ / "empty", "");
  EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
}

TEST_F(FileTest, AMovedMappingKeepsItsBytes) {
  put(folder_ / "a", "first");
  put(folder_ / "b", "second");
  MappedFile a(folder_ / "a");
  MappedFile b(std::move(a));
  EXPECT_EQ(text_of(b), "first");
  b = MappedFile(folder_ / "b");
  EXPECT_EQ(text_of(b), "second");
}

TEST_F(FileTest, ReleasedPagesAreReadAgain) {
  put(folder_ / "a", std::string(100'000, 'x') + "end");
  const MappedFile file(folder_ / "a");
  file.release(0, file.bytes().size());
  file.release(99'999, 1'000'000'000);
  file.release(1'000'000, 10);
  EXPECT_EQ(text_of(file), std::string(100'000, 'x') + "end");
}

TEST_F(FileTest, RefusesWhatIsNoReadableFile) {
  expect_error(ErrorKind::kInput, folder_ / "absent", [&] { MappedFile(folder_ / "absent"); });
  expect_error(ErrorKind::kInput, folder_, [&] { MappedFile{folder_}; });
}

TEST_F(FileTest, ReadTextFileRespectsItsLimit) {
  put(folder_ / "a", "12345");
  EXPECT_EQ(read_text_file(folder_ / "a", 5), "12345");
  expect_error(ErrorKind::kInput, folder_ / "a", [&] { read_text_file(folder_ / "a", 4); });
}

TEST_F(FileTest, AtomicFileAppearsOnCommitOnly) {
  const fs::path path = folder_ / "out";
  {
    AtomicFile file(path);
    file.write("one ");
    file.write("two");
    EXPECT_EQ(file.bytes_written(), 7U);
    EXPECT_FALSE(fs::exists(path));
    file.commit();
  }
  EXPECT_EQ(get(path), "one two");
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(FileTest, AnAbandonedAtomicFileLeavesTheOldOne) {
  const fs::path path = folder_ / "out";
  put(path, "old");
  {
    AtomicFile file(path);
    file.write("half of the new");
  }
  EXPECT_EQ(get(path), "old");
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(FileTest, AtomicFileReplacesALongerOldFile) {
  const fs::path path = folder_ / "out";
  put(path, "a long old file");
  write_file_atomic(path, "new");
  EXPECT_EQ(get(path), "new");
}

TEST_F(FileTest, AKilledWriterLeavesTheOldFileAndNothingInTheWay) {
  const fs::path path = folder_ / "out";
  put(path, "old");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    AtomicFile file(path);
    file.write("half of the new");
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(get(path), "old");
  ASSERT_TRUE(fs::exists(folder_ / "out.partial"));
  write_file_atomic(path, "new");
  EXPECT_EQ(get(path), "new");
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(FileTest, AFullDiskIsAResourceErrorAndTheOldFileStays) {
  const fs::path path = folder_ / "out";
  put(path, "old");
  // Every write through this link fails with ENOSPC.
  fs::create_symlink("/dev/full", folder_ / "out.partial");
  expect_error(ErrorKind::kResource, folder_ / "out.partial", [&] {
    AtomicFile file(path);
    file.write("new");
    file.commit();
  });
  EXPECT_EQ(get(path), "old");
  EXPECT_FALSE(fs::exists(fs::symlink_status(folder_ / "out.partial")));
}

TEST_F(FileTest, AnUnwritablePlaceIsAResourceError) {
  put(folder_ / "file", "");
  const fs::path inside = folder_ / "file" / "sub";
  expect_error(ErrorKind::kResource, inside.string() + ".partial", [&] { AtomicFile{inside}; });
  expect_error(ErrorKind::kResource, inside, [&] { ensure_writable_directory(inside); });
}

TEST_F(FileTest, AFolderWithoutWritePermissionIsAResourceError) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  expect_error(ErrorKind::kResource, folder_, [&] { ensure_writable_directory(folder_); });
  fs::permissions(folder_, fs::perms::owner_all);
}

TEST_F(FileTest, EnsureWritableDirectoryMakesParentsAndLeavesNoTrace) {
  const fs::path deep = folder_ / "a" / "b" / "c";
  ensure_writable_directory(deep);
  EXPECT_TRUE(fs::is_directory(deep));
  EXPECT_TRUE(fs::is_empty(deep));
}

TEST_F(FileTest, PositionedReadsAndWritesAreWhole) {
  const fs::path path = folder_ / "spill";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_GE(fd, 0);
  const std::string text = "0123456789";
  pwrite_fully(fd, std::as_bytes(std::span(text)), 4, path);
  std::string back(6, ' ');
  pread_fully(fd, std::as_writable_bytes(std::span(back)), 8, path);
  EXPECT_EQ(back, "456789");
  expect_error(ErrorKind::kInput, path,
               [&] { pread_fully(fd, std::as_writable_bytes(std::span(back)), 9, path); });
  ::close(fd);
  expect_error(ErrorKind::kResource, path,
               [&] { pwrite_fully(-1, std::as_bytes(std::span(text)), 0, path); });
}

}  // namespace
}  // namespace whit::base
