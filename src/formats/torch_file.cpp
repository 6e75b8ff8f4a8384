#include "formats/torch_file.h"

#include <algorithm>
#include <array>
#include <cstring>
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
constexpr std::size_t kMostDimensions = 8;

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
  const auto length = zip.size() < kNameAt
                          ? std::size_t{0}
                          : static_cast<std::size_t>(static_cast<unsigned char>(zip[26])) |
                                static_cast<std::size_t>(static_cast<unsigned char>(zip[27])) << 8;
  const std::string_view name = zip.substr(std::min(kNameAt, zip.size()), length);
  constexpr std::string_view kPickle = "data.pkl";
  if (!name.ends_with(kPickle))
    fail(ErrorKind::kInput, subject, "a zip file without data.pkl in front; expected torch.save's");
  return std::string(name.substr(0, name.size() - kPickle.size()));
}

// A storage as a tensor of the pickle names it: ("storage", type, key, location, elements).
struct Storage {
  std::string key;
  Dtype dtype = Dtype::kF32;
};

// The tensors of a pickle whose storages lie in `File`: pickle() and bytes(Storage).
template <typename File>
class TorchDict {
 public:
  TorchDict(const File& file, const std::string& subject)
      : file_(file),
        subject_(subject),
        names_(allowed_names()),
        document_(pickle::read(file.pickle(), {names_, true}, subject)) {}

  const Document& document() const { return document_; }

  TorchEntries read() const {
    TorchEntries tensors;
    const auto entries = document_.entries(document_.root());
    for (std::size_t i = 0; i < entries.size(); i += 2) {
      const std::string key(document_.text(entries[i]));
      tensors.insert_or_assign(key, value_of(entries[i + 1], key));
    }
    return tensors;
  }

  // Of every tensor, in the dict's order; one may be there twice.
  std::vector<Storage> storages() const {
    std::vector<Storage> found;
    const auto entries = document_.entries(document_.root());
    for (std::size_t i = 0; i < entries.size(); i += 2) {
      if (document_.kind(entries[i + 1]) == Kind::kInteger) continue;
      const std::string key(document_.text(entries[i]));
      found.push_back(storage_of(arguments_of(entries[i + 1], key)[0], key));
    }
    return found;
  }

 private:
  std::span<const ValueId> arguments_of(ValueId id, const std::string& key) const {
    if (document_.kind(id) != Kind::kObject) document_.refuse(id, key, "a tensor or an integer");
    const auto& object = document_.object(id);
    const auto arguments = document_.items(object.arguments);
    if (document_.kind(object.callable) != Kind::kGlobal ||
        document_.global(object.callable) != kRebuild || arguments.size() < 4)
      document_.refuse(id, key, "a tensor");
    return arguments;
  }

  Storage storage_of(ValueId id, const std::string& key) const {
    const auto storage = document_.items(document_.persistent(id));
    if (storage.size() < 5) document_.refuse(id, key, "a storage");
    const std::string_view type = document_.global(storage[1]);
    for (const StorageType& known : kStorages)
      if (known.name == type) return {std::string(document_.text(storage[2])), known.dtype};
    document_.refuse(storage[1], key, "the type of a storage");
  }

  Tensor value_of(ValueId id, const std::string& key) const {
    if (document_.kind(id) == Kind::kInteger) {
      Tensor number({}, Dtype::kI64);
      number.as<std::int64_t>()[0] = document_.integer(id);
      return number;
    }
    return tensor_of(arguments_of(id, key), key);
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
    const Storage storage = storage_of(arguments[0], key);
    Shape shape;
    for (const ValueId id : document_.items(arguments[2])) shape.push_back(extent(id, key));
    const Shape strides = strides_of(arguments[3], shape, key);
    const auto size = static_cast<std::uint64_t>(numeric::bits_of(storage.dtype)) / 8;
    const std::uint64_t bytes = tensor::byte_size(shape, storage.dtype, subject);
    const auto data = file_.bytes(storage, subject);
    // The last element's place, below 2^127: extents and strides are below 2^40, and few.
    unsigned __int128 end = bytes == 0 ? 0 : static_cast<std::uint64_t>(extent(arguments[1], key));
    for (std::size_t d = 0; bytes > 0 && d < shape.size(); ++d)
      end +=
          static_cast<unsigned __int128>(shape[d] - 1) * static_cast<unsigned __int128>(strides[d]);
    // Nothing is spread out: what a tensor holds, its storage does.
    if (data.size() < bytes || (bytes > 0 && end >= data.size() / size))
      fail(ErrorKind::kInput, subject,
           "{} with strides {} from element {} of a storage of {} bytes; expected it to fit",
           tensor::to_string(shape), tensor::to_string(strides), document_.integer(arguments[1]),
           data.size());
    Tensor out(std::move(shape), storage.dtype);
    if (bytes > 0)
      gather(data.data() + static_cast<std::uint64_t>(document_.integer(arguments[1])) * size,
             strides, size, out);
    return out;
  }

  Shape strides_of(ValueId id, const Shape& shape, const std::string& key) const {
    Shape strides;
    for (const ValueId stride : document_.items(id)) strides.push_back(extent(stride, key));
    if (strides.size() != shape.size() || shape.size() > kMostDimensions)
      fail(ErrorKind::kInput, subject_ + ": " + key,
           "strides {} of shape {}; expected one for "
           "each of at most {} dimensions",
           tensor::to_string(strides), tensor::to_string(shape), kMostDimensions);
    return strides;
  }

