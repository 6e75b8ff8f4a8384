#include "compute/cpu/limits.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "compute/cpu/blas.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/vector.h"

namespace whit::compute::cpu {

namespace {

constexpr int kRepeats = 5;

template <typename Work>
double least_seconds(const Work& work) {
  double least = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    least = i == 0 ? seconds : std::min(least, seconds);
  }
  return least;
}

}  // namespace

double measure_peak_flops(int threads) {
  constexpr std::int64_t kSize = 1024;
  constexpr std::int64_t kCount = 4;  // products a thread
  keep_blas_single_threaded();
  const std::vector<float> a(kSize * kSize, 0.5F);
  const std::vector<float> b(kSize * kSize, 0.25F);
  std::vector<std::vector<float>> c(static_cast<std::size_t>(threads),
                                    std::vector<float>(kSize * kSize));
  const double seconds = least_seconds([&] {
    parallel_for(threads, threads, [&](std::int64_t t) {
      for (std::int64_t i = 0; i < kCount; ++i)
        gemm_tile(kSize, kSize, kSize, 1.0F, {a.data(), kSize}, Transpose::kNo, {b.data(), kSize},
                  Transpose::kNo, 0.0F, {c[static_cast<std::size_t>(t)].data(), kSize});
    });
  });
  return 2.0 * kSize * kSize * kSize * kCount * threads / seconds;
}

double measure_bandwidth(int threads) {
  constexpr std::int64_t kCount = 16 << 20;
  constexpr std::int64_t kPiece = 1 << 16;
  std::vector<float> a(kCount);
  const std::vector<float> b(kCount, 1.0F);
  const std::vector<float> c(kCount, 2.0F);
  const double seconds = least_seconds([&] {
    parallel_pieces(threads, kCount, kPiece, [&](std::int64_t begin, std::int64_t count) {
      triad(b.data() + begin, 3.0F, c.data() + begin, a.data() + begin, count);
    });
  });
  return 3.0 * sizeof(float) * kCount / seconds;
}

}  // namespace whit::compute::cpu
