#include "pipeline/calibrating_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "quant/gptq.h"
#include "quant/shrink.h"

namespace whit::pipeline {

using model::LinearSpec;
using model::Stage;
using stats::Site;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::int64_t first_row_of(const Stage& stage, std::size_t piece) {
  return std::accumulate(stage.piece_rows.begin(),
                         stage.piece_rows.begin() + static_cast<std::ptrdiff_t>(piece),
                         std::int64_t{0});
}

std::int64_t total_rows(const Stage& stage) {
  return first_row_of(stage, stage.piece_rows.size());
}

}  // namespace

class CalibratingRunner::Pieces {
 public:
  Pieces(const Stage& stage, compute::Backend& backend, bool keep)
      : stage_(stage), backend_(backend), kept_(keep ? stage.piece_rows.size() : 0) {}

  // Calls visit(x) with the hidden state of a piece.
  template <typename Visit>
  void with(std::size_t piece, Visit visit) {
    if (!kept_.empty() && !kept_[piece].empty()) return visit(kept_[piece].matrix());
    tensor::Tensor x =
        backend_.memory().allocate({stage_.piece_rows[piece], stage_.width}, tensor::Dtype::kF32);
    stage_.produce(piece, x.matrix());
    visit(x.matrix());
    if (!kept_.empty()) kept_[piece] = std::move(x);
  }

 private:
  const Stage& stage_;
  compute::Backend& backend_;
  std::vector<tensor::Tensor> kept_;
};

void CalibratingRunner::run(std::span<Stage> stages) {
  for (Stage& stage : stages) {
    s_.cancel.throw_if_cancelled();
    run_one(stage);
  }
}

void CalibratingRunner::run_one(Stage& stage) {
  const auto bytes = static_cast<std::uint64_t>(total_rows(stage) * stage.width) * sizeof(float);
  Pieces pieces(stage, s_.backend, bytes <= s_.plan.piece_cache_bytes);
  std::vector<Applied> applied(stage.linears.size());
  quantize(stage, pieces, applied);
  for (std::size_t i = 0; i < applied.size() && total_rows(stage) > 0; ++i) {
    if (!applied[i].weight) applied[i].weight = s_.output.linear(*stage.linears[i]);
    applied[i].bias = s_.output.bias(*stage.linears[i]);
  }
  apply(stage, pieces, applied);
  if (s_.teacher != nullptr) s_.teacher->forget(stage.site);
}

std::int64_t CalibratingRunner::expert_block(const model::LayerSpec&) {
  return s_.plan.expert_block;
}

quant::TeacherPull CalibratingRunner::Observed::pull(const Refinement& refinement) const {
  return {input ? &*input : nullptr, refinement.teacher_share, residual ? &*residual : nullptr,
          refinement.teacher_share};
}

CalibratingRunner::Observed CalibratingRunner::observe(const Stage& stage, Pieces& pieces) {
  const Refinement& refinement = s_.plan.bound.recipe.refinement;
  Observed observed{stats::Gram(s_.backend, stage.width), {}, {}};
  if (s_.teacher != nullptr) {
    observed.input.emplace(s_.backend, stage.width, stage.width);
    if (refinement.residual && s_.teacher->has_residual(stage))
      observed.residual.emplace(s_.backend, s_.plan.spec.hidden, stage.width);
  }
  std::size_t first_row = 0;
  for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
    s_.cancel.throw_if_cancelled();
    const auto rows = static_cast<std::size_t>(stage.piece_rows[piece]);
    std::span<const float> weights;
    if (refinement.route_weights && !stage.row_weights.empty())
      weights = std::span(stage.row_weights).subspan(first_row, rows);
    pieces.with(piece, [&](tensor::MatrixView x) {
      observed.gram.observe(x, weights);
      if (s_.teacher != nullptr) observe_teacher(stage, piece, x, observed);
    });
    first_row += rows;
  }
  observed.gram.freeze();
  return observed;
}

void CalibratingRunner::observe_teacher(const Stage& stage, std::size_t piece, tensor::MatrixView x,
                                        Observed& observed) {
  auto difference = s_.backend.memory().allocate({x.rows, stage.width}, tensor::Dtype::kF32);
  s_.teacher->input(stage, piece, difference.matrix());
  s_.backend.linalg().scale_add(1.0F, difference.matrix(), -1.0F, x);
  observed.input->observe(difference.matrix(), x);
  if (!observed.residual) return;
  auto residual = s_.backend.memory().allocate({x.rows, s_.plan.spec.hidden}, tensor::Dtype::kF32);
  s_.teacher->residual(stage, piece, residual.matrix());
  const auto own = s_.store.lease(model::Slot::kHidden, first_row_of(stage, piece), x.rows,
                                  model::ActivationStore::Access::kRead);
  s_.backend.linalg().scale_add(1.0F, residual.matrix(), -1.0F, own->view());
  observed.residual->observe(residual.matrix(), x);
}

