#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/checked.h"
#include "base/error.h"

namespace whit::base {

namespace {

[[noreturn]] void fail_errno(ErrorKind kind, const fs::path& path, std::string_view doing) {
  fail(kind, path.string(), "{} failed: {}", doing, std::strerror(errno));
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(ErrorKind::kInput, path, "opening");
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    fail(ErrorKind::kInput, path.string(), "not a regular file; expected a readable file");
  }
  size_ = static_cast<std::size_t>(info.st_size);
  if (size_ > 0) {
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
      ::close(fd);
      fail_errno(ErrorKind::kInput, path, "mapping");
    }
    data_ = static_cast<const std::byte*>(mapped);
  }
  ::close(fd);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::size_t offset, std::size_t size) const {
  if (data_ == nullptr || offset >= size_) return;
  // Rounded outward to the window that Linux maps around a touched page: what lies beside a small
  // tensor came in with it, and comes back from the page cache where it is still wanted.
  constexpr std::size_t kFaultAround = 65536;
  const std::size_t begin = offset / kFaultAround * kFaultAround;
  const std::size_t end = std::min(round_up(offset + size, kFaultAround), size_);
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), partial_(path_.string() + ".partial") {
  fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_errno(ErrorKind::kResource, partial_, "creating");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_fully(fd_, bytes, partial_);
  written_ += bytes.size();
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) fail_errno(ErrorKind::kResource, partial_, "fsync");
  const int closed = ::close(std::exchange(fd_, -1));
  if (closed != 0) fail_errno(ErrorKind::kResource, partial_, "closing");
  if (::rename(partial_.c_str(), path_.c_str()) != 0)
    fail_errno(ErrorKind::kResource, path_, "renaming");
  sync_directory(path_.parent_path());
}

std::string read_text_file(const fs::path& path, std::uint64_t max_bytes) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() > max_bytes)
    fail(ErrorKind::kInput, path.string(), "{} bytes; expected at most {}", bytes.size(),
         max_bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_file_atomic(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

void ensure_writable_directory(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code)
    fail(ErrorKind::kResource, path.string(), "cannot create the folder: {}", code.message());
  const fs::path probe = path / ".whit-write-probe";
  const int fd = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) fail_errno(ErrorKind::kResource, path, "writing to the folder");
  ::close(fd);
  ::unlink(probe.c_str());
}

void sync_directory(const fs::path& directory) {
  const fs::path target = directory.empty() ? fs::path(".") : directory;
  const int fd = ::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_errno(ErrorKind::kResource, target, "opening");
  // Some file systems refuse fsync on a folder; the rename is then as durable as they make it.
  ::fsync(fd);
  ::close(fd);
}

void write_fully(int fd, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(ErrorKind::kResource, path, "writing");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void pread_fully(int fd, std::span<std::byte> bytes, std::uint64_t offset, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(ErrorKind::kResource, path, "reading");
    if (n == 0) fail(ErrorKind::kInput, path.string(), "ends {} bytes early", bytes.size());
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void pwrite_fully(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                  const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(ErrorKind::kResource, path, "writing");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

}  // namespace whit::base
