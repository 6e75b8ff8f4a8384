#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"

namespace whit::data {

// The bytes of a compressed file, in order. Memory does not depend on its size.
class ByteStream {
 public:
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;
  // The next bytes, valid until the next call; empty at the end. Errors: kInput, subject = path.
  virtual std::string_view next() = 0;
};

// Members of gzip (RFC 1952), frames of Zstandard (RFC 8878), one behind the other.
std::unique_ptr<ByteStream> gzip_stream(const base::MappedFile& file);
std::unique_ptr<ByteStream> zstd_stream(const base::MappedFile& file);

// Lines of a stream. Errors: kInput where one has more than `max_bytes`.
class LineStream {
 public:
  LineStream(std::unique_ptr<ByteStream> bytes, std::string path, std::size_t max_bytes);
  // Whether there is another line; `line` is it, without its end, valid until the next call.
  bool next(std::string_view& line);
  std::uint64_t number() const { return number_; }  // of the last line, from 1

 private:
  std::unique_ptr<ByteStream> bytes_;
  std::string path_;
  std::size_t max_bytes_;
  std::string_view rest_;  // of the last piece
  std::string joined_;     // a line over several pieces
  std::uint64_t number_ = 0;
};

}  // namespace whit::data
