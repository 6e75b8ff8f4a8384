#include <algorithm>

#include "jinja/filters.h"
#include "jinja/interpreter.h"
#include "jinja/operations.h"
#include "jinja/text_ops.h"

namespace whit::jinja {

namespace {

Value first(Interpreter& interpreter, Bound& bound) {
  Value item = iterate(interpreter, bound[0])->next(interpreter);
  return item.is_missing() ? Value::undefined("No first item, sequence was empty.") : item;
}

Value last(Interpreter& interpreter, Bound& bound) {
  const auto reversed = iterate_reversed(interpreter, bound[0]);
  if (!reversed) interpreter.fail("'{}' object is not reversible", type_name(bound[0]));
  Value item = reversed->next(interpreter);
  return item.is_missing() ? Value::undefined("No last item, sequence was empty.") : item;
}

Value length(Interpreter& interpreter, Bound& bound) {
  const auto size = length_of(interpreter, bound[0]);
  if (!size) interpreter.fail("object of type '{}' has no len()", type_name(bound[0]));
  return Value(*size);
}

Value list_filter(Interpreter& interpreter, Bound& bound) {
  return interpreter.list(to_items(interpreter, bound[0]));
}

Value reverse(Interpreter& interpreter, Bound& bound) {
  if (bound[0].is_text()) return get_slice(interpreter, bound[0], {}, {}, Value(-1));
  if (const auto reversed = iterate_reversed(interpreter, bound[0]))
    return interpreter.object(reversed);
  if (!is_iterable(bound[0])) interpreter.fail("argument must be iterable");
  auto items = to_items(interpreter, bound[0]);
  std::reverse(items.begin(), items.end());
  return interpreter.list(std::move(items));
}

Value join(Interpreter& interpreter, Bound& bound) {
  auto items = to_items(interpreter, bound[0]);
  if (bound.has(2) && !bound[2].is_none()) {
    const AttributePath path(interpreter, bound[2]);
    for (auto& item : items) item = path.get(interpreter, item);
  }
  const Value separator = bound.has(1) ? bound[1] : interpreter.text("");
  const auto is_markup = [](const Value& value) { return value.is_text() && value.text().markup; };
  const bool escapes = interpreter.autoescape() &&
                       (is_markup(separator) || std::any_of(items.begin(), items.end(), is_markup));
  const auto part = [&](const Value& value) {
    return escapes ? escape(interpreter, value) : to_str(interpreter, value);
  };
  const std::string between = part(separator);
  std::string out;
  for (std::size_t k = 0; k < items.size(); ++k) {
    if (k > 0) out += between;
    out += part(items[k]);
    interpreter.work(out.size() / 64 + 64);
    interpreter.expect_room(out.size());
  }
  return interpreter.text(std::move(out), escapes);
}

// The keys by which items are ordered: of `attribute` "a,b", the list of both.
std::vector<Value> sort_keys(Interpreter& interpreter, const std::vector<Value>& items,
                             const Value& attribute, bool with_case) {
  std::vector<AttributePath> paths;
  if (attribute.is_text())
    for (const std::string_view part :
         split(interpreter, attribute.bytes(), std::string_view(","), -1, false))
      paths.emplace_back(interpreter, interpreter.text(std::string(part)));
  else
    paths.emplace_back(interpreter, attribute);
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> key;
    for (const auto& path : paths) {
      Value part = path.get(interpreter, item);
      key.push_back(with_case ? part : without_case(interpreter, part));
    }
    keys.push_back(interpreter.list(std::move(key)));
  }
  return keys;
}

// Python's sorted(): stable, also in reverse.
std::vector<Value> sorted(Interpreter& interpreter, const std::vector<Value>& items,
                          const std::vector<Value>& keys, bool is_reversed) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t k = 0; k < order.size(); ++k) order[k] = k;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return is_reversed ? compare(interpreter, "<", keys[b], keys[a])
                       : compare(interpreter, "<", keys[a], keys[b]);
  });
  std::vector<Value> out;
  for (const std::size_t k : order) out.push_back(items[k]);
  return out;
}

Value sort(Interpreter& interpreter, Bound& bound) {
  const auto items = to_items(interpreter, bound[0]);
  const Value attribute = bound.has(3) ? bound[3] : Value(None{});
  const auto keys = sort_keys(interpreter, items, attribute, flag(interpreter, bound, 2, false));
  return interpreter.list(sorted(interpreter, items, keys, flag(interpreter, bound, 1, false)));
}

