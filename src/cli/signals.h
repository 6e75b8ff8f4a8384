#pragma once

#include "base/cancel.h"

namespace whit::cli {

// While it lives, the first SIGINT or SIGTERM asks `token` for an orderly stop and a second one
// ends the process at once.
class SignalGuard {
 public:
  explicit SignalGuard(base::CancelToken& token);
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
};

}  // namespace whit::cli
