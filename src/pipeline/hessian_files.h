#pragma once

#include <filesystem>

#include "compute/backend.h"
#include "model/spec.h"
#include "stats/statistic.h"

namespace whit::pipeline {

struct StoredHessian {
  stats::Gram gram;  // its tokens stand for nothing
  std::int64_t tokens = 0;
};

// VPTQ's Hessian of what a linear reads: LAYER_KEY.pt with KEY qkv, o, up or down, or MODULE.pt, in
// `folder`; a dict of flatH (the covariance's lower triangle row by row), mu, n and ct. The mean is
// added back. Errors: kInput where no file is there, or one of another width, broken or not finite.
StoredHessian read_hessian(compute::Backend& backend, const std::filesystem::path& folder,
                           const model::LinearSpec& linear);

}  // namespace whit::pipeline
