#pragma once

#include <string>
#include <string_view>

#include "base/file.h"

namespace whit::data {

namespace fs = std::filesystem;

// A mapped text file, without the byte order mark that may begin it. What was read is given back to
// the kernel, so that a file larger than memory leaves the resident set small.
class RowBytes {
 public:
  // Errors: kInput, subject = path: missing, or nothing but white space.
  explicit RowBytes(const fs::path& path);

  std::string_view all() const { return all_; }
  std::string path() const { return file_.path().string(); }
  const fs::path& file() const { return file_.path(); }
  // Bytes [begin, end) are not needed any more.
  void release(std::uint64_t begin, std::uint64_t end) const;
  // The same of all before `end`, in large steps; to be called often on a way through the file.
  void release_read(std::uint64_t end);

 private:
  base::MappedFile file_;
  std::string_view all_;
  std::uint64_t mark_ = 0;      // size of the byte order mark
  std::uint64_t released_ = 0;  // bytes of all_
};

bool is_blank(std::string_view text);

// "FILE[ROW]", of rows that have no line.
std::string row_name(const std::string& path, std::uint64_t row);

}  // namespace whit::data
