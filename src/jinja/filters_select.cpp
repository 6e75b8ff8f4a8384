#include <algorithm>

#include "jinja/filters.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/text_ops.h"
#include "jinja/unicode.h"

namespace whit::jinja {

AttributePath::AttributePath(Interpreter& interpreter, const Value& attribute) {
  if (attribute.is_none() || attribute.is_missing()) return;
  if (!attribute.is_text()) {
    parts_.push_back(attribute);
    return;
  }
  for (const std::string_view part :
       split(interpreter, attribute.bytes(), std::string_view("."), -1, false)) {
    const bool is_number =
        !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    parts_.push_back(is_number ? Value(*parse_int(interpreter, part, 10))
                               : interpreter.text(std::string(part)));
  }
}

Value AttributePath::get(Interpreter& interpreter, Value item, const Value& otherwise) const {
  for (const Value& part : parts_) {
    item = get_item(interpreter, item, part);
    if (item.is_undefined() && !otherwise.is_missing() && !otherwise.is_none()) item = otherwise;
  }
  return item;
}

namespace {

class Deferred final : public Iterator {
 public:
  using Make = std::vector<Value> (*)(Interpreter&, Bound&);
  Deferred(Bound& bound, Make make) : bound_(std::move(bound)), make_(make) {}

  Value next(Interpreter& interpreter) override {
    if (make_ != nullptr)
      items_ = interpreter.list(std::exchange(make_, nullptr)(interpreter, bound_));
    if (at_ == items_.items().size()) return {};
    interpreter.step();
    return items_.items()[at_++];
  }
  int depth() const override {
    int deepest = 0;
    for (const Value& value : bound_.values) deepest = std::max(deepest, value.depth());
    return deepest + 2;  // batches are lists of its items
  }

 private:
  Bound bound_;
  Make make_;
  Value items_;
  std::size_t at_ = 0;
};

}  // namespace

Value deferred(Interpreter& interpreter, Bound& bound,
               std::vector<Value> (*make)(Interpreter&, Bound&)) {
  return interpreter.object(std::make_shared<Deferred>(bound, make));
}

Value without_case(Interpreter& interpreter, const Value& value) {
  if (!value.is_text()) return value;
  return interpreter.text_like(value, lower(value.bytes()));
}

namespace {

// A generator over another's items. Nothing is read, and no argument checked, before it is asked.
class Lazy : public Iterator {
 public:
  explicit Lazy(Bound& bound) : source_(bound[0]), arguments_(std::move(bound.rest)) {}
  int depth() const override { return source_.depth() + 1; }

 protected:
  // The next item of the source; Missing at the end. A false source has none.
  Value next_item(Interpreter& interpreter) {
    if (is_ended_) return {};
    if (!iterator_) {
      if (!is_truthy(interpreter, source_)) {
        is_ended_ = true;
        return {};
      }
      prepare(interpreter);
      iterator_ = iterate(interpreter, source_);
    }
    Value item = iterator_->next(interpreter);
    is_ended_ = item.is_missing();
    return item;
  }
  virtual void prepare(Interpreter& interpreter) = 0;
  Arguments arguments_for(const Value& item, std::size_t skipped) const {
    Arguments arguments;
    arguments.positional.push_back(item);
    arguments.positional.insert(
        arguments.positional.end(),
        arguments_.positional.begin() + static_cast<std::ptrdiff_t>(skipped),
        arguments_.positional.end());
    arguments.named = arguments_.named;
    return arguments;
  }

  const Value source_;
  Arguments arguments_;

 private:
  std::shared_ptr<Iterator> iterator_;
  bool is_ended_ = false;
};

class Mapped final : public Lazy {
 public:
  using Lazy::Lazy;
  Value next(Interpreter& interpreter) override {
    Value item = next_item(interpreter);
    if (item.is_missing()) return item;
    interpreter.step();
    if (path_) return path_->get(interpreter, std::move(item), otherwise_);
    return interpreter.call_filter(name_, arguments_for(item, 1));
  }

 private:
  void prepare(Interpreter& interpreter) override {
    if (arguments_.positional.empty()) {
      const Value attribute = arguments_.take("attribute");
      if (attribute.is_missing()) interpreter.fail("map requires a filter argument");
      otherwise_ = arguments_.take("default");
      if (!arguments_.named.empty())
        interpreter.fail("Unexpected keyword argument '{}'", arguments_.named[0].first);
      path_.emplace(interpreter, attribute);
      return;
    }
    name_ = expect_text(interpreter, arguments_.positional[0], "the name of a filter");
  }

