#include "compute/cuda/staging.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "compute/cpu/parallel.h"

namespace whit::compute::cuda {

namespace {

constexpr std::size_t kSlotBytes = std::size_t{16} << 20;
// Below this the driver's own way is as fast.
constexpr std::size_t kWorthStaging = std::size_t{512} << 10;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
// More threads than this do not make the memory faster.
constexpr int kMostThreads = 8;

void copy_in_parallel(const std::byte* from, std::byte* to, std::size_t bytes) {
  cpu::parallel_pieces(std::min(omp_get_max_threads(), kMostThreads),
                       static_cast<std::int64_t>(bytes), static_cast<std::int64_t>(kPieceBytes),
                       [&](std::int64_t begin, std::int64_t count) {
                         std::memcpy(to + begin, from + begin, static_cast<std::size_t>(count));
                       });
}

}  // namespace

Staging::~Staging() {
  for (const Slot& slot : slots_) {
    if (slot.memory == nullptr) continue;
    cudaEventSynchronize(slot.moved);
    cudaEventDestroy(slot.moved);
    cudaFreeHost(slot.memory);
  }
}

Staging::Slot& Staging::free_slot() {
  Slot& slot = slots_[next_];
  next_ = (next_ + 1) % slots_.size();
  if (slot.memory == nullptr) {
    void* memory = nullptr;
    check(cudaHostAlloc(&memory, kSlotBytes, cudaHostAllocDefault), "page-locked memory");
    slot.memory = static_cast<std::byte*>(memory);
    check(cudaEventCreateWithFlags(&slot.moved, cudaEventDisableTiming), "creating an event");
  } else {
    wait(slot);
  }
  return slot;
}

void Staging::upload(const std::byte* host, std::byte* device, std::size_t bytes) {
  if (bytes < kWorthStaging) {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_),
          "upload of a tensor");
    return;
  }
  for (std::size_t at = 0; at < bytes; at += kSlotBytes) {
    const std::size_t count = std::min(kSlotBytes, bytes - at);
    Slot& slot = free_slot();
    copy_in_parallel(host + at, slot.memory, count);
    check(cudaMemcpyAsync(device + at, slot.memory, count, cudaMemcpyHostToDevice, stream_),
          "upload of a tensor");
    check(cudaEventRecord(slot.moved, stream_), "recording an event");
  }
}

void Staging::download(const std::byte* device, std::byte* host, std::size_t bytes) {
  if (bytes < kWorthStaging) {
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_),
          "download of a tensor");
    check(cudaStreamSynchronize(stream_), "download of a tensor");
    return;
  }
  std::array<const Slot*, 4> filled{};
  std::size_t asked = 0;
  for (std::size_t done = 0; done < bytes; done += kSlotBytes) {
    for (; asked < bytes && asked < done + slots_.size() * kSlotBytes; asked += kSlotBytes) {
      Slot& slot = free_slot();
      check(cudaMemcpyAsync(slot.memory, device + asked, std::min(kSlotBytes, bytes - asked),
                            cudaMemcpyDeviceToHost, stream_),
            "download of a tensor");
      check(cudaEventRecord(slot.moved, stream_), "recording an event");
      filled[asked / kSlotBytes % filled.size()] = &slot;
    }
    const Slot& slot = *filled[done / kSlotBytes % filled.size()];
    wait(slot);
    copy_in_parallel(slot.memory, host + done, std::min(kSlotBytes, bytes - done));
  }
}

}  // namespace whit::compute::cuda
