#include "model/rotary.h"

#include <algorithm>
#include <cmath>

namespace whit::model {

namespace {

// The frequencies for a sequence of `length` tokens beyond max_position (0: not beyond it).
// LongRoPE has others there, dynamic NTK stretches theta; all other scalings are in inv_freq.
std::vector<double> frequencies(const RopeSpec& spec, std::int64_t length) {
  if (length == 0) return spec.inv_freq;
  if (!spec.long_inv_freq.empty()) return spec.long_inv_freq;
  const auto dim = static_cast<double>(spec.dim);
  const double stretch =
      spec.dynamic_factor * static_cast<double>(length) / static_cast<double>(spec.max_position) -
      (spec.dynamic_factor - 1);
  const double theta = spec.theta * std::pow(stretch, dim / (dim - 2));
  std::vector<double> result(spec.inv_freq.size());
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = std::pow(theta, -2.0 * static_cast<double>(i) / dim);
  return result;
}

}  // namespace

Rotary::Rotary(const LayerRun& run, const RopeSpec& spec) : run_(&run), spec_(&spec) {
  const std::vector<std::int32_t>& positions = run.context.sequences.positions;
  if (positions.empty()) return;
  const auto [low, high] = std::minmax_element(positions.begin(), positions.end());
  first_ = *low;
  end_ = *high + 1;
  shifted_ = positions;
  for (std::int32_t& position : shifted_) position -= first_;
}

const tensor::Tensor& Rotary::table(std::int64_t length, bool back) {
  const auto found = tables_.find({length, back});
  if (found != tables_.end()) return found->second;
  const std::vector<double> inv_freq = frequencies(*spec_, length);
  const std::size_t half = inv_freq.size();
  std::vector<float> values(static_cast<std::size_t>(end_ - first_) * 2 * half);
  const auto factor = static_cast<float>(spec_->attention_factor);
  for (std::int32_t position = first_; position < end_; ++position) {
    float* row = values.data() + static_cast<std::size_t>(position - first_) * 2 * half;
    for (std::size_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position) * static_cast<float>(inv_freq[i]);
      row[i] = std::cos(angle) * factor;
      row[half + i] = (back ? -std::sin(angle) : std::sin(angle)) * factor;
    }
  }
  const tensor::Tensor host =
      tensor::make_f32({end_ - first_, static_cast<std::int64_t>(2 * half)}, values);
  return tables_
      .emplace(std::pair{length, back}, run_->context.backend.memory().upload(host.view()))
      .first->second;
}

void Rotary::rotate(const Tile& tile, tensor::MatrixView x, std::int64_t heads,
                    std::int64_t first_col, std::int64_t head_stride) {
  turn(tile, x, heads, first_col, head_stride, false);
}

void Rotary::rotate_back(const Tile& tile, tensor::MatrixView x, std::int64_t heads,
                         std::int64_t first_col, std::int64_t head_stride) {
  turn(tile, x, heads, first_col, head_stride, true);
}

void Rotary::turn(const Tile& tile, tensor::MatrixView x, std::int64_t heads,
                  std::int64_t first_col, std::int64_t head_stride, bool back) {
  if (spec_->dim == 0) return;
  compute::Neural& neural = run_->context.backend.neural();
  const std::span<const std::int32_t> rows(shifted_);
  if (!spec_->by_length()) {
    neural.rope(x, heads, first_col, head_stride, table(0, back).matrix(), spec_->interleaved,
                rows.subspan(static_cast<std::size_t>(tile.first_row),
                             static_cast<std::size_t>(tile.rows)));
    return;
  }
  for_sequences(*run_, tile, [&](std::int64_t row0, std::int64_t count, std::int64_t) {
    const auto positions = rows.subspan(static_cast<std::size_t>(tile.first_row + row0),
                                        static_cast<std::size_t>(count));
    const std::int64_t length = first_ + *std::max_element(positions.begin(), positions.end()) + 1;
    neural.rope(x.rows_of(row0, count), heads, first_col, head_stride,
                table(length > spec_->max_position ? length : 0, back).matrix(), spec_->interleaved,
                positions);
  });
}

}  // namespace whit::model
