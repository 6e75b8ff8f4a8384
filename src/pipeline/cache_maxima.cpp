#include "pipeline/cache_maxima.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compute/host/attention_shape.h"
#include "pipeline/plan.h"

namespace whit::pipeline {

void CacheMaxima::see(const model::LayerSpec& layer, const compute::HeadView& heads,
                      std::int64_t count, float& most) {
  for (std::int64_t head = 0; head < count; ++head) {
    const tensor::ConstMatrixView rows = compute::host::head_of(heads, head);
    const float amax = backend_.codec().block_maxima(rows, rows.rows, rows.cols)[0];
    if (!std::isfinite(amax))
      base::fail(base::ErrorKind::kInput, attention_module(layer),
                 "keys or values that are not finite; expected numbers");
    most = std::max(most, amax);
  }
}

void CacheMaxima::attention(const model::LayerSpec& layer, const compute::AttentionArgs& args,
                            std::span<const std::int64_t> /*starts*/) {
  if (caches_latent(layer) || args.k.data.rows == 0) return;
  see(layer, args.k, args.kv_heads, maxima_.key);
  see(layer, args.v, args.kv_heads, maxima_.value);
}

void CacheMaxima::latent(const model::LayerSpec& layer, tensor::ConstMatrixView rows) {
  if (rows.rows == 0) return;
  see(layer, {rows, 0, 0, rows.cols}, 1, maxima_.key);
  maxima_.value = maxima_.key;
}

}  // namespace whit::pipeline
