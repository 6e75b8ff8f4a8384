#pragma once

#include "compute/backend.h"
#include "model/observer.h"
#include "pipeline/measured_maxima.h"

namespace whit::pipeline {

// The largest magnitudes of what one layer's KV cache keeps: rotated keys, and values; or the rows
// of a latent. Errors: kInput (subject: the layer) where one is not finite.
class CacheMaxima final : public model::Observer {
 public:
  explicit CacheMaxima(compute::Backend& backend) : backend_(backend) {}

  void attention(const model::LayerSpec& layer, const compute::AttentionArgs& args,
                 std::span<const std::int64_t> starts) override;
  void latent(const model::LayerSpec& layer, tensor::ConstMatrixView rows) override;

  const MeasuredMaxima::Cache& maxima() const { return maxima_; }

 private:
  void see(const model::LayerSpec& layer, const compute::HeadView& heads, std::int64_t count,
           float& most);

  compute::Backend& backend_;
  MeasuredMaxima::Cache maxima_;
};

}  // namespace whit::pipeline
