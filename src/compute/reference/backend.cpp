#include "compute/backend.h"

#include "compute/host/memory.h"
#include "compute/reference/parts.h"

namespace whit::compute {

namespace {

class ReferenceBackend final : public Backend {
 public:
  std::string name() const override { return "reference (scalar, double precision)"; }
  tensor::Device device() const override { return {}; }
  Memory& memory() override { return *memory_; }
  Linalg& linalg() override { return *linalg_; }
  Neural& neural() override { return *neural_; }
  Codec& codec() override { return *codec_; }
  Solve& solve() override { return *solve_; }
  Gradient& gradient() override { return *gradient_; }
  Vectors& vectors() override { return *vectors_; }
  Limits measure_limits() override { return make_cpu_backend(1)->measure_limits(); }

 private:
  std::unique_ptr<Memory> memory_ = host::make_memory();
  std::unique_ptr<Linalg> linalg_ = reference::make_linalg();
  std::unique_ptr<Neural> neural_ = reference::make_neural();
  std::unique_ptr<Codec> codec_ = reference::make_codec();
  std::unique_ptr<Solve> solve_ = reference::make_solve();
  std::unique_ptr<Gradient> gradient_ = reference::make_gradient();
  std::unique_ptr<Vectors> vectors_ = reference::make_vectors();
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace whit::compute
