#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "base/event.h"

namespace whit::cli {

enum class Verbosity { kQuiet, kNormal, kVerbose };

// Shows events on stderr: warnings and notes as lines, progress as a bar where stderr is a terminal
// and as a line every ten seconds where it is not.
class Console final : public base::EventSink {
 public:
  Console(Verbosity verbosity, bool terminal);
  ~Console() override;

  void emit(const base::Event& event) override;

 private:
  void line(const std::string& text);
  void progress(const base::Event& event);
  void clear_bar();

  std::mutex mutex_;
  Verbosity verbosity_;
  bool terminal_;
  bool bar_shown_ = false;
  std::string stage_;
  std::chrono::steady_clock::time_point stage_start_;
  std::chrono::steady_clock::time_point last_shown_;
};

}  // namespace whit::cli