  // Elements in the order of the shape, which need not be the storage's: factors are saved
  // transposed.
  static void gather(const char* from, const Shape& strides, std::uint64_t size, Tensor& out) {
    const Shape& shape = out.shape();
    Shape at(shape.size(), 0);
    char* to = reinterpret_cast<char*>(out.data());
    std::uint64_t place = 0;
    for (std::int64_t i = 0; i < out.elements(); ++i, to += size) {
      std::memcpy(to, from + place * size, static_cast<std::size_t>(size));
      for (std::size_t d = shape.size(); d > 0; --d) {
        place += static_cast<std::uint64_t>(strides[d - 1]);
        if (++at[d - 1] < shape[d - 1]) break;
        place -= static_cast<std::uint64_t>(strides[d - 1] * shape[d - 1]);
        at[d - 1] = 0;
      }
    }
  }

  const File& file_;
  std::string subject_;
  std::vector<std::string_view> names_;
  Document document_;
};

// Members data.pkl and data/KEY of a zip file.
class ZipFile {
 public:
  ZipFile(std::string_view zip, const std::string& subject)
      : zip_(zip),
        prefix_(prefix_of(zip, subject)),
        pickle_(read_zip_member(zip, prefix_ + "data.pkl", subject)) {}

  std::string_view pickle() const { return pickle_; }
  std::string bytes(const Storage& storage, const std::string& subject) const {
    return read_zip_member(zip_, prefix_ + "data/" + storage.key, subject);
  }

 private:
  std::string_view zip_;
  std::string prefix_;
  std::string pickle_;
};

// What torch.save wrote before it wrote zip files: pickles of a magic number, a version (1001), the
// machine's sizes, the dict and the keys of its storages; then each storage, its number of elements
// (I64) before its bytes.
constexpr std::string_view kPlainMagic("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8P\x19.", 15);

class PlainFile {
 public:
  PlainFile(std::string_view file, const std::string& subject) : file_(file), subject_(subject) {
    std::size_t at = kPlainMagic.size();
    const Document version = next(at);
    if (version.kind(version.root()) != Kind::kInteger || version.integer(version.root()) != 1001)
      version.refuse(version.root(), "the version", "1001");
    const Document machine = next(at);
    if (const auto little = machine.find(machine.root(), "little_endian");
        !little || !machine.boolean(*little))
      fail(ErrorKind::kUnsupported, subject, "not written on a little-endian machine; expected it");
    begin_ = at;
  }

  std::string_view pickle() const { return file_.substr(begin_); }

  // Finds the storages behind the dict, which ends at `end` of pickle().
  void locate(std::size_t end, const std::vector<Storage>& storages) {
    std::size_t at = begin_ + end;
    const Document keys = next(at);
    for (const ValueId id : keys.items(keys.root())) {
      const std::string key(keys.text(id));
      const auto storage = std::find_if(storages.begin(), storages.end(),
                                        [&](const Storage& known) { return known.key == key; });
      if (storage == storages.end())
        fail(ErrorKind::kInput, subject_, "storage {} of no tensor; expected one", key);
      const auto size = static_cast<std::uint64_t>(numeric::bits_of(storage->dtype)) / 8;
      std::uint64_t elements = 0;
      if (file_.size() - at < sizeof(elements)) refuse_end(key, at);
      std::memcpy(&elements, file_.data() + at, sizeof(elements));
      at += sizeof(elements);
      if (elements > (file_.size() - at) / size) refuse_end(key, at);
      const auto bytes = static_cast<std::size_t>(elements * size);
      places_[key] = file_.substr(at, bytes);
      at += bytes;
    }
  }

  std::string_view bytes(const Storage& storage, const std::string& subject) const {
    const auto found = places_.find(storage.key);
    if (found == places_.end())
      fail(ErrorKind::kInput, subject, "storage {} is not in the file; expected it", storage.key);
    return found->second;
  }

 private:
  Document next(std::size_t& at) const {
    Document document = pickle::read(file_.substr(at), {{}, false}, subject_);
    at += document.end();
    return document;
  }

  [[noreturn]] void refuse_end(const std::string& key, std::size_t at) const {
    fail(ErrorKind::kInput, subject_, "ends in storage {}, {} bytes from byte {}; expected more",
         key, file_.size() - at, at);
  }

  std::string_view file_;
  std::string subject_;
  std::size_t begin_ = 0;
  std::map<std::string, std::string_view, std::less<>> places_;
};

}  // namespace

TorchEntries read_torch_dict(std::string_view bytes, const std::string& subject) {
  if (bytes.starts_with("PK\x03\x04")) {
    const ZipFile file(bytes, subject);
    return TorchDict(file, subject).read();
  }
  if (!bytes.starts_with(kPlainMagic))
    fail(ErrorKind::kInput, subject,
         "begins neither as a zip file nor with torch's magic number; "
         "expected what torch.save writes");
  PlainFile file(bytes, subject);
  const TorchDict dict(file, subject);
  file.locate(dict.document().end(), dict.storages());
  return dict.read();
}

}  // namespace whit::formats
