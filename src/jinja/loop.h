#pragma once

#include <memory>
#include <optional>
#include <string>

#include "jinja/interpreter.h"

namespace whit::jinja {

// The variable `loop`.
class LoopContext final : public Object {
 public:
  // `sized` is what is iterated where its length is the loop's; `outer` the frame around the loop.
  LoopContext(std::shared_ptr<Iterator> iterator, Value sized, const Statement& statement,
              std::shared_ptr<Frame> outer, int depth0)
      : iterator_(std::move(iterator)),
        sized_(std::move(sized)),
        statement_(&statement),
        outer_(std::move(outer)),
        depth0_(depth0) {}

  Value next(Interpreter& interpreter);  // Missing at the end

  std::string_view type_name() const override { return "LoopContext"; }
  std::string repr(Interpreter& interpreter) const override;
  Value attribute(Interpreter& interpreter, std::string_view name) override;
  bool is_callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments arguments) override;
  std::optional<std::int64_t> length(Interpreter& interpreter) override;
  void drop() override;

  Value cycle(Interpreter& interpreter, const std::vector<Value>& items) const;
  bool changed(Interpreter& interpreter, std::vector<Value> values);

 private:
  const Value& peek(Interpreter& interpreter);

  std::shared_ptr<Iterator> iterator_;
  Value sized_;
  const Statement* statement_;
  std::shared_ptr<Frame> outer_;
  int depth0_;
  std::int64_t index0_ = -1;
  std::optional<std::int64_t> length_;
  Value before_, current_, after_;
  bool is_exhausted_ = false;
  std::optional<Value> last_changed_;
};

// Items of `source` that pass the test of a loop, each tested when it is asked for.
class TestedItems final : public Iterator {
 public:
  TestedItems(std::shared_ptr<Iterator> source, const Statement& statement,
              std::shared_ptr<Frame> frame)
      : source_(std::move(source)), statement_(statement), frame_(std::move(frame)) {}
  Value next(Interpreter& interpreter) override;

 private:
  std::shared_ptr<Iterator> source_;
  const Statement& statement_;
  std::shared_ptr<Frame> frame_;
};

class Macro final : public Object {
 public:
  Macro(const MacroNode& node, std::shared_ptr<Frame> outer)
      : node_(node), outer_(std::move(outer)) {}
  std::string_view type_name() const override { return "Macro"; }
  std::string repr(Interpreter& interpreter) const override;
  bool is_callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments arguments) override;
  Value attribute(Interpreter& interpreter, std::string_view name) override;

 private:
  const MacroNode& node_;
  std::shared_ptr<Frame> outer_;
};

// `self`: the template's blocks. Each is a function that gives what it renders.
class BlockTable final : public Object {
 public:
  std::string_view type_name() const override { return "TemplateReference"; }
  Value attribute(Interpreter& interpreter, std::string_view name) override;
};

class BlockFunction final : public Object {
 public:
  explicit BlockFunction(std::string name) : name_(std::move(name)) {}
  std::string_view type_name() const override { return "BlockReference"; }
  bool is_callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments arguments) override;

 private:
  std::string name_;
};

}  // namespace whit::jinja
