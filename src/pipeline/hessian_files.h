#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "compute/backend.h"
#include "model/spec.h"
#include "stats/cross_gram.h"
#include "stats/statistic.h"

namespace whit::pipeline {

struct StoredHessian {
  stats::Gram gram;  // its tokens stand for nothing
  std::int64_t tokens = 0;
};

// VPTQ's key of a hidden state, "qkv", "o", "up" or "down"; "" where VPTQ has none.
std::string_view hessian_key(stats::Site site);

// Folders of VPTQ's files, one for Hessians and perhaps one for the factors of their inverses, with
// the same names: LAYER_KEY.pt, or MODULE.pt, which comes first.
class HessianFolder {
 public:
  HessianFolder(compute::Backend& backend, std::filesystem::path hessians,
                std::filesystem::path inverses)
      : backend_(backend), hessians_(std::move(hessians)), inverses_(std::move(inverses)) {}

  // The Hessian of what a linear reads, valid until the next call; one that the last linear read
  // too is not read again. A dict of flatH (the covariance's lower triangle row by row), mu, n and
  // ct; the mean is added back. A factor (invH, perm) follows from the Hessian, and is not used: it
  // is held against it, so that files of another model or layer are noticed. Errors: kInput where
  // no file is there, or one of another width, broken, not finite, not positive definite with a
  // hundredth of its mean diagonal added, or a factor of another Hessian.
  const StoredHessian& of(const model::LinearSpec& linear);

 private:
  compute::Backend& backend_;
  std::filesystem::path hessians_, inverses_;
  std::filesystem::path last_;
  std::optional<StoredHessian> read_;
};

// A file of VPTQ's collector: the covariance of `gram`'s tokens and their mean. ones: the sum of
// 1 xᵀ over the same tokens, [1,K]. Errors: kInput where a sum is not finite; kResource.
void write_hessian(compute::Backend& backend, const stats::Gram& gram, const stats::CrossGram& ones,
                   const std::filesystem::path& file);

}  // namespace whit::pipeline
