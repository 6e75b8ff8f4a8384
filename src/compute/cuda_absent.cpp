#include "base/error.h"
#include "compute/backend.h"

// Stands in for compute/cuda where nvcc was not found.
namespace whit::compute {

bool built_with_cuda() {
  return false;
}

std::vector<std::string> cuda_devices() {
  return {};
}

std::unique_ptr<Backend> make_cuda_backend(int /*ordinal*/, Precision /*precision*/) {
  base::fail(base::ErrorKind::kUnsupported, "--device",
             "cuda; this whit was built without CUDA, expected auto or cpu");
}

}  // namespace whit::compute
