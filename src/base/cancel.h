#pragma once

#include <atomic>
#include <string>

#include "base/error.h"

namespace whit::base {

// Asks a running job for an orderly stop. Safe to set from a signal handler.
class CancelToken {
 public:
  void cancel(int signal) { signal_.store(signal, std::memory_order_relaxed); }
  bool cancelled() const { return signal_.load(std::memory_order_relaxed) != 0; }
  int signal() const { return signal_.load(std::memory_order_relaxed); }
  // Errors: kInterrupted, once cancelled.
  void throw_if_cancelled() const {
    if (cancelled()) fail(ErrorKind::kInterrupted, "interrupted", "stopped by signal {}", signal());
  }

 private:
  std::atomic<int> signal_{0};
};

}  // namespace whit::base