Value dictsort(Interpreter& interpreter, Bound& bound) {
  const std::string by = bound.has(2) ? expect_text(interpreter, bound[2], "by") : "key";
  if (by != "key" && by != "value")
    interpreter.fail("You can only sort by either \"key\" or \"value\"");
  if (bound[0].is_undefined()) interpreter.fail("{}", bound[0].undefined_message());
  if (!bound[0].is(Kind::kDict))
    interpreter.fail("'{}' object has no attribute 'items'", type_name(bound[0]));
  const bool with_case = flag(interpreter, bound, 1, false);
  std::vector<Value> pairs, keys;
  for (const auto& [key, value] : bound[0].dict().entries()) {
    pairs.push_back(interpreter.tuple({key, value}));
    const Value& sorted_by = by == "key" ? key : value;
    keys.push_back(with_case ? sorted_by : without_case(interpreter, sorted_by));
  }
  return interpreter.list(sorted(interpreter, pairs, keys, flag(interpreter, bound, 3, false)));
}

Value groupby(Interpreter& interpreter, Bound& bound) {
  const AttributePath path(interpreter, bound[1]);
  const Value otherwise = bound.has(2) ? bound[2] : Value();
  const bool with_case = flag(interpreter, bound, 3, false);
  const auto key_of = [&](const Value& item) {
    const Value key = path.get(interpreter, item, otherwise);
    return with_case ? key : without_case(interpreter, key);
  };
  const auto items = to_items(interpreter, bound[0]);
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(key_of(item));
  const auto ordered = sorted(interpreter, items, keys, false);
  std::vector<Value> groups;
  for (std::size_t begin = 0; begin < ordered.size();) {
    const Value key = key_of(ordered[begin]);
    std::size_t end = begin + 1;
    while (end < ordered.size() && equal(interpreter, key, key_of(ordered[end]))) ++end;
    std::vector<Value> members(ordered.begin() + static_cast<std::ptrdiff_t>(begin),
                               ordered.begin() + static_cast<std::ptrdiff_t>(end));
    const Value shown = with_case ? key : path.get(interpreter, members[0], otherwise);
    groups.push_back(interpreter.group(shown, interpreter.list(std::move(members))));
    begin = end;
  }
  return interpreter.list(std::move(groups));
}

template <bool kIsMax>
Value extreme(Interpreter& interpreter, Bound& bound) {
  const bool with_case = flag(interpreter, bound, 1, false);
  const AttributePath path(interpreter, bound.has(2) ? bound[2] : Value(None{}));
  const auto key_of = [&](const Value& item) {
    const Value key = path.get(interpreter, item);
    return with_case ? key : without_case(interpreter, key);
  };
  const auto items = to_items(interpreter, bound[0]);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  std::size_t best = 0;
  for (std::size_t k = 1; k < items.size(); ++k)
    if (compare(interpreter, kIsMax ? ">" : "<", key_of(items[k]), key_of(items[best]))) best = k;
  return items[best];
}

Value sum(Interpreter& interpreter, Bound& bound) {
  Value total = bound.has(2) ? bound[2] : Value(0);
  if (total.is_text()) interpreter.fail("sum() can't sum strings [use ''.join(seq) instead]");
  const AttributePath path(interpreter, bound.has(1) ? bound[1] : Value(None{}));
  for (const Value& item : to_items(interpreter, bound[0]))
    total = binary(interpreter, "+", total, path.get(interpreter, item));
  return total;
}

std::vector<Value> unique_items(Interpreter& interpreter, Bound& bound) {
  const bool with_case = flag(interpreter, bound, 1, false);
  const AttributePath path(interpreter, bound.has(2) ? bound[2] : Value(None{}));
  Dict seen;
  std::vector<Value> kept;
  for (const Value& item : to_items(interpreter, bound[0])) {
    const Value part = path.get(interpreter, item);
    const Value key = with_case ? part : without_case(interpreter, part);
    expect_hashable(interpreter, key);
    if (seen.find(key) != nullptr) continue;
    seen.set(key, Value(None{}));
    kept.push_back(item);
  }
  return kept;
}

Value unique(Interpreter& interpreter, Bound& bound) {
  return deferred(interpreter, bound, unique_items);
}

constexpr Callable kSequenceFilters[] = {
    {"count", "/obj", length},
    {"dictsort", "value,case_sensitive=,by=,reverse=", dictsort},
    {"first", "seq", first},
    {"groupby", "value,attribute,default=,case_sensitive=", groupby},
    {"join", "value,d=,attribute=", join},
    {"last", "seq", last},
    {"length", "/obj", length},
    {"list", "value", list_filter},
    {"max", "value,case_sensitive=,attribute=", extreme<true>},
    {"min", "value,case_sensitive=,attribute=", extreme<false>},
    {"reverse", "value", reverse},
    {"sort", "value,reverse=,case_sensitive=,attribute=", sort},
    {"sum", "iterable,attribute=,start=", sum},
    {"unique", "value,case_sensitive=,attribute=", unique},
};

}  // namespace

std::span<const Callable> sequence_filters() {
  return kSequenceFilters;
}

}  // namespace whit::jinja
