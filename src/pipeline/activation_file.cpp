#include "pipeline/activation_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace whit::pipeline {

using base::ErrorKind;
using model::Slot;

namespace {

class SlotFile {
 public:
  SlotFile(const std::filesystem::path& folder, Slot slot, std::int64_t rows, std::int64_t width)
      : path_(folder / fmt::format(".whit-slot-{}-{}", ::getpid(), static_cast<int>(slot))),
        rows_(rows),
        width_(width) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0)
      base::fail(ErrorKind::kResource, path_.string(), "creating failed: {}", std::strerror(errno));
    ::unlink(path_.c_str());
    // Reserved now, so that a full disk is found before the work and not in its middle.
    const int code =
        ::posix_fallocate(fd_, 0, static_cast<off_t>(std::max<std::int64_t>(rows * width * 4, 1)));
    if (code != 0) {
      ::close(fd_);
      base::fail(ErrorKind::kResource, path_.string(), "reserving {} bytes failed: {}",
                 rows * width * 4, std::strerror(code));
    }
  }
  SlotFile(const SlotFile&) = delete;
  SlotFile& operator=(const SlotFile&) = delete;
  ~SlotFile() { ::close(fd_); }

  void read(std::int64_t row0, std::span<float> values) const {
    base::pread_fully(fd_, std::as_writable_bytes(values), offset(row0), path_);
  }
  void write(std::int64_t row0, std::span<const float> values) const {
    base::pwrite_fully(fd_, std::as_bytes(values), offset(row0), path_);
  }
  std::int64_t rows() const { return rows_; }
  std::int64_t width() const { return width_; }

 private:
  std::uint64_t offset(std::int64_t row) const {
    return static_cast<std::uint64_t>(row * width_ * 4);
  }

  std::filesystem::path path_;
  int fd_ = -1;
  std::int64_t rows_;
  std::int64_t width_;
};

std::span<float> floats_of(tensor::Tensor& host) {
  return {host.as<float>(), static_cast<std::size_t>(host.elements())};
}

class FileLease final : public model::Lease {
 public:
  FileLease(compute::Backend& backend, const SlotFile& file, std::int64_t row0, std::int64_t rows,
            model::ActivationStore::Access access, std::exception_ptr& failure)
      : backend_(backend), file_(file), row0_(row0), access_(access), failure_(failure) {
    tensor::Tensor host({rows, file.width()}, tensor::Dtype::kF32);
    if (access != model::ActivationStore::Access::kWrite) file_.read(row0, floats_of(host));
    rows_ = backend_.memory().upload(host.view());
  }
  FileLease(const FileLease&) = delete;
  FileLease& operator=(const FileLease&) = delete;
  // A destructor cannot report a failed write; the store does, at its next call.
  ~FileLease() override {
    if (access_ == model::ActivationStore::Access::kRead) return;
    try {
      tensor::Tensor host = backend_.memory().download(rows_.view());
      file_.write(row0_, floats_of(host));
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  tensor::MatrixView view() override { return rows_.matrix(); }

 private:
  compute::Backend& backend_;
  const SlotFile& file_;
  std::int64_t row0_;
  model::ActivationStore::Access access_;
  std::exception_ptr& failure_;
  tensor::Tensor rows_;
};

class FileStore final : public model::ActivationStore {
 public:
  FileStore(compute::Backend& backend, std::filesystem::path folder)
      : backend_(backend), folder_(std::move(folder)) {}

  void create(Slot slot, std::int64_t rows, std::int64_t width) override {
    rethrow_failure();
    slots_.erase(slot);
    slots_.emplace(slot, std::make_unique<SlotFile>(folder_, slot, rows, width));
  }
  void drop(Slot slot) override {
    rethrow_failure();
    slots_.erase(slot);
  }
  bool has(Slot slot) const override { return slots_.contains(slot); }
  std::unique_ptr<model::Lease> lease(Slot slot, std::int64_t row0, std::int64_t rows,
                                      Access access) override {
    rethrow_failure();
    return std::make_unique<FileLease>(backend_, file(slot), row0, rows, access, failure_);
  }

  void gather(Slot slot, std::span<const std::int32_t> rows, tensor::MatrixView out) override {
    tensor::Tensor host({out.rows, out.cols}, tensor::Dtype::kF32);
    const auto width = static_cast<std::size_t>(out.cols);
    for (std::size_t i = 0; i < rows.size(); ++i)
      file(slot).read(rows[i], floats_of(host).subspan(i * width, width));
    const tensor::Tensor device = backend_.memory().upload(host.view());
    backend_.memory().copy(device.matrix(), out);
  }

  void scatter_add(Slot slot, std::span<const std::int32_t> rows, std::span<const float> weights,
                   tensor::ConstMatrixView x) override {
    tensor::Tensor current({x.rows, x.cols}, tensor::Dtype::kF32);
    const auto width = static_cast<std::size_t>(x.cols);
    for (std::size_t i = 0; i < rows.size(); ++i)
      file(slot).read(rows[i], floats_of(current).subspan(i * width, width));
    tensor::Tensor device = backend_.memory().upload(current.view());
    std::vector<std::int32_t> all(rows.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int32_t>(i);
    backend_.neural().scatter_add_rows(x, all, weights, device.matrix());
    tensor::Tensor result = backend_.memory().download(device.view());
    for (std::size_t i = 0; i < rows.size(); ++i)
      file(slot).write(rows[i], floats_of(result).subspan(i * width, width));
  }

 private:
  void rethrow_failure() {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }
  const SlotFile& file(Slot slot) const {
    const auto found = slots_.find(slot);
    base::check(found != slots_.end(), "an activation slot is created before it is used");
    return *found->second;
  }

  compute::Backend& backend_;
  std::filesystem::path folder_;
  std::exception_ptr failure_;
  std::map<Slot, std::unique_ptr<SlotFile>> slots_;
};

}  // namespace

std::unique_ptr<model::ActivationStore> make_file_store(compute::Backend& backend,
                                                        std::filesystem::path folder) {
  return std::make_unique<FileStore>(backend, std::move(folder));
}

}  // namespace whit::pipeline
