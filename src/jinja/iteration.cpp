#include <algorithm>

#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

// Items by their place: of a list, tuple, range or dict, forwards or backwards.
class Indexed final : public Iterator {
 public:
  Indexed(Value source, std::int64_t size, bool is_reversed)
      : source_(std::move(source)), size_(size), is_reversed_(is_reversed) {}

  Value next(Interpreter& interpreter) override {
    if (at_ >= size_) return {};
    interpreter.step();
    const std::int64_t index = is_reversed_ ? size_ - 1 - at_ : at_;
    ++at_;
    return item(interpreter, static_cast<std::size_t>(index));
  }
  std::string_view type_name() const override {
    return is_reversed_ ? "list_reverseiterator" : "list_iterator";
  }
  int depth() const override { return source_.depth() + 1; }

 private:
  Value item(Interpreter& interpreter, std::size_t index) const {
    if (source_.is_sequence()) return source_.items()[index];
    if (source_.is(Kind::kDict)) return source_.dict().entries()[index].first;
    if (const auto* range = source_.object_as<Range>())
      return Value(range->start + static_cast<Int>(index) * range->step);
    const auto* view = source_.object_as<DictView>();
    const auto& [key, value] = view->dict->entries()[index];
    if (view->part == DictView::Part::kItems) return interpreter.tuple({key, value});
    return view->part == DictView::Part::kKeys ? key : value;
  }

  const Value source_;
  const std::int64_t size_;
  const bool is_reversed_;
  std::int64_t at_ = 0;
};

class Characters final : public Iterator {
 public:
  explicit Characters(Value text) : text_(std::move(text)) {}
  Value next(Interpreter& interpreter) override {
    const auto& bytes = text_.bytes();
    if (at_ >= bytes.size()) return {};
    interpreter.step();
    const std::size_t begin = at_;
    next_point(bytes, at_);
    return interpreter.text(bytes.substr(begin, at_ - begin));
  }
  std::string_view type_name() const override { return "str_iterator"; }

 private:
  const Value text_;
  std::size_t at_ = 0;
};

bool is_indexed(const Value& value) {
  return value.is_sequence() || value.is(Kind::kDict) || value.object_as<Range>() != nullptr ||
         value.object_as<DictView>() != nullptr;
}

}  // namespace

Int Range::size() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

std::string Range::repr(Interpreter&) const {
  const std::string bounds = int_text(start) + ", " + int_text(stop);
  return step == 1 ? "range(" + bounds + ")" : "range(" + bounds + ", " + int_text(step) + ")";
}

std::optional<std::int64_t> Range::length(Interpreter&) {
  return static_cast<std::int64_t>(size());
}

std::string_view DictView::type_name() const {
  return part == Part::kKeys ? "dict_keys" : part == Part::kValues ? "dict_values" : "dict_items";
}

std::string DictView::repr(Interpreter& interpreter) const {
  std::vector<Value> items;
  for (const auto& [key, value] : dict->entries())
    items.push_back(part == Part::kKeys     ? key
                    : part == Part::kValues ? value
                                            : interpreter.tuple({key, value}));
  return std::string(type_name()) + "(" + to_repr(interpreter, interpreter.list(std::move(items))) +
         ")";
}

std::optional<std::int64_t> DictView::length(Interpreter&) {
  return static_cast<std::int64_t>(dict->entries().size());
}

std::optional<std::int64_t> length_of(Interpreter& interpreter, const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_text()) return value.text().points;
  if (value.is_sequence()) return static_cast<std::int64_t>(value.items().size());
  if (value.is(Kind::kDict)) return static_cast<std::int64_t>(value.dict().entries().size());
  return value.is(Kind::kObject) ? value.object()->length(interpreter) : std::nullopt;
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_text() || is_indexed(value) ||
         value.object_as<Iterator>() != nullptr;
}

std::shared_ptr<Iterator> iterate(Interpreter& interpreter, const Value& value) {
  if (value.is_text()) return std::make_shared<Characters>(value);
  if (value.is_undefined()) return std::make_shared<Indexed>(Value(), 0, false);
  if (is_indexed(value))
    return std::make_shared<Indexed>(value, *length_of(interpreter, value), false);
  if (value.object_as<Iterator>() != nullptr)
    return std::static_pointer_cast<Iterator>(value.object());
  interpreter.fail("'{}' object is not iterable", type_name(value));
}

std::shared_ptr<Iterator> iterate_reversed(Interpreter& interpreter, const Value& value) {
  if (value.is_undefined()) return std::make_shared<Indexed>(Value(), 0, false);
  if (is_indexed(value))
    return std::make_shared<Indexed>(value, *length_of(interpreter, value), true);
  if (!value.is_text()) return nullptr;
  std::vector<Value> characters = to_items(interpreter, value);
  const auto size = static_cast<std::int64_t>(characters.size());
  return std::make_shared<Indexed>(interpreter.list(std::move(characters)), size, true);
}

std::vector<Value> to_items(Interpreter& interpreter, const Value& value) {
  if (value.is_sequence()) {
    interpreter.work(value.items().size() * 64);
    return value.items();
  }
  const auto iterator = iterate(interpreter, value);
  std::vector<Value> items;
  for (Value item = iterator->next(interpreter); !item.is_missing();
       item = iterator->next(interpreter)) {
    items.push_back(std::move(item));
    interpreter.expect_room(items.size() * 64);
  }
  return items;
}

}  // namespace whit::jinja
