#pragma once

#include <chrono>
#include <map>
#include <string>

#include "compute/backend.h"

namespace whit::report {

// What a function of a backend did altogether.
struct Metered {
  std::int64_t calls = 0;
  double flops = 0;  // as the mathematics needs them: a symmetric product counts once
  double bytes = 0;  // its matrices, each read or written once
  double seconds = 0;
};

class Meter {
 public:
  using Clock = std::chrono::steady_clock;

  // Runs `work` and waits for it.
  template <typename Work>
  auto run(compute::Backend& inner, const char* name, double flops, double bytes,
           const Work& work) {
    const Stop stop{*this, inner, name, flops, bytes, Clock::now()};
    return work();
  }
  const std::map<std::string, Metered>& functions() const { return functions_; }

 private:
  struct Stop {
    Meter& meter;
    compute::Backend& inner;
    const char* name;
    double flops, bytes;
    Clock::time_point begin;
    ~Stop();
  };

  std::map<std::string, Metered> functions_;
};

// Hands everything to `inner` and writes down in `meter` what it took. Both must outlive it.
std::unique_ptr<compute::Backend> make_metered(compute::Backend& inner, Meter& meter);

}  // namespace whit::report
