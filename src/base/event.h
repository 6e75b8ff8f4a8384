#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace whit::base {

// A fact about a running job ("weight_quantized", "stage", "warning"), with named values whose
// names carry their unit. The library emits events; only cli decides where they are shown.
// Two names are known to cli: "warning" {message} and "progress" {stage, done, total, unit} with
// whole numbers done <= total; a progress bar follows them.
struct Event {
  using Value = std::variant<bool, std::int64_t, double, std::string>;
  std::string name;
  std::vector<std::pair<std::string, Value>> fields;
};

class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void emit(const Event& event) = 0;
};

// Swallows everything; for tests and for callers that do not listen.
class NullSink final : public EventSink {
 public:
  void emit(const Event&) override {}
};

}  // namespace whit::base
