#include "formats/torch_file.h"

#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "base/error.h"
#include "formats/npz.h"
#include "pickle/document.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using pickle::Document;
using pickle::Kind;
using pickle::ValueId;
using tensor::Dtype;
using tensor::Shape;
using tensor::Tensor;

constexpr std::string_view kRebuild = "torch._utils _rebuild_tensor_v2";
constexpr std::int64_t kMostExtent = std::int64_t{1} << 40;

struct StorageType {
  std::string_view name;
  Dtype dtype;
};
constexpr std::array<StorageType, 8> kStorages{{{"torch FloatStorage", Dtype::kF32},
                                                {"torch DoubleStorage", Dtype::kF64},
                                                {"torch HalfStorage", Dtype::kF16},
                                                {"torch BFloat16Storage", Dtype::kBF16},
                                                {"torch LongStorage", Dtype::kI64},
                                                {"torch IntStorage", Dtype::kI32},
                                                {"torch ByteStorage", Dtype::kU8},
                                                {"torch BoolStorage", Dtype::kU8}}};

std::vector<std::string_view> allowed_names() {
  std::vector<std::string_view> names{kRebuild, "collections OrderedDict"};
  for (const StorageType& storage : kStorages) names.push_back(storage.name);
  return names;
}

// "NAME/" of the archive: its first member is NAME/data.pkl.
std::string prefix_of(std::string_view zip, const std::string& subject) {
  constexpr std::size_t kNameAt = 30;
  if (!zip.starts_with("PK\x03\x04") || zip.size() < kNameAt)
    fail(ErrorKind::kInput, subject, "no zip file; expected what torch.save writes since 1.6");
  const auto length = static_cast<std::size_t>(static_cast<unsigned char>(zip[26])) |
                      static_cast<std::size_t>(static_cast<unsigned char>(zip[27])) << 8;
  const std::string_view name = zip.substr(kNameAt, length);
  constexpr std::string_view kPickle = "data.pkl";
  if (!name.ends_with(kPickle))
    fail(ErrorKind::kInput, subject, "a zip file without data.pkl in front; expected torch.save's");
  return std::string(name.substr(0, name.size() - kPickle.size()));
}

class TorchFile {
 public:
  TorchFile(std::string_view zip, const std::string& subject)
      : zip_(zip),
        subject_(subject),
        prefix_(prefix_of(zip, subject)),
        pickle_(read_zip_member(zip, prefix_ + "data.pkl", subject)),
        names_(allowed_names()),
        document_(pickle::read(pickle_, {names_, true}, subject)) {}

  std::map<std::string, Tensor, std::less<>> read() const {
    std::map<std::string, Tensor, std::less<>> tensors;
    const auto entries = document_.entries(document_.root());
    for (std::size_t i = 0; i < entries.size(); i += 2) {
      const std::string key(document_.text(entries[i]));
      tensors.insert_or_assign(key, value_of(entries[i + 1], key));
    }
    return tensors;
  }

 private:
  Tensor value_of(ValueId id, const std::string& key) const {
    if (document_.kind(id) == Kind::kInteger) {
      Tensor number({}, Dtype::kI64);
      number.as<std::int64_t>()[0] = document_.integer(id);
      return number;
    }
    if (document_.kind(id) != Kind::kObject) document_.refuse(id, key, "a tensor or an integer");
    const auto& object = document_.object(id);
    const auto arguments = document_.items(object.arguments);
    if (document_.kind(object.callable) != Kind::kGlobal ||
        document_.global(object.callable) != kRebuild || arguments.size() < 4)
      document_.refuse(id, key, "a tensor");
    return tensor_of(arguments, key);
  }

  std::int64_t extent(ValueId id, const std::string& key) const {
    const std::int64_t value = document_.integer(id);
    if (value < 0 || value > kMostExtent)
      fail(ErrorKind::kInput, subject_ + ": " + key, "an extent of {}; expected 0 to {}", value,
           kMostExtent);
    return value;
  }

  // storage, offset, size, stride, ...
  Tensor tensor_of(std::span<const ValueId> arguments, const std::string& key) const {
    const std::string subject = subject_ + ": " + key;
    const auto storage = document_.items(document_.persistent(arguments[0]));
    if (storage.size() < 5) document_.refuse(arguments[0], key, "a storage");
    const std::string_view type = document_.global(storage[1]);
    std::optional<Dtype> dtype;
    for (const StorageType& known : kStorages)
      if (known.name == type) dtype = known.dtype;
    if (!dtype) document_.refuse(storage[1], key, "the type of a storage");
    Shape shape;
    for (const ValueId id : document_.items(arguments[2])) shape.push_back(extent(id, key));
    check_dense(shape, document_.items(arguments[3]), subject);
    const auto size = static_cast<std::uint64_t>(numeric::bits_of(*dtype)) / 8;
    const std::uint64_t bytes = tensor::byte_size(shape, *dtype, subject);
    const std::uint64_t offset = static_cast<std::uint64_t>(extent(arguments[1], key)) * size;
    const std::string data =
        read_zip_member(zip_, prefix_ + "data/" + std::string(document_.text(storage[2])), subject);
    if (data.size() < bytes || data.size() - bytes < offset)
      fail(ErrorKind::kInput, subject, "{} bytes from {} of a storage of {}; expected them to fit",
           bytes, offset, data.size());
    Tensor out(std::move(shape), *dtype);
    std::memcpy(out.data(), data.data() + offset, static_cast<std::size_t>(bytes));
    return out;
  }

  void check_dense(const Shape& shape, std::span<const ValueId> strides,
                   const std::string& subject) const {
    bool dense = strides.size() == shape.size();
    std::int64_t expected = 1;
    for (std::size_t d = shape.size(); dense && d > 0; --d) {
      dense = shape[d - 1] <= 1 || document_.integer(strides[d - 1]) == expected;
      expected *= std::max<std::int64_t>(shape[d - 1], 1);
      if (expected > kMostExtent)
        fail(ErrorKind::kInput, subject, "shape {}; expected fewer elements",
             tensor::to_string(shape));
    }
    if (!dense)
      fail(ErrorKind::kUnsupported, subject, "a strided tensor {}; expected a dense one",
           tensor::to_string(shape));
  }

  std::string_view zip_;
  std::string subject_;
  std::string prefix_;
  std::string pickle_;
  std::vector<std::string_view> names_;
  Document document_;
};

}  // namespace

std::map<std::string, Tensor, std::less<>> read_torch_dict(std::string_view bytes,
                                                           const std::string& subject) {
  return TorchFile(bytes, subject).read();
}

}  // namespace whit::formats
