#include "pickle/document.h"

#include <bit>

#include "base/error.h"

namespace whit::pickle {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a bool";
    case Kind::kInteger:
      return "an integer";
    case Kind::kFloat:
      return "a float";
    case Kind::kBytes:
      return "bytes";
    case Kind::kText:
      return "a text";
    case Kind::kList:
      return "a list";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kSet:
      return "a set";
    case Kind::kDict:
      return "a dict";
    case Kind::kGlobal:
      return "a global";
    case Kind::kObject:
      return "an object";
    case Kind::kPersistent:
      return "a persistent reference";
  }
  return "a value";
}

void Document::refuse(ValueId id, std::string_view what, std::string_view expected) const {
  std::string found(name_of(kind(id)));
  if (kind(id) == Kind::kGlobal) found += fmt::format(" {:?}", global(id));
  if (kind(id) == Kind::kObject && kind(object(id).callable) == Kind::kGlobal) {
    found += fmt::format(" of {:?}", global(object(id).callable));
  }
  base::fail(base::ErrorKind::kInput, subject_, "{} is {}; expected {}", what, found, expected);
}

const Document::Value& Document::of(ValueId id, Kind kind, std::string_view expected) const {
  if (values_[id].kind != kind) refuse(id, "a value", expected);
  return values_[id];
}

bool Document::boolean(ValueId id) const {
  return of(id, Kind::kBool, "a bool").payload != 0;
}

std::int64_t Document::integer(ValueId id) const {
  return std::bit_cast<std::int64_t>(of(id, Kind::kInteger, "an integer").payload);
}

double Document::real(ValueId id) const {
  return std::bit_cast<double>(of(id, Kind::kFloat, "a float").payload);
}

std::string_view Document::bytes(ValueId id) const {
  return view(of(id, Kind::kBytes, "bytes"));
}

std::string_view Document::text(ValueId id) const {
  return view(of(id, Kind::kText, "text"));
}

std::string_view Document::global(ValueId id) const {
  return globals_[of(id, Kind::kGlobal, "a global").payload];
}

std::span<const ValueId> Document::items(ValueId id) const {
  const Value& value = values_[id];
  if (value.kind != Kind::kList && value.kind != Kind::kTuple && value.kind != Kind::kSet) {
    refuse(id, "a value", "a list or tuple");
  }
  return lists_[value.payload];
}

std::span<const ValueId> Document::entries(ValueId id) const {
  return lists_[of(id, Kind::kDict, "a dict").payload];
}

const Object& Document::object(ValueId id) const {
  return objects_[of(id, Kind::kObject, "an object").payload];
}

ValueId Document::persistent(ValueId id) const {
  return static_cast<ValueId>(of(id, Kind::kPersistent, "a persistent reference").payload);
}

std::optional<ValueId> Document::find(ValueId dict, std::string_view key) const {
  const auto pairs = entries(dict);
  // The last one counts, as in a dict.
  for (std::size_t i = pairs.size(); i >= 2; i -= 2) {
    if (kind(pairs[i - 2]) == Kind::kText && text(pairs[i - 2]) == key) return pairs[i - 1];
  }
  return std::nullopt;
}

}  // namespace whit::pickle
