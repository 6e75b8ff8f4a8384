#include "report/peak.h"

#include <algorithm>
#include <chrono>

namespace whit::report {

double measure_gemm_peak(compute::Backend& backend) {
  constexpr std::int64_t kSize = 2048;
  constexpr int kRepeats = 4;
  auto& memory = backend.memory();
  auto a = memory.allocate({kSize, kSize}, tensor::Dtype::kF32);
  auto b = memory.allocate({kSize, kSize}, tensor::Dtype::kF32);
  auto c = memory.allocate({kSize, kSize}, tensor::Dtype::kF32);
  memory.fill(a.matrix(), 0.5F);
  memory.fill(b.matrix(), 0.25F);
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    backend.linalg().gemm(1.0F, a.matrix(), compute::Transpose::kNo, b.matrix(),
                          compute::Transpose::kYes, 0.0F, c.matrix());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * kSize * kSize * kSize / seconds.count());
  }
  return best;
}

}  // namespace whit::report
