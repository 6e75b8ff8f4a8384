#include "compute/backend.h"

#include <fmt/format.h>
#include <omp.h>

#include "compute/cpu/blas.h"
#include "compute/cpu/limits.h"
#include "compute/cpu/parts.h"
#include "compute/host/memory.h"

namespace whit::compute {

namespace {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads)
      : threads_(threads),
        linalg_(cpu::make_linalg(threads)),
        neural_(cpu::make_neural(threads)),
        codec_(cpu::make_codec(threads)),
        solve_(cpu::make_solve(threads)),
        gradient_(cpu::make_gradient(threads)),
        vectors_(cpu::make_vectors(threads)) {
    cpu::keep_blas_single_threaded();
  }
  std::string name() const override {
    return fmt::format("cpu ({}, {} thread{})", cpu::blas_name(), threads_,
                       threads_ == 1 ? "" : "s");
  }
  tensor::Device device() const override { return {}; }
  Memory& memory() override { return *memory_; }
  Linalg& linalg() override { return *linalg_; }
  Neural& neural() override { return *neural_; }
  Codec& codec() override { return *codec_; }
  Solve& solve() override { return *solve_; }
  Gradient& gradient() override { return *gradient_; }
  Vectors& vectors() override { return *vectors_; }
  Limits measure_limits() override {
    return {cpu::measure_peak_flops(threads_), cpu::measure_bandwidth(threads_)};
  }

 private:
  int threads_;
  std::unique_ptr<Memory> memory_ = host::make_memory();
  std::unique_ptr<Linalg> linalg_;
  std::unique_ptr<Neural> neural_;
  std::unique_ptr<Codec> codec_;
  std::unique_ptr<Solve> solve_;
  std::unique_ptr<Gradient> gradient_;
  std::unique_ptr<Vectors> vectors_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads) {
  return std::make_unique<CpuBackend>(threads > 0 ? threads : omp_get_num_procs());
}

}  // namespace whit::compute