  std::optional<AttributePath> path_;
  Value otherwise_;
  std::string name_;
};

class Selected final : public Lazy {
 public:
  Selected(Bound& bound, bool keeps, bool by_attribute)
      : Lazy(bound), keeps_(keeps), by_attribute_(by_attribute) {}
  Value next(Interpreter& interpreter) override {
    while (true) {
      Value item = next_item(interpreter);
      if (item.is_missing()) return item;
      interpreter.step();
      const Value tested = path_ ? path_->get(interpreter, item) : item;
      const bool passes =
          name_ ? interpreter.call_test(*name_, arguments_for(tested, by_attribute_ ? 2 : 1))
                : is_truthy(interpreter, tested);
      if (passes == keeps_) return item;
    }
  }

 private:
  void prepare(Interpreter& interpreter) override {
    const auto& given = arguments_.positional;
    if (by_attribute_) {
      if (given.empty()) interpreter.fail("Missing parameter for attribute name");
      path_.emplace(interpreter, given[0]);
    }
    const std::size_t at = by_attribute_ ? 1 : 0;
    if (given.size() > at) name_ = expect_text(interpreter, given[at], "the name of a test");
  }

  const bool keeps_, by_attribute_;
  std::optional<AttributePath> path_;
  std::optional<std::string> name_;
};

Value map(Interpreter& interpreter, Bound& bound) {
  return interpreter.object(std::make_shared<Mapped>(bound));
}

template <bool kKeeps, bool kByAttribute>
Value select(Interpreter& interpreter, Bound& bound) {
  return interpreter.object(std::make_shared<Selected>(bound, kKeeps, kByAttribute));
}

std::vector<Value> no_items(Interpreter& interpreter, Bound&) {
  interpreter.fail("Can only get item pairs from a mapping.");
}

Value items(Interpreter& interpreter, Bound& bound) {
  if (bound[0].is_undefined()) return interpreter.object(iterate(interpreter, bound[0]));
  if (!bound[0].is(Kind::kDict)) return deferred(interpreter, bound, no_items);
  const Value view = interpreter.object(
      std::make_shared<DictView>(bound[0].shared_dict(), DictView::Part::kItems));
  return interpreter.object(iterate(interpreter, view));
}

std::vector<Value> batches(Interpreter& interpreter, Bound& bound) {
  // Python compares each row's length with whatever this is.
  const Value& wanted = bound[1];
  const Int size = wanted.is_integral() ? wanted.integer() : Int{-1};
  const Value fill = bound.has(2) ? bound[2] : Value(None{});
  std::vector<Value> rows, row;
  for (Value& item : to_items(interpreter, bound[0])) {
    if (static_cast<Int>(row.size()) == size)
      rows.push_back(interpreter.list(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    if (!fill.is_none() && static_cast<Int>(row.size()) < size) {
      interpreter.expect_room(static_cast<std::size_t>(std::min<Int>(size, Int{1} << 50)) * 64);
      row.resize(static_cast<std::size_t>(size), fill);
    }
    rows.push_back(interpreter.list(std::move(row)));
  }
  return rows;
}

Value batch(Interpreter& interpreter, Bound& bound) {
  return deferred(interpreter, bound, batches);
}

std::vector<Value> slices(Interpreter& interpreter, Bound& bound) {
  const Int count = expect_integer(interpreter, bound[1], "slices");
  const Value fill = bound.has(2) ? bound[2] : Value(None{});
  const auto all = to_items(interpreter, bound[0]);
  if (count == 0) interpreter.fail("integer division or modulo by zero");
  const Int size = static_cast<Int>(all.size());
  const Int each = size / std::max<Int>(count, 1), with_extra = size % std::max<Int>(count, 1);
  std::vector<Value> columns;
  Int begin = 0;
  for (Int k = 0; k < count; ++k) {
    interpreter.step();
    const Int end = begin + each + static_cast<Int>(k < with_extra);
    std::vector<Value> column(all.begin() + static_cast<std::ptrdiff_t>(begin),
                              all.begin() + static_cast<std::ptrdiff_t>(end));
    if (!fill.is_none() && k >= with_extra) column.push_back(fill);
    columns.push_back(interpreter.list(std::move(column)));
    begin = end;
  }
  return columns;
}

Value slice(Interpreter& interpreter, Bound& bound) {
  return deferred(interpreter, bound, slices);
}

constexpr Callable kFilters[] = {
    {"batch", "value,linecount,fill_with=", batch},
    {"items", "value", items},
    {"map", "value,*,**", map},
    {"reject", "value,*,**", select<false, false>},
    {"rejectattr", "value,*,**", select<false, true>},
    {"select", "value,*,**", select<true, false>},
    {"selectattr", "value,*,**", select<true, true>},
    {"slice", "value,slices,fill_with=", slice},
};

}  // namespace

std::span<const Callable> selecting_filters() {
  return kFilters;
}

}  // namespace whit::jinja
