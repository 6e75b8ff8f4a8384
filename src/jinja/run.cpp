#include "jinja/run.h"

#include <algorithm>

#include "jinja/object.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

constexpr std::size_t kItemBytes = 64;    // of a list
constexpr std::size_t kEntryBytes = 160;  // of a dict
constexpr std::size_t kHeaderBytes = 96;

}  // namespace

void Run::fail_steps() const {
  fail("the template runs longer than {} steps; expected one that ends sooner", limits_.steps);
}

void Run::expect_room(std::size_t bytes) const {
  if (bytes > limits_.value_bytes)
    fail("a value of {} bytes; expected at most {}", bytes, limits_.value_bytes);
  if (bytes + alive_ > limits_.memory_bytes)
    fail("the template's values take more than {} bytes; expected no more", limits_.memory_bytes);
}

Charge Run::charge(std::size_t bytes) {
  expect_room(bytes);
  work(bytes);
  return {alive_, bytes + kHeaderBytes};
}

Value Run::text(std::string utf8, bool markup) {
  auto text = std::make_shared<Text>();
  text->charge = charge(utf8.size());
  text->points = count_points(utf8);
  text->bytes = std::move(utf8);
  text->markup = markup;
  return Value(std::shared_ptr<const Text>(std::move(text)));
}

Value Run::text_like(const Value& model, std::string utf8) {
  return text(std::move(utf8), model.is_text() && model.text().markup);
}

void Run::check_depth(int depth) const {
  if (depth > limits_.value_depth)
    fail("values nested deeper than {} levels; expected no more", limits_.value_depth);
}

std::shared_ptr<Sequence> Run::sequence(std::vector<Value> items) {
  auto sequence = std::make_shared<Sequence>();
  sequence->charge = charge(items.size() * kItemBytes);
  for (const auto& item : items) sequence->depth = std::max(sequence->depth, item.depth() + 1);
  check_depth(sequence->depth);
  sequence->items = std::move(items);
  return sequence;
}

Value Run::list(std::vector<Value> items) {
  return Value::list(std::shared_ptr<const Sequence>(sequence(std::move(items))));
}

Value Run::tuple(std::vector<Value> items) {
  return Value::tuple(std::shared_ptr<const Sequence>(sequence(std::move(items))));
}

Value Run::group(Value key, Value members) {
  auto pair = sequence({std::move(key), std::move(members)});
  pair->is_group = true;
  return Value::tuple(std::shared_ptr<const Sequence>(std::move(pair)));
}

Value Run::dict(Dict dict) {
  dict.hold(charge(dict.entries().size() * kEntryBytes));
  check_depth(dict.depth());
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

Value Run::object(std::shared_ptr<Object> object) {
  check_depth(object->depth());
  return Value(std::move(object));
}

}  // namespace whit::jinja
