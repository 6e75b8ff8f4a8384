#include "cli/signals.h"

#include <atomic>
#include <csignal>
#include <initializer_list>

namespace whit::cli {

namespace {

// A handler has no other way to reach the job.
std::atomic<base::CancelToken*> active_token{nullptr};

void on_signal(int signal) {
  if (auto* token = active_token.load(std::memory_order_relaxed)) token->cancel(signal);
}

void set_handler(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  if (handler == on_signal) action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

}  // namespace

SignalGuard::SignalGuard(base::CancelToken& token) {
  active_token = &token;
  set_handler(on_signal);
}

SignalGuard::~SignalGuard() {
  set_handler(SIG_DFL);
  active_token = nullptr;
}

}  // namespace whit::cli
