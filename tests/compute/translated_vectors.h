#pragma once

#include <vector>

#include "compute/backend.h"

// The Vectors of a Translated backend (translated.h).
namespace whit::compute::testing {

template <typename How>
class TranslatedVectors final : public Vectors {
 public:
  explicit TranslatedVectors(Backend& inner) : inner_(inner) {}
  void nearest(ConstMatrixView x, ConstMatrixView centroids, std::span<std::int32_t> labels,
               std::span<double> squares) override {
    typename How::Matrix a(inner_, x), c(inner_, centroids);
    inner_.vectors().nearest(a.view(), c.view(), labels, squares);
  }
  double assign(ConstMatrixView x, std::span<const float> weights, ConstMatrixView centroids,
                std::span<std::int32_t> labels) override {
    typename How::Matrix a(inner_, x), c(inner_, centroids);
    return inner_.vectors().assign(a.view(), weights, c.view(), labels);
  }
  std::vector<double> weighted_sums(ConstMatrixView x, std::span<const float> weights,
                                    std::span<const std::int32_t> labels,
                                    std::int64_t clusters) override {
    typename How::Matrix a(inner_, x);
    return inner_.vectors().weighted_sums(a.view(), weights, labels, clusters);
  }
  void sweep(const VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t, MatrixView indices,
             MatrixView residual_indices, MatrixView error) override {
    typename How::Matrix u(inner_, args.u), c(inner_, args.centroids), r(inner_, args.residuals),
        a(inner_, t0), b(inner_, t), i(inner_, indices), j(inner_, residual_indices),
        e(inner_, error);
    VectorSweepArgs there = args;
    there.u = u.view();
    there.centroids = c.view();
    there.residuals = r.view();
    inner_.vectors().sweep(there, a.view(), b.view(), i.view(), j.view(), e.view());
    i.back(indices);
    j.back(residual_indices);
    e.back(error);
  }

 private:
  Backend& inner_;
};

}  // namespace whit::compute::testing
