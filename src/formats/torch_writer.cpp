#include <vector>

#include "base/error.h"
#include "formats/npz.h"
#include "formats/torch_file.h"
#include "pickle/writer.h"

namespace whit::formats {

namespace {

using tensor::Dtype;
using tensor::Tensor;

void write_extents(pickle::Writer& writer, const tensor::Shape& extents) {
  writer.begin_tuple();
  for (const std::int64_t extent : extents) writer.integer(extent);
  writer.end_tuple();
}

const char* storage_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return "FloatStorage";
    case Dtype::kBF16:
      return "BFloat16Storage";
    case Dtype::kF16:
      return "HalfStorage";
    case Dtype::kI64:
      return "LongStorage";
    default:
      base::fail(base::ErrorKind::kBug, "torch file", "no storage of this dtype is written");
  }
}

// A pickle and the storages that it refers to.
class Archive {
 public:
  pickle::Writer writer{2};

  // The call that torch makes a tensor of: storage, offset, size, stride, requires_grad, hooks.
  void tensor(const Tensor& value) {
    writer.global("torch._utils", "_rebuild_tensor_v2");
    writer.begin_tuple();
    writer.begin_tuple();
    writer.text("storage");
    writer.global("torch", storage_of(value.dtype()));
    const std::string key = std::to_string(storages_.size());
    writer.text(key);
    writer.text("cpu");
    writer.integer(value.elements());
    writer.end_tuple();
    writer.persistent();
    writer.integer(0);
    write_extents(writer, value.shape());
    tensor::Shape strides(value.shape().size(), 1);
    for (std::size_t d = strides.size(); d > 1; --d)
      strides[d - 2] = strides[d - 1] * value.shape()[d - 1];
    write_extents(writer, strides);
    writer.boolean(false);
    writer.global("collections", "OrderedDict");
    write_extents(writer, {});
    writer.call();
    writer.end_tuple();
    writer.call();
    storages_.push_back(
        {"archive/data/" + key,
         {reinterpret_cast<const char*>(value.data()), static_cast<std::size_t>(value.bytes())}});
    bytes_ += static_cast<std::uint64_t>(value.bytes());
  }

  std::string finish(const std::string& subject) {
    constexpr std::uint64_t kMost = (std::uint64_t{1} << 32) - (1 << 16);
    if (bytes_ > kMost)
      base::fail(base::ErrorKind::kUnsupported, subject, "{} bytes; expected at most {} in a file",
                 bytes_, kMost);
    const std::string pickled = writer.finish();
    std::vector<ZipMember> members{{"archive/data.pkl", pickled}, {"archive/byteorder", "little"}};
    members.insert(members.end(), storages_.begin(), storages_.end());
    members.push_back({"archive/version", "3\n"});
    return make_zip(members);
  }

 private:
  std::vector<ZipMember> storages_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

std::string write_torch_dict(const TorchEntries& entries, const std::string& subject) {
  Archive archive;
  archive.writer.begin_dict();
  for (const auto& [key, value] : entries) {
    archive.writer.text(key);
    if (value.dtype() == Dtype::kI64 && value.shape().empty())
      archive.writer.integer(value.as<std::int64_t>()[0]);
    else
      archive.tensor(value);
  }
  archive.writer.end_dict();
  return archive.finish(subject);
}

std::string write_torch_tensor(const Tensor& value, const std::string& subject) {
  Archive archive;
  archive.tensor(value);
  return archive.finish(subject);
}

}  // namespace whit::formats