void CalibratingRunner::quantize(const Stage& stage, Pieces& pieces,
                                 std::vector<Applied>& applied) {
  const bool layer_input = stage.site.site == Site::kMlpIn && s_.plan.has_experts(stage.site.layer);
  const auto wanted = [&](const LinearSpec* linear) { return s_.plan.bound.quantizes(*linear); };
  const auto count = std::count_if(stage.linears.begin(), stage.linears.end(), wanted);
  if (count == 0 && !layer_input) return;

  const auto start = std::chrono::steady_clock::now();
  Observed observed = observe(stage, pieces);
  if (layer_input) layer_gram_ = std::make_unique<stats::Gram>(std::move(observed.gram));
  if (count == 0) return;
  const stats::Gram& own = layer_input ? *layer_gram_ : observed.gram;
  const std::optional<stats::Gram> shrunk =
      stage.site.site == Site::kExpertIn ? expert_gram(stage, own) : std::nullopt;
  const stats::Gram& used = shrunk ? *shrunk : own;

  const Recipe& recipe = s_.plan.bound.recipe;
  std::optional<quant::Factor> factor;
  if (recipe.method == Method::kGptq)
    factor.emplace(quant::factor_gram(s_.backend, used, {recipe.order, recipe.rel_damp}));
  const std::int64_t extra =
      stage.observed_only_from < 0 ? 0 : total_rows(stage) - stage.observed_only_from;
  const double shared_seconds = seconds_since(start) / static_cast<double>(count);
  for (std::size_t i = 0; i < stage.linears.size(); ++i) {
    if (!wanted(stage.linears[i])) continue;
    applied[i].weight = quantize_one(*stage.linears[i], used, factor ? &*factor : nullptr,
                                     observed.pull(recipe.refinement), extra);
    records_.back().seconds += shared_seconds;
    record(records_.back());
  }
}

std::optional<stats::Gram> CalibratingRunner::expert_gram(const Stage& stage,
                                                          const stats::Gram& own) {
  base::check(layer_gram_ != nullptr, "a layer's input is observed before its experts");
  const std::int64_t routed =
      stage.observed_only_from < 0 ? total_rows(stage) : stage.observed_only_from;
  if (routed == 0)
    warn(fmt::format(
        "{}: no token was routed here; its Gram leans on the likeliest tokens and the layer's",
        stats::to_string(stage.site)));
  const std::int64_t count = quant::shrink_count(own.tokens(), own.width());
  if (count == 0) return {};
  return quant::shrink_gram(s_.backend, own, *layer_gram_, count);
}

model::WeightHandle CalibratingRunner::quantize_one(const LinearSpec& linear,
                                                    const stats::Gram& gram,
                                                    const quant::Factor* factor,
                                                    const quant::TeacherPull& pull,
                                                    std::int64_t extra_tokens) {
  const auto start = std::chrono::steady_clock::now();
  const auto& bound = s_.plan.bound;
  const auto weight = s_.source.linear(linear);
  tensor::Tensor moved;
  if (factor != nullptr && pull.input != nullptr)
    moved = quant::teacher_target(s_.backend, weight->matrix(), *factor, pull);
  const tensor::ConstMatrixView target =
      moved.empty() ? weight->matrix() : std::as_const(moved).matrix();
  tensor::Tensor decoded =
      s_.backend.memory().allocate({linear.out_features, linear.in_features}, tensor::Dtype::kF32);
  const Refinement& refinement = bound.recipe.refinement;
  const quant::RefineArgs refine{refinement.weighted_scales, refinement.refit_scales,
                                 refinement.descent_passes};
  quant::WeightReport report;
  scheme::GroupedInt quantized =
      factor != nullptr ? quant::gptq(s_.backend, target, gram, *factor, bound.grid(linear),
                                      bound.recipe.block_size, &report, refine)
                        : quant::rtn(s_.backend, target, bound.grid(linear));
  quantized.channel = bound.recipe.channel;
  s_.backend.codec().decode_grouped(quantized, decoded.matrix());
  if (factor == nullptr) {
    report.proxy_error = quant::proxy_error(s_.backend, target, decoded.matrix(), gram);
    report.proxy_error_rtn = report.proxy_error;
  }
  s_.writer.packed(linear, quantized);
  records_.push_back({linear.module, std::string(name_of(bound.recipe.method)), gram.tokens(),
                      extra_tokens, report.proxy_error, report.proxy_error_rtn, report.damping,
                      seconds_since(start)});
  if (report.factor_attempts > 1)
    warn(fmt::format("{}: the Hessian needed {} times damping {}", linear.module,
                     report.factor_attempts, report.damping));
  return std::make_shared<const tensor::Tensor>(std::move(decoded));
}

