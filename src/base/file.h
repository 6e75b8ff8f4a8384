#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace whit::base {

namespace fs = std::filesystem;

// A read-only mapping of a whole file. Errors: kInput, subject = path.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const fs::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const fs::path& path() const { return path_; }

  // Tells the kernel that [offset, offset+size) is no longer needed, so that reading a checkpoint
  // larger than memory keeps the resident set small.
  void release(std::size_t offset, std::size_t size) const;

 private:
  fs::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Sequential writer of a file that appears under its name only when `commit` has made it durable:
// it writes NAME.partial, fsyncs, renames, fsyncs the folder. Without commit the partial file is
// removed. Errors: kResource, subject = path.
class AtomicFile {
 public:
  explicit AtomicFile(fs::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  std::uint64_t bytes_written() const { return written_; }
  void commit();

 private:
  fs::path path_;
  fs::path partial_;
  int fd_ = -1;
  std::uint64_t written_ = 0;
};

// Whole-file conveniences with the same guarantees.
std::string read_text_file(const fs::path& path, std::uint64_t max_bytes = 1ULL << 30);
void write_file_atomic(const fs::path& path, std::string_view contents);

// Creates a folder (and parents), or throws kResource when it cannot be made or written to.
void ensure_writable_directory(const fs::path& path);

// Makes earlier renames and creations in `directory` durable.
void sync_directory(const fs::path& directory);

// fd helpers shared by the journal and the activation spill; loop over short reads and writes.
void write_fully(int fd, std::span<const std::byte> bytes, const fs::path& path);
void pread_fully(int fd, std::span<std::byte> bytes, std::uint64_t offset, const fs::path& path);
void pwrite_fully(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                  const fs::path& path);

}  // namespace whit::base
