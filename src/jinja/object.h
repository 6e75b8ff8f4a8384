#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace whit::jinja {

class Interpreter;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // Takes the named argument out; Missing where there is none.
  Value take(std::string_view name);
};

// Everything that is no plain data: iterators, functions, namespaces, loops.
class Object : public std::enable_shared_from_this<Object> {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const = 0;  // Python's
  virtual std::string repr(Interpreter&) const;
  virtual int depth() const { return 1; }
  virtual bool is_callable() const { return false; }
  virtual Value call(Interpreter& interpreter, Arguments arguments);
  // Missing where there is no such attribute.
  virtual Value attribute(Interpreter&, std::string_view) { return {}; }
  // Lets go of what may lead back here. Only at the end of a rendering.
  virtual void drop() {}
  // nullopt where the object has no length.
  virtual std::optional<std::int64_t> length(Interpreter&) { return std::nullopt; }
};

// A Python iterator: each item once.
class Iterator : public Object {
 public:
  // Missing at the end.
  virtual Value next(Interpreter& interpreter) = 0;
  std::string_view type_name() const override { return "generator"; }
};

class Namespace final : public Object {
 public:
  Dict attributes;

  std::string_view type_name() const override { return "TemplateNamespace"; }
  void drop() override { attributes = Dict(); }
  std::string repr(Interpreter& interpreter) const override;
  Value attribute(Interpreter&, std::string_view name) override;
};

class Range final : public Object {
 public:
  Range(Int from, Int to, Int by) : start(from), stop(to), step(by) {}
  const Int start, stop, step;

  Int size() const;
  std::string_view type_name() const override { return "range"; }
  std::string repr(Interpreter&) const override;
  std::optional<std::int64_t> length(Interpreter&) override;
};

// dict.keys(), .values(), .items().
class DictView final : public Object {
 public:
  enum class Part { kKeys, kValues, kItems };
  DictView(std::shared_ptr<const Dict> of, Part which) : dict(std::move(of)), part(which) {}
  const std::shared_ptr<const Dict> dict;
  const Part part;

  std::string_view type_name() const override;
  std::string repr(Interpreter& interpreter) const override;
  int depth() const override { return dict->depth() + 1; }
  std::optional<std::int64_t> length(Interpreter&) override;
};

}  // namespace whit::jinja