void CalibratingRunner::apply(Stage& stage, Pieces& pieces, const std::vector<Applied>& applied) {
  std::vector<tensor::Tensor> outputs(applied.size());
  std::vector<tensor::MatrixView> views(applied.size());
  for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
    s_.cancel.throw_if_cancelled();
    const std::int64_t rows = stage.piece_rows[piece];
    pieces.with(piece, [&](tensor::MatrixView x) {
      for (std::size_t i = 0; i < applied.size(); ++i) {
        outputs[i] = s_.backend.memory().allocate({rows, stage.linears[i]->out_features},
                                                  tensor::Dtype::kF32);
        views[i] = outputs[i].matrix();
        const float* bias = applied[i].bias ? applied[i].bias->as<float>() : nullptr;
        s_.backend.linalg().linear(x, applied[i].weight->matrix(), bias, views[i]);
      }
    });
    stage.consume(piece, views);
  }
}

// The tokens whose router scores for `expert` are highest among those not routed to it, until it
// has seen min_expert_tokens.
std::vector<std::int32_t> CalibratingRunner::extra_rows(const model::LayerSpec& layer, int expert,
                                                        std::span<const std::int32_t> routed,
                                                        std::span<const float> scores) {
  const auto& moe = std::get<model::MoeSpec>(layer.mlp);
  const auto& gate = moe.experts[static_cast<std::size_t>(expert)].gate;
  if (!s_.plan.bound.quantizes(gate) &&
      !s_.plan.bound.quantizes(moe.experts[static_cast<std::size_t>(expert)].down))
    return {};
  const std::size_t experts = moe.experts.size();
  const auto tokens = static_cast<std::int32_t>(scores.size() / experts);
  const std::int64_t wanted = s_.plan.bound.recipe.min_expert_tokens > 0
                                  ? s_.plan.bound.recipe.min_expert_tokens
                                  : gate.in_features;
  const std::int64_t missing = wanted - static_cast<std::int64_t>(routed.size());
  if (missing <= 0) return {};
  std::vector<std::int32_t> others;
  others.reserve(static_cast<std::size_t>(tokens));
  std::size_t next = 0;
  for (std::int32_t t = 0; t < tokens; ++t) {
    if (next < routed.size() && routed[next] == t)
      ++next;
    else
      others.push_back(t);
  }
  const auto keep = std::min<std::size_t>(static_cast<std::size_t>(missing), others.size());
  const auto score = [&](std::int32_t t) {
    return scores[static_cast<std::size_t>(t) * experts + static_cast<std::size_t>(expert)];
  };
  std::partial_sort(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(keep),
                    others.end(), [&](std::int32_t a, std::int32_t b) {
                      return score(a) != score(b) ? score(a) > score(b) : a < b;
                    });
  others.resize(keep);
  std::sort(others.begin(), others.end());
  s_.events.emit({"expert_topped_up",
                  {{"name", fmt::format("{}mlp.experts.{}", layer.prefix, expert)},
                   {"routed", static_cast<std::int64_t>(routed.size())},
                   {"extra", static_cast<std::int64_t>(keep)}}});
  return others;
}

void CalibratingRunner::record(WeightRecord record) {
  base::Event event{"weight",
                    {{"name", record.name},
                     {"method", record.method},
                     {"tokens", record.tokens},
                     {"extra_tokens", record.extra_tokens},
                     {"damping", record.damping},
                     {"seconds", record.seconds}}};
  if (record.proxy_error) event.fields.emplace_back("proxy_error", *record.proxy_error);
  if (record.proxy_error_rtn) event.fields.emplace_back("proxy_error_rtn", *record.proxy_error_rtn);
  s_.events.emit(event);
}

void CalibratingRunner::warn(std::string text) {
  s_.events.emit({"warning", {{"text", text}}});
  warnings_.push_back(std::move(text));
}

}  // namespace whit::pipeline
