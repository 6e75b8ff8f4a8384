#include <algorithm>
#include <array>
#include <ctime>

#include "jinja/builtins.h"
#include "jinja/filters.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/text_ops.h"

namespace whit::jinja {

namespace {

Value range(Interpreter& interpreter, Bound& bound) {
  const Int first = expect_integer(interpreter, bound[0], "range's argument");
  const bool has_stop = bound.has(1);
  const Int start = has_stop ? first : Int{0};
  const Int stop = has_stop ? expect_integer(interpreter, bound[1], "range's stop") : first;
  const Int step = bound.has(2) ? expect_integer(interpreter, bound[2], "range's step") : Int{1};
  if (step == 0) interpreter.fail("range() arg 3 must not be zero");
  constexpr Int kEdge = Int{1} << 62;
  if (start > kEdge || start < -kEdge || stop > kEdge || stop < -kEdge || step > kEdge ||
      step < -kEdge)
    interpreter.refuse("a range of integers of more than 62 bits; expected smaller ones");
  auto range = std::make_shared<Range>(start, stop, step);
  if (range->size() > static_cast<Int>(interpreter.limits().range_items))
    interpreter.fail("range() of {} items; the sandbox has at most {}", int_text(range->size()),
                     interpreter.limits().range_items);
  return interpreter.object(std::move(range));
}

// dict(mapping or pairs, **named).
Dict make_dict(Interpreter& interpreter, Bound& bound) {
  Dict entries;
  if (bound.has(0) && bound[0].is(Kind::kDict)) {
    entries = Dict();
    for (const auto& [key, value] : bound[0].dict().entries()) entries.set(key, value);
  } else if (bound.has(0)) {
    for (const Value& pair : to_items(interpreter, bound[0])) {
      const auto parts = to_items(interpreter, pair);
      if (parts.size() != 2)
        interpreter.fail("dictionary update sequence element has length {}; 2 is required",
                         parts.size());
      expect_hashable(interpreter, parts[0]);
      entries.set(parts[0], parts[1]);
    }
  }
  for (auto& [name, value] : bound.rest.named)
    entries.set(interpreter.text(name), std::move(value));
  return entries;
}

Value dict(Interpreter& interpreter, Bound& bound) {
  return interpreter.dict(make_dict(interpreter, bound));
}

Value make_namespace(Interpreter& interpreter, Bound& bound) {
  auto space = std::make_shared<Namespace>();
  space->attributes = make_dict(interpreter, bound);
  for (const auto& [key, value] : space->attributes.entries())
    if (key.is_text() && key.bytes().starts_with('_'))
      interpreter.fail(
          "Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}",
          in_quotes(key.bytes()));
  space->attributes.hold(interpreter.charge(space->attributes.entries().size() * 160));
  interpreter.hold(space);
  return interpreter.object(std::move(space));
}

class Cycler final : public Object {
 public:
  explicit Cycler(Value items) : items_(std::move(items)) {}
  std::string_view type_name() const override { return "Cycler"; }
  int depth() const override { return items_.depth() + 1; }
  Value current() const { return items_.items()[at_]; }
  void advance() { at_ = (at_ + 1) % items_.items().size(); }
  void reset() { at_ = 0; }
  Value attribute(Interpreter& interpreter, std::string_view name) override;

 private:
  const Value items_;
  std::size_t at_ = 0;
};

Value cycler_next(Interpreter&, Bound& bound) {
  auto* cycler = bound[0].object_as<Cycler>();
  Value item = cycler->current();
  cycler->advance();
  return item;
}

Value cycler_reset(Interpreter&, Bound& bound) {
  bound[0].object_as<Cycler>()->reset();
  return Value(None{});
}

constexpr Callable kCyclerNext{"next", "/self", cycler_next};
constexpr Callable kCyclerReset{"reset", "/self", cycler_reset};

Value Cycler::attribute(Interpreter& interpreter, std::string_view name) {
  if (name == "current") return current();
  if (name == "items") return items_;
  if (name == "pos") return Value(static_cast<std::int64_t>(at_));
  if (name == "next") return make_function(interpreter, kCyclerNext, Value(shared_from_this()));
  if (name == "reset") return make_function(interpreter, kCyclerReset, Value(shared_from_this()));
  return {};
}

Value make_cycler(Interpreter& interpreter, Bound& bound) {
  if (bound.rest.positional.empty()) interpreter.fail("at least one item has to be provided");
  return interpreter.object(
      std::make_shared<Cycler>(interpreter.tuple(std::move(bound.rest.positional))));
}

class Joiner final : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string_view type_name() const override { return "Joiner"; }
  bool is_callable() const override { return true; }
  int depth() const override { return separator_.depth() + 1; }
  Value call(Interpreter& interpreter, Arguments) override {
    return std::exchange(is_used_, true) ? separator_ : interpreter.text("");
  }

 private:
  const Value separator_;
  bool is_used_ = false;
};

Value make_joiner(Interpreter& interpreter, Bound& bound) {
  return interpreter.object(
      std::make_shared<Joiner>(bound.has(0) ? bound[0] : interpreter.text(", ")));
}

Value lipsum(Interpreter& interpreter, Bound&) {
  interpreter.refuse("lipsum() makes random text; expected a template that renders the same twice");
}

Value raise_exception(Interpreter& interpreter, Bound& bound) {
  interpreter.fail("{}", to_str(interpreter, bound[0]));
}

// %f, %z and %Z as Python's own; the rest is the C library's.
std::string python_directives(std::string_view format) {
  std::string out;
  for (std::size_t k = 0; k < format.size(); ++k) {
    if (format[k] != '%' || k + 1 == format.size()) {
      out.push_back(format[k]);
      continue;
    }
    const char c = format[++k];
    if (c == 'f')
      out += "000000";
    else if (c != 'z' && c != 'Z')
      out += {'%', c};
  }
  return out;
}

Value strftime_now(Interpreter& interpreter, Bound& bound) {
  const std::string& format = expect_text(interpreter, bound[0], "strftime_now's format");
  if (format.find('\0') != std::string::npos) interpreter.fail("embedded null character");
  if (format.size() > 10'000)
    interpreter.fail("a format of {} bytes; expected at most 10000", format.size());
  const std::string directives = python_directives(format) + "|";  // so that nothing gives nothing
  const std::tm now = interpreter.now();
  std::string out(directives.size() * 100 + 100, '\0');
  const std::size_t size = std::strftime(out.data(), out.size(), directives.c_str(), &now);
  if (size == 0) interpreter.fail("strftime_now({}) is too long", in_quotes(format));
  out.resize(size - 1);
  return interpreter.text(std::move(out));
}

constexpr Callable kGlobals[] = {
    {"range", "/start,stop=,step=", range},
    {"dict", "/mapping=,**", dict},
    {"namespace", "/mapping=,**", make_namespace},
    {"cycler", "*", make_cycler},
    {"joiner", "sep=", make_joiner},
    {"lipsum", "*,**", lipsum},
    {"raise_exception", "message", raise_exception},
    {"strftime_now", "format", strftime_now},
};

}  // namespace

const Callable* find_global(std::string_view name) {
  const auto found = std::find_if(std::begin(kGlobals), std::end(kGlobals),
                                  [&](const Callable& global) { return global.name == name; });
  return found == std::end(kGlobals) ? nullptr : found;
}

const Callable* find_filter(std::string_view name) {
  for (const auto& filters :
       {text_filters(), value_filters(), sequence_filters(), selecting_filters()})
    for (const Callable& filter : filters)
      if (filter.name == name) return &filter;
  return nullptr;
}

}  // namespace whit::jinja
