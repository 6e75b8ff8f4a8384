#include "model/alibi.h"

#include <algorithm>

#include "numeric/float_codec.h"

namespace whit::model {

namespace {

float bias_of(const AlibiSpec& spec, float slope, float position) {
  if (!spec.in_bf16) return slope * position * spec.scale;
  using numeric::round_to_bf16;
  return round_to_bf16(round_to_bf16(slope) * round_to_bf16(position)) * spec.scale;
}

}  // namespace

Alibi::Alibi(const LayerRun& run, const AlibiSpec& spec) {
  const std::vector<std::int32_t>& positions = run.context.sequences.positions;
  if (spec.slopes.empty() || positions.empty()) return;
  const std::int32_t length = *std::max_element(positions.begin(), positions.end()) + 1;
  std::vector<float> values;
  values.reserve(spec.slopes.size() * static_cast<std::size_t>(length));
  for (const float slope : spec.slopes)
    for (std::int32_t j = 0; j < length; ++j)
      values.push_back(bias_of(spec, slope, static_cast<float>(j)));
  const tensor::Tensor host =
      tensor::make_f32({static_cast<std::int64_t>(spec.slopes.size()), length}, values);
  table_ = run.context.backend.memory().upload(host.view());
}

tensor::ConstMatrixView Alibi::key_bias() const {
  return table_.empty() ? tensor::ConstMatrixView{} : table_.matrix();
}

}  // namespace whit::model
