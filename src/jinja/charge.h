#pragma once

#include <cstddef>
#include <utility>

namespace whit::jinja {

// Bytes that count as alive in a rendering as long as this lives. The counter outlives it.
class Charge {
 public:
  Charge() = default;
  Charge(std::size_t& counter, std::size_t bytes) : counter_(&counter), bytes_(bytes) {
    *counter_ += bytes_;
  }
  Charge(Charge&& other) noexcept
      : counter_(std::exchange(other.counter_, nullptr)), bytes_(other.bytes_) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(counter_, other.counter_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;
  ~Charge() {
    if (counter_ != nullptr) *counter_ -= bytes_;
  }

 private:
  std::size_t* counter_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace whit::jinja
