#include "pipeline/fp8_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "pipeline/decode_on.h"
#include "pipeline/top_up.h"

namespace whit::pipeline {

using model::LinearSpec;
using model::Stage;
using stats::Site;

namespace {

// Tokens below which an expert is topped up unless the recipe says otherwise: a maximum needs far
// fewer than a Gram.
constexpr std::int64_t kLeastExpertTokens = 64;

}  // namespace

void Fp8Runner::run(std::span<Stage> stages) {
  see_mids(stages);
  for (Stage& stage : stages) {
    s_.cancel.throw_if_cancelled();
    run_one(stage);
  }
  s_.writer.exchange();
}

void Fp8Runner::see_mids(std::span<Stage> stages) {
  if (!s_.plan.bound.inputs || s_.plan.bound.inputs->dynamic) return;
  std::vector<Mid> mids;
  for (const Stage& stage : stages) {
    if (stage.site.site != Site::kExpertMid) continue;
    Pieces pieces(stage, s_.backend, false);
    mids.push_back({stage.site.expert, maximum_of(stage, pieces), 0});
  }
  if (s_.ranks.several()) {
    const auto all = s_.ranks.communicator().all_gather_v(std::as_bytes(std::span(mids)));
    mids.clear();
    for (const auto& bytes : all) {
      const std::size_t had = mids.size();
      mids.resize(had + bytes.size() / sizeof(Mid));
      std::memcpy(mids.data() + had, bytes.data(), bytes.size());
    }
    std::sort(mids.begin(), mids.end(),
              [](const Mid& a, const Mid& b) { return a.expert < b.expert; });
  }
  mids_.clear();
  for (Mid& mid : mids) {
    mid.used = mid.amax > 0 ? mid.amax : expert_mid_;
    expert_mid_ = std::max(expert_mid_, mid.amax);
    mids_[mid.expert] = mid;
  }
}

std::int64_t Fp8Runner::expert_block(const model::LayerSpec&) {
  return s_.plan.expert_block;
}

void Fp8Runner::run_one(Stage& stage) {
  const auto bytes = static_cast<std::uint64_t>(total_rows(stage) * stage.width) * sizeof(float);
  Pieces pieces(stage, s_.backend, bytes <= s_.plan.piece_cache_bytes);
  const std::optional<float> scale = input_scale_of(stage, pieces);
  std::vector<Applied> applied(stage.linears.size());
  for (std::size_t i = 0; i < applied.size(); ++i) {
    const LinearSpec& linear = *stage.linears[i];
    if (s_.plan.bound.quantizes(linear)) {
      const bool shared = s_.ranks.share(stage);
      const int root = shared ? s_.ranks.turn(i) : s_.ranks.rank();
      if (s_.ranks.rank() == root) applied[i].weight = quantize_one(stage, linear, scale);
      if (shared)
        applied[i].weight = s_.ranks.broadcast(
            root, applied[i].weight, {linear.out_features, linear.in_features}, s_.backend);
    }
    if (total_rows(stage) == 0) continue;
    if (!applied[i].weight) applied[i].weight = s_.output.linear(linear);
    applied[i].bias = s_.output.bias(linear);
  }
  apply_linears(stage, pieces, applied, s_.backend, s_.cancel);
}

float Fp8Runner::maximum_of(const Stage& stage, Pieces& pieces) {
  float most = 0;
  for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
    if (stage.piece_rows[piece] == 0) continue;
    pieces.with(piece, [&](tensor::MatrixView x) {
      const float amax = s_.backend.codec().block_maxima(x, x.rows, x.cols)[0];
      if (!std::isfinite(amax))
        base::fail(base::ErrorKind::kInput, stats::to_string(stage.site),
                   "a hidden state that is not finite; expected numbers");
      most = std::max(most, amax);
    });
  }
  return most;
}

// Nothing where activations are not static.
std::optional<float> Fp8Runner::input_scale_of(const Stage& stage, Pieces& pieces) {
  if (!s_.plan.bound.inputs || s_.plan.bound.inputs->dynamic) return std::nullopt;
  const Site site = stage.site.site;
  float amax = site == Site::kExpertIn    ? mlp_input_
               : site == Site::kExpertMid ? mids_.at(stage.site.expert).used
                                          : maximum_of(stage, pieces);
  if (s_.ranks.share(stage)) amax = s_.ranks.largest(amax);
  if (site == Site::kMlpIn) mlp_input_ = std::max(mlp_input_, amax);
  if (site == Site::kExpertMid && mids_.at(stage.site.expert).amax == 0)
    warn(
        fmt::format("{}: no calibration token reached it; its input's scale is that of the "
                    "layer's experts before it",
                    stats::to_string(stage.site)));
  if (amax == 0) {
    if (!s_.ranks.share(stage) || s_.ranks.is_root())
      warn(fmt::format("{}: zero for every calibration token; its scale is 1",
                       stats::to_string(stage.site)));
    return 1.0F;
  }
  return s_.quantizer.input_scale(amax);
}

model::WeightHandle Fp8Runner::quantize_one(const Stage& stage, const LinearSpec& linear,
                                            std::optional<float> input_scale) {
  const auto start = std::chrono::steady_clock::now();
  scheme::QuantizedWeight weight = s_.quantizer.quantize(s_.layer, linear);
  WeightRecord record;
  record.name = linear.module;
  record.method = name_of(Method::kFp8);
  const std::int64_t tokens = stage.strands > 0 ? s_.plan.tokens : total_rows(stage);
  record.tokens = tokens;
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  s_.events.emit({"weight",
                  {{"name", record.name},
                   {"method", record.method},
                   {"tokens", record.tokens},
                   {"seconds", record.seconds}}});
  records_.push_back(std::move(record));
  model::WeightHandle decoded;
  if (tokens > 0) decoded = std::make_shared<const tensor::Tensor>(decode_on(s_.backend, weight));
  s_.writer.packed(linear, std::move(weight), input_scale);
  return decoded;
}

std::vector<std::int32_t> Fp8Runner::extra_rows(const model::LayerSpec& layer, int expert,
                                                std::span<const std::int32_t> routed,
                                                std::span<const float> scores) {
  const auto& moe = std::get<model::MoeSpec>(layer.mlp);
  const auto& spec = moe.experts[static_cast<std::size_t>(expert)];
  if (!s_.plan.bound.quantizes(spec.down)) return {};
  const std::int64_t stated = s_.plan.bound.recipe.min_expert_tokens;
  const std::int64_t wanted = stated > 0 ? stated : kLeastExpertTokens;
  return top_up(moe, expert, routed, scores, wanted, s_.events);
}

void Fp8Runner::warn(std::string text) {
  s_.events.emit({"warning", {{"text", text}}});
  warnings_.push_back(std::move(text));
}

}  // namespace whit::pipeline
