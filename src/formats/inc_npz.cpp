#include <algorithm>

#include "base/error.h"
#include "formats/inc_tree.h"
#include "formats/npz.h"
#include "pickle/numpy.h"
#include "pickle/writer.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using pickle::Kind;
using pickle::ValueId;

constexpr int kMaxPickleDepth = 16;
constexpr std::size_t kMaxDimensions = 8;

class Converter {
 public:
  explicit Converter(const pickle::Document& document) : document_(document) {}

  IncTree convert(ValueId id, int depth) {
    if (depth > kMaxPickleDepth)
      fail(ErrorKind::kInput, document_.subject(), "nested deeper than {} levels", kMaxPickleDepth);
    // A pickle may name one value many times; what comes of it stays in proportion to its size.
    if (++values_ > document_.end())
      fail(ErrorKind::kInput, document_.subject(), "more values than bytes; expected fewer");
    switch (document_.kind(id)) {
      case Kind::kNone:
        return {};
      case Kind::kBool:
        return {document_.boolean(id)};
      case Kind::kInteger:
        return {document_.integer(id)};
      case Kind::kFloat:
        return {document_.real(id)};
      case Kind::kText:
        return {std::string(document_.text(id))};
      case Kind::kList:
      case Kind::kTuple:
        return {list_of(document_.items(id), depth)};
      case Kind::kDict:
        return {dict_of(id, depth)};
      case Kind::kObject:
        return array_of(id, depth);
      default:
        document_.refuse(id, "a value", "a number, text, list, dict or array");
    }
  }

 private:
  IncTree::List list_of(std::span<const ValueId> items, int depth) {
    IncTree::List list;
    for (const ValueId item : items) list.push_back(convert(item, depth + 1));
    return list;
  }

  IncTree::Dict dict_of(ValueId id, int depth) {
    IncTree::Dict dict;
    const auto entries = document_.entries(id);
    for (std::size_t i = 0; i + 1 < entries.size(); i += 2) {
      const ValueId key = entries[i];
      std::string name = document_.kind(key) == Kind::kInteger
                             ? std::to_string(document_.integer(key))
                             : std::string(document_.text(key));
      dict.emplace_back(std::move(name), convert(entries[i + 1], depth + 1));
    }
    std::vector<std::string_view> names;
    for (const auto& [name, value] : dict) names.emplace_back(name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end())
      fail(ErrorKind::kInput, document_.subject(), "{:?} stands twice; expected once",
           std::string(*twice));
    return dict;
  }

  IncTree array_of(ValueId id, int depth) {
    if (!pickle::is_array(document_, id) && !pickle::is_scalar(document_, id))
      document_.refuse(id, "a value", "an array of numbers");
    const pickle::Array array = pickle::is_array(document_, id)
                                    ? pickle::read_array(document_, id)
                                    : pickle::read_scalar(document_, id);
    if (array.type.kind == 'O') {
      if (array.shape.empty()) return convert(array.objects[0], depth + 1);
      return {list_of(array.objects, depth)};
    }
    if (array.shape.size() > kMaxDimensions || (array.fortran_order && array.shape.size() > 1))
      fail(ErrorKind::kUnsupported, document_.subject(),
           "an array of {} dimensions{}; expected at most {}, C order", array.shape.size(),
           array.fortran_order ? " in Fortran order" : "", kMaxDimensions);
    values_ += array.count();
    IncArray numbers{array.shape, {}};
    for (std::uint64_t i = 0; i < array.count(); ++i) {
      const auto number = pickle::number_at(document_, array, i);
      numbers.values.push_back(
          std::visit([](auto value) { return static_cast<double>(value); }, number));
    }
    return {std::move(numbers)};
  }

  const pickle::Document& document_;
  std::uint64_t values_ = 0;
};

bool fits_float(const IncTree& tree) {
  if (const auto* array = tree.array())
    return std::all_of(array->values.begin(), array->values.end(), [](double value) {
      return static_cast<double>(static_cast<float>(value)) == value;
    });
  if (const auto* list = tree.list()) return std::all_of(list->begin(), list->end(), fits_float);
  if (const auto* dict = tree.dict())
    return std::all_of(dict->begin(), dict->end(),
                       [](const auto& entry) { return fits_float(entry.second); });
  return true;
}

bool numbered(const IncTree::Dict& dict) {
  return std::all_of(dict.begin(), dict.end(), [](const auto& entry) {
    const auto& key = entry.first;
    return !key.empty() && key.size() < 10 &&
           std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
  });
}

void write(const IncTree& tree, pickle::Writer::Float type, pickle::Writer& out) {
  if (tree.is_none()) out.none();
  if (std::holds_alternative<bool>(tree.value)) out.integer(std::get<bool>(tree.value) ? 1 : 0);
  if (const auto* number = std::get_if<std::int64_t>(&tree.value)) out.integer(*number);
  if (const auto* number = std::get_if<double>(&tree.value)) out.real(*number);
  if (tree.text() != nullptr) out.text(*tree.text());
  if (const auto* array = tree.array()) out.array(type, array->shape, array->values);
  if (const auto* list = tree.list()) {
    out.begin_list();
    for (const auto& item : *list) write(item, type, out);
    out.end_list();
  }
  if (const auto* dict = tree.dict()) {
    const bool numbers = !dict->empty() && numbered(*dict);
    out.begin_dict();
    for (const auto& [key, value] : *dict) {
      if (numbers)
        out.integer(std::stoll(key));
      else
        out.text(key);
      write(value, type, out);
    }
    out.end_dict();
  }
}

}  // namespace

IncTree parse_inc_npz(std::string_view bytes, const std::string& subject) {
  const std::string npy = read_zip_member(bytes, "arr_0.npy", subject);
  const NpyFile file = parse_npy(npy, subject);
  if (file.descr != "|O" || !file.shape.empty())
    fail(ErrorKind::kInput, subject, "arr_0 is of type {} with {} dimensions; expected one object",
         file.descr, file.shape.size());
  const auto document = pickle::read(file.data, {pickle::numpy_globals(), false}, subject);
  return Converter(document).convert(document.root(), 0);
}

std::string to_inc_npz(const IncTree& tree) {
  using Float = pickle::Writer::Float;
  pickle::Writer writer;
  writer.begin_object_array();
  write(tree, fits_float(tree) ? Float::kF32 : Float::kF64, writer);
  writer.end_object_array();
  return make_object_npz(writer.finish());
}

}  // namespace whit::formats
