#include "data/byte_stream.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::size_t kPieceBytes = 1U << 20;
constexpr std::size_t kInputBytes = 1U << 26;

class Gzip final : public ByteStream {
 public:
  explicit Gzip(const base::MappedFile& file) : file_(file), piece_(kPieceBytes) {
    if (inflateInit2(&state_, kGzipOnly) != Z_OK) {
      fail(ErrorKind::kResource, file.path().string(), "zlib takes no more; expected memory");
    }
  }
  ~Gzip() override { inflateEnd(&state_); }

  std::string_view next() override {
    const auto bytes = file_.bytes();
    state_.next_out = piece_.data();
    state_.avail_out = static_cast<uInt>(piece_.size());
    while (state_.avail_out == piece_.size()) {
      if (at_ == bytes.size() && state_.avail_in == 0) {
        if (between_members_) return {};
        fail(ErrorKind::kInput, file_.path().string(),
             "the compressed data end at byte {} within a gzip member; expected its end", at_);
      }
      feed();
      between_members_ = false;
      const int code = inflate(&state_, Z_NO_FLUSH);
      if (code == Z_STREAM_END) {
        between_members_ = true;
        inflateReset(&state_);
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        fail(ErrorKind::kInput, file_.path().string(), "no valid gzip data near byte {} ({})",
             at_ - state_.avail_in, state_.msg == nullptr ? zError(code) : state_.msg);
      }
    }
    return {reinterpret_cast<const char*>(piece_.data()), piece_.size() - state_.avail_out};
  }

 private:
  static constexpr int kGzipOnly = 15 + 16;  // window bits, as zlib.h codes it

  void feed() {
    if (state_.avail_in > 0) return;
    const auto bytes = file_.bytes();
    if (at_ > 0) file_.release(at_ - fed_, fed_);
    fed_ = std::min(kInputBytes, bytes.size() - at_);
    state_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data() + at_));
    state_.avail_in = static_cast<uInt>(fed_);
    at_ += fed_;
  }

  const base::MappedFile& file_;
  std::vector<Bytef> piece_;
  z_stream state_{};
  std::size_t at_ = 0;
  std::size_t fed_ = 0;
  bool between_members_ = true;
};

class Zstd final : public ByteStream {
 public:
  explicit Zstd(const base::MappedFile& file)
      : file_(file), piece_(kPieceBytes), state_(ZSTD_createDStream()) {
    if (state_ == nullptr) {
      fail(ErrorKind::kResource, file.path().string(), "zstd takes no more; expected memory");
    }
    input_ = {file.bytes().data(), file.bytes().size(), 0};
  }
  ~Zstd() override { ZSTD_freeDStream(state_); }

  std::string_view next() override {
    ZSTD_outBuffer out{piece_.data(), piece_.size(), 0};
    while (out.pos == 0) {
      if (input_.pos == input_.size && between_frames_) return {};
      const std::size_t before = input_.pos;
      const std::size_t code = ZSTD_decompressStream(state_, &out, &input_);
      if (ZSTD_isError(code) != 0) {
        fail(ErrorKind::kInput, file_.path().string(), "no valid Zstandard data near byte {} ({})",
             input_.pos, ZSTD_getErrorName(code));
      }
      between_frames_ = code == 0;
      if (out.pos == 0 && input_.pos == before && input_.pos == input_.size && !between_frames_) {
        fail(ErrorKind::kInput, file_.path().string(),
             "the compressed data end at byte {} within a frame; expected its end", input_.pos);
      }
    }
    if (input_.pos - released_ > kInputBytes) {
      file_.release(released_, input_.pos - released_);
      released_ = input_.pos;
    }
    return {piece_.data(), out.pos};
  }

 private:
  const base::MappedFile& file_;
  std::vector<char> piece_;
  ZSTD_DStream* state_;
  ZSTD_inBuffer input_{};
  std::size_t released_ = 0;
  bool between_frames_ = true;
};

}  // namespace

std::unique_ptr<ByteStream> gzip_stream(const base::MappedFile& file) {
  return std::make_unique<Gzip>(file);
}

std::unique_ptr<ByteStream> zstd_stream(const base::MappedFile& file) {
  return std::make_unique<Zstd>(file);
}

LineStream::LineStream(std::unique_ptr<ByteStream> bytes, std::string path, std::size_t max_bytes)
    : bytes_(std::move(bytes)), path_(std::move(path)), max_bytes_(max_bytes) {}

bool LineStream::next(std::string_view& line) {
  joined_.clear();
  while (true) {
    if (rest_.empty()) {
      rest_ = bytes_->next();
      if (rest_.empty()) {
        line = joined_;
        if (joined_.empty()) return false;
        ++number_;
        return true;
      }
    }
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    if (joined_.size() + end > max_bytes_) {
      fail(ErrorKind::kInput, fmt::format("{}:{}", path_, number_ + 1),
           "more than {} bytes in a line; expected a row of fewer", max_bytes_);
    }
    const bool whole = end < rest_.size();
    if (whole && joined_.empty()) {
      line = rest_.substr(0, end);
    } else {
      joined_ += rest_.substr(0, end);
      line = joined_;
    }
    rest_.remove_prefix(whole ? end + 1 : end);
    if (whole) {
      ++number_;
      return true;
    }
  }
}

}  // namespace whit::data
