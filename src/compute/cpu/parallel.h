#pragma once

#include <omp.h>

#include <cstdint>
#include <exception>
#include <vector>

namespace whit::compute::cpu {

// Calls body(i) for every i in [0, count) on up to `threads` threads. The pieces must not depend on
// each other; which thread runs which never shows in results. The first exception is passed on.
template <typename Body>
void parallel_for(int threads, std::int64_t count, const Body& body) {
  if (threads <= 1 || count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::exception_ptr error;
  const int team = static_cast<int>(count < threads ? count : threads);
#pragma omp parallel for num_threads(team) schedule(dynamic, 1) default(shared)
  for (std::int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical(whit_parallel_error)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

// Cuts [0, extent) into pieces of `size` (the last may be shorter) and calls body(begin, length).
template <typename Body>
void parallel_pieces(int threads, std::int64_t extent, std::int64_t size, const Body& body) {
  parallel_for(threads, (extent + size - 1) / size, [&](std::int64_t i) {
    const std::int64_t begin = i * size;
    body(begin, extent - begin < size ? extent - begin : size);
  });
}

// Working memory of one call, one piece a thread.
class Scratch {
 public:
  Scratch(int threads, std::int64_t floats)
      : floats_(static_cast<std::size_t>(floats)),
        pieces_(static_cast<std::size_t>(threads < 1 ? 1 : threads)) {}
  // Contents are what this thread left there.
  float* mine() {
    std::vector<float>& piece = pieces_[static_cast<std::size_t>(omp_get_thread_num())];
    if (piece.size() < floats_) piece.resize(floats_);
    return piece.data();
  }

 private:
  std::size_t floats_;
  std::vector<std::vector<float>> pieces_;
};

}  // namespace whit::compute::cpu
