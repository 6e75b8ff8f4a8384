#pragma once

#include <array>
#include <cstddef>

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// Carries bytes between the host's ordinary memory and the GPU by way of page-locked slots, which
// several threads fill and empty: a copy from ordinary memory runs at a fraction of the bus's rate.
class Staging {
 public:
  // Copies are in the order of `stream`.
  Staging(const Context& context, cudaStream_t stream) : context_(context), stream_(stream) {}
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // `host` has been read on return.
  void upload(const std::byte* host, std::byte* device, std::size_t bytes);
  // `host` is filled on return.
  void download(const std::byte* device, std::byte* host, std::size_t bytes);

 private:
  struct Slot {
    std::byte* memory = nullptr;
    cudaEvent_t moved = nullptr;  // after the last copy into or out of it
  };
  // A slot that nothing is using any more.
  Slot& free_slot();
  void wait(const Slot& slot) const { check(cudaEventSynchronize(slot.moved), "a copy"); }

  const Context& context_;
  cudaStream_t stream_;
  std::array<Slot, 4> slots_;
  std::size_t next_ = 0;
};

}  // namespace whit::compute::cuda
