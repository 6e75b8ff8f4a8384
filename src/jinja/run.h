#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "jinja/limits.h"
#include "jinja/value.h"

namespace whit::jinja {

// One rendering's accounts: where it is, what it has cost, and the values it makes. Errors: kInput,
// subject = template and line.
class Run {
 public:
  Run(const Limits& limits, std::string subject) : limits_(limits), subject_(std::move(subject)) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> detail, Args&&... args) const {
    base::fail(base::ErrorKind::kInput, fmt::format("{}:{}", subject_, line_), "{}",
               fmt::format(detail, std::forward<Args>(args)...));
  }
  // Python would do it; whit does not. kUnsupported.
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> detail, Args&&... args) const {
    base::fail(base::ErrorKind::kUnsupported, fmt::format("{}:{}", subject_, line_), "{}",
               fmt::format(detail, std::forward<Args>(args)...));
  }

  const Limits& limits() const { return limits_; }
  int line() const { return line_; }
  void at_line(int line) { line_ = line; }

  void step(std::uint64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) fail_steps();
  }
  // Text or items that were read or written.
  void work(std::size_t bytes) { step(bytes / 64); }
  // Before `bytes` are allocated for one value.
  void expect_room(std::size_t bytes) const;
  Charge charge(std::size_t bytes);

  Value text(std::string utf8, bool markup = false);
  Value text_like(const Value& model, std::string utf8);  // markup where `model` is
  Value list(std::vector<Value> items);
  Value tuple(std::vector<Value> items);
  Value group(Value key, Value members);  // a pair of groupby
  Value dict(Dict dict);
  Value object(std::shared_ptr<Object> object);
  void check_depth(int depth) const;

 private:
  [[noreturn]] void fail_steps() const;
  std::shared_ptr<Sequence> sequence(std::vector<Value> items);

  const Limits limits_;
  const std::string subject_;
  int line_ = 1;
  std::uint64_t steps_ = 0;
  std::size_t alive_ = 0;
};

}  // namespace whit::jinja
