#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/charge.h"

namespace whit::jinja {

// Wide enough for every integer of 64 bits and for what a template makes of it.
using Int = __int128;

class Value;

// UTF-8. `points` is its length in code points; `markup` text is HTML-safe (markupsafe's Markup).
struct Text {
  std::string bytes;
  std::int64_t points = 0;
  bool markup = false;
  Charge charge;

  bool is_ascii() const { return points == static_cast<std::int64_t>(bytes.size()); }
};

struct Sequence {
  std::vector<Value> items;
  bool is_group = false;  // a pair of groupby: .grouper and .list
  int depth = 1;
  Charge charge;
};

class Dict;
class Object;

// What a name or an attribute gives that is not there: printable, empty, false, and an error on any
// other use, with `message`.
struct Undefinedness {
  std::string message;
};

struct Missing {};  // no value at all: an argument that was not given
struct None {};

enum class Kind {
  kMissing,
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kText,
  kList,
  kTuple,
  kDict,
  kObject
};

// A value of a template, with Python's meaning. Copies share; nothing but a namespace and the state
// of iterators can change.
class Value {
 public:
  Value() = default;
  // NOLINTBEGIN(google-explicit-constructor): what Python would take for a value is one.
  Value(None) : kind_(Kind::kNone) {}
  Value(bool value) : kind_(Kind::kBool) { scalar_.integer = value ? 1 : 0; }
  Value(int value) : Value(Int{value}) {}
  Value(std::int64_t value) : Value(Int{value}) {}
  Value(Int value) : kind_(Kind::kInt) { scalar_.integer = value; }
  Value(double value) : kind_(Kind::kFloat) { scalar_.number = value; }
  Value(std::shared_ptr<const Text> text) : kind_(Kind::kText), shared_(std::move(text)) {}
  Value(std::shared_ptr<const Dict> dict) : kind_(Kind::kDict), shared_(std::move(dict)) {}
  Value(std::shared_ptr<Object> object) : kind_(Kind::kObject), shared_(std::move(object)) {}
  Value(const char*) = delete;
  // NOLINTEND(google-explicit-constructor)
  static Value list(std::shared_ptr<const Sequence> items);
  static Value tuple(std::shared_ptr<const Sequence> items);
  static Value undefined(std::string message);

  // A text, list, tuple that is charged to nobody: constants, and what a caller passes in.
  static Value text(std::string utf8);
  static Value list(std::vector<Value> items);

  Kind kind() const { return kind_; }
  bool is(Kind kind_wanted) const { return kind_ == kind_wanted; }
  bool is_missing() const { return is(Kind::kMissing); }
  bool is_undefined() const { return is(Kind::kUndefined); }
  bool is_none() const { return is(Kind::kNone); }
  bool is_text() const { return is(Kind::kText); }
  bool is_sequence() const { return is(Kind::kList) || is(Kind::kTuple); }
  // Python's int counts bool in.
  bool is_integral() const { return is(Kind::kInt) || is(Kind::kBool); }
  bool is_number() const { return is_integral() || is(Kind::kFloat); }

  // Each of these asks for a value of its kind.
  bool boolean() const { return scalar_.integer != 0; }
  Int integer() const { return scalar_.integer; }
  double number() const {
    return is(Kind::kFloat) ? scalar_.number : static_cast<double>(scalar_.integer);
  }
  const Text& text() const { return *static_cast<const Text*>(shared_.get()); }
  const std::string& bytes() const { return text().bytes; }
  const std::vector<Value>& items() const { return sequence().items; }
  bool is_group() const { return is(Kind::kTuple) && sequence().is_group; }
  const Dict& dict() const { return *static_cast<const Dict*>(shared_.get()); }
  std::shared_ptr<const Dict> shared_dict() const {
    return std::static_pointer_cast<const Dict>(shared_);
  }
  std::shared_ptr<Object> object() const {
    return std::static_pointer_cast<Object>(std::const_pointer_cast<void>(shared_));
  }
  const std::string& undefined_message() const {
    return static_cast<const Undefinedness*>(shared_.get())->message;
  }

  // How deep lists, dicts and iterators lie within each other here; 0 for what holds nothing.
  int depth() const;
  // Python's `is`.
  bool is_same(const Value& other) const;
  template <typename T>
  T* object_as() const {
    return is(Kind::kObject) ? dynamic_cast<T*>(object().get()) : nullptr;
  }

 private:
  const Sequence& sequence() const { return *static_cast<const Sequence*>(shared_.get()); }

  union Scalar {
    Int integer;
    double number;
  };
  Kind kind_ = Kind::kMissing;
  Scalar scalar_{0};
  std::shared_ptr<const void> shared_;  // Text, Sequence, Dict, Object or Undefinedness
};

// A total order of hashable values in which equal ones (1, 1.0, True) are equivalent.
struct KeyLess {
  bool operator()(const Value& a, const Value& b) const;
};

// Entries in the order of first insertion.
class Dict {
 public:
  // The last value of a key stands, at the place of its first. Keys must be hashable.
  void set(Value key, Value value);
  void set(std::string key, Value value) { set(Value::text(std::move(key)), std::move(value)); }
  void set(const char* key, Value value) { set(std::string(key), std::move(value)); }
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  const Value* find(const std::string& key) const { return find(std::string_view(key)); }
  const Value* find(const char* key) const { return find(std::string_view(key)); }
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  int depth() const { return depth_; }
  Dict copy() const;  // charged to nobody
  void hold(Charge charge) { charge_ = std::move(charge); }

 private:
  static constexpr std::size_t kFewEntries = 8;

  std::vector<std::pair<Value, Value>> entries_;
  std::map<Value, std::size_t, KeyLess> places_;  // of more than kFewEntries entries
  int depth_ = 1;
  Charge charge_;
};

}  // namespace whit::jinja
