#include "pipeline/lean.h"

#include <algorithm>

#include "base/error.h"
#include "quant/shrink.h"

namespace whit::pipeline {

namespace {

// Tokens of the layer's a column: a Gram needs few, the pull, which is small beside the noise in
// it, many.
constexpr std::int64_t kGramWidths = 1;
constexpr std::int64_t kTaughtWidths = 16;

stats::Gram leaning(compute::Backend& backend, const stats::Gram& own, const stats::Gram& layer,
                    std::int64_t count) {
  if (count > 0 && layer.tokens() > 0) return quant::shrink_gram(backend, own, layer, count);
  stats::Gram copy(backend, own.width());
  copy.merge(own);
  copy.freeze();
  return copy;
}

}  // namespace

Lean usual_lean(const Sums& own, bool lean) {
  const std::int64_t width = own.gram.width();
  Lean result{quant::shrink_count(own.gram.tokens(), width), 0};
  if (lean) result.gram = std::max(result.gram, kGramWidths * width);
  if (own.input) result.taught = lean ? kTaughtWidths * width : result.gram;
  return result;
}

Sums lean_on(compute::Backend& backend, const Sums& own, const Sums& layer, const Lean& lean) {
  Sums sums{leaning(backend, own.gram, layer.gram, lean.gram), {}, {}, {}};
  if (!own.input) return sums;
  base::check(layer.input.has_value(), "lean_on: one teacher for both");
  base::check(!own.residual, "lean_on: no expert corrects the residual stream");
  const std::int64_t taught = layer.input->tokens() > 0 ? lean.taught : 0;
  sums.input.emplace(quant::shrink_cross(backend, *own.input, *layer.input, taught));
  if (own.taught_gram || taught != lean.gram)
    sums.taught_gram.emplace(leaning(backend, own.taught(), layer.taught(), taught));
  return sums;
}

}  // namespace whit::pipeline
