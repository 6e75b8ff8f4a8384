#include "jinja/value.h"

#include <algorithm>

#include "jinja/number.h"
#include "jinja/object.h"
#include "jinja/utf8.h"

namespace whit::jinja {

Value Value::list(std::shared_ptr<const Sequence> items) {
  Value value;
  value.kind_ = Kind::kList;
  value.shared_ = std::move(items);
  return value;
}

Value Value::tuple(std::shared_ptr<const Sequence> items) {
  Value value = list(std::move(items));
  value.kind_ = Kind::kTuple;
  return value;
}

Value Value::undefined(std::string message) {
  Value value;
  value.kind_ = Kind::kUndefined;
  value.shared_ = std::make_shared<const Undefinedness>(Undefinedness{std::move(message)});
  return value;
}

Value Value::text(std::string utf8) {
  auto text = std::make_shared<Text>();
  text->points = count_points(utf8);
  text->bytes = std::move(utf8);
  return Value(std::shared_ptr<const Text>(std::move(text)));
}

Value Value::list(std::vector<Value> items) {
  auto sequence = std::make_shared<Sequence>();
  for (const auto& item : items) sequence->depth = std::max(sequence->depth, item.depth() + 1);
  sequence->items = std::move(items);
  return list(std::shared_ptr<const Sequence>(std::move(sequence)));
}

int Value::depth() const {
  if (is_sequence()) return sequence().depth;
  if (is(Kind::kDict)) return dict().depth();
  return is(Kind::kObject) ? object()->depth() : 0;
}

bool Value::is_same(const Value& other) const {
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case Kind::kBool:
    case Kind::kInt:
      return integer() == other.integer();
    case Kind::kFloat:
      return number() == other.number();
    case Kind::kText:
      return shared_ == other.shared_ || bytes() == other.bytes();
    default:
      return shared_ == other.shared_;
  }
}

namespace {

int key_rank(const Value& key) {
  switch (key.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return 1;
    case Kind::kText:
      return 2;
    case Kind::kTuple:
      return 3;
    case Kind::kObject:
      return 4;
    case Kind::kUndefined:
      return 5;
    default:
      return 0;
  }
}

}  // namespace

bool KeyLess::operator()(const Value& a, const Value& b) const {
  const int rank = key_rank(a);
  if (rank != key_rank(b)) return rank < key_rank(b);
  if (rank == 1) return compare_numbers(a, b) == -1;
  if (rank == 2) return a.bytes() < b.bytes();
  if (rank == 3)
    return std::lexicographical_compare(a.items().begin(), a.items().end(), b.items().begin(),
                                        b.items().end(), KeyLess());
  return rank == 4 && a.object() < b.object();
}

const Value* Dict::find(const Value& key) const {
  if (places_.empty()) {
    const KeyLess less;
    for (const auto& [name, value] : entries_)
      if (!less(name, key) && !less(key, name)) return &value;
    return nullptr;
  }
  const auto place = places_.find(key);
  return place == places_.end() ? nullptr : &entries_[place->second].second;
}

const Value* Dict::find(std::string_view key) const {
  if (!places_.empty()) return find(Value::text(std::string(key)));
  for (const auto& [name, value] : entries_)
    if (name.is_text() && name.bytes() == key) return &value;
  return nullptr;
}

Dict Dict::copy() const {
  Dict copy;
  copy.entries_ = entries_;
  copy.places_ = places_;
  copy.depth_ = depth_;
  return copy;
}

void Dict::set(Value key, Value value) {
  depth_ = std::max({depth_, key.depth() + 1, value.depth() + 1});
  if (const Value* held = find(key)) {
    const auto at = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const auto& entry) { return &entry.second == held; });
    at->second = std::move(value);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() <= kFewEntries) return;
  if (places_.empty())
    for (std::size_t k = 0; k + 1 < entries_.size(); ++k) places_.emplace(entries_[k].first, k);
  places_.emplace(entries_.back().first, entries_.size() - 1);
}

}  // namespace whit::jinja
