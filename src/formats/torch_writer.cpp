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

// The call that torch makes a tensor of: storage, offset, size, stride, requires_grad, hooks.
void write_tensor(pickle::Writer& writer, const Tensor& value, const std::string& key) {
  writer.global("torch._utils", "_rebuild_tensor_v2");
  writer.begin_tuple();
  writer.begin_tuple();
  writer.text("storage");
  writer.global("torch", value.dtype() == Dtype::kF32 ? "FloatStorage" : "LongStorage");
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
}

}  // namespace

std::string write_torch_dict(const TorchEntries& entries, const std::string& subject) {
  constexpr std::uint64_t kMost = (std::uint64_t{1} << 32) - (1 << 16);
  const std::string folder = "archive/";
  pickle::Writer writer(2);
  std::vector<ZipMember> storages;
  std::uint64_t bytes = 0;
  writer.begin_dict();
  for (const auto& [key, value] : entries) {
    writer.text(key);
    if (value.dtype() == Dtype::kI64 && value.shape().empty()) {
      writer.integer(value.as<std::int64_t>()[0]);
      continue;
    }
    base::check(value.dtype() == Dtype::kF32 || value.dtype() == Dtype::kI64,
                "write_torch_dict: F32 or I64");
    const std::string number = std::to_string(storages.size());
    write_tensor(writer, value, number);
    storages.push_back(
        {folder + "data/" + number,
         {reinterpret_cast<const char*>(value.data()), static_cast<std::size_t>(value.bytes())}});
    bytes += static_cast<std::uint64_t>(value.bytes());
  }
  writer.end_dict();
  if (bytes > kMost)
    base::fail(base::ErrorKind::kUnsupported, subject, "{} bytes; expected at most {} in a file",
               bytes, kMost);
  const std::string pickled = writer.finish();
  std::vector<ZipMember> members{{folder + "data.pkl", pickled}, {folder + "byteorder", "little"}};
  members.insert(members.end(), storages.begin(), storages.end());
  members.push_back({folder + "version", "3\n"});
  return make_zip(members);
}

}  // namespace whit::formats
