#include "pipeline/calibrating_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "model/attention_metric.h"
#include "pipeline/decode_on.h"
#include "pipeline/job.h"
#include "pipeline/lean.h"
#include "pipeline/top_up.h"
#include "pipeline/vector_quantizer.h"
#include "quant/gptq.h"
#include "quant/teacher_target.h"

namespace whit::pipeline {

using model::LinearSpec;
using model::Stage;
using stats::Site;

namespace {

// Tokens that a metric is learnt from, and what is added to its diagonal, relative to the mean.
constexpr std::int64_t kMetricTokens = 8192;
constexpr double kMetricDamping = 0.03;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void hand_over(const Stage& stage, const std::vector<Applied>& applied) {
  std::vector<model::WeightHandle> weights;
  for (const Applied& linear : applied) weights.push_back(linear.weight);
  stage.keep_weights(weights);
}

// How far the grid of the worst group reaches, in rms of what it holds.
double reach_of(compute::Backend& backend, tensor::ConstMatrixView w,
                const scheme::GroupedInt& weight) {
  const std::vector<double> squares = backend.linalg().row_dots(w, w, weight.group_size);
  const tensor::Tensor scales = backend.memory().download(weight.scales.view());
  double most = 0;
  for (std::size_t i = 0; i < squares.size(); ++i) {
    const double rms = std::sqrt(squares[i] / static_cast<double>(weight.group_size));
    const double end =
        std::abs(static_cast<double>(scales.as<float>()[i])) * -scheme::code_min(weight.bits);
    if (rms > 0) most = std::max(most, end / rms);
  }
  return most;
}

}  // namespace

void CalibratingRunner::run(std::span<Stage> stages) {
  for (Stage& stage : stages) {
    s_.cancel.throw_if_cancelled();
    run_one(stage);
  }
  s_.writer.exchange();
}

void CalibratingRunner::run_one(Stage& stage) {
  const auto bytes = static_cast<std::uint64_t>(total_rows(stage) * stage.width) * sizeof(float);
  if (stage.site.site == Site::kAttnIn) learn_metrics(stage);
  Pieces pieces(stage, s_.backend, bytes <= s_.plan.piece_cache_bytes);
  std::vector<Applied> applied(stage.linears.size());
  quantize(stage, pieces, applied);
  for (std::size_t i = 0; i < applied.size() && total_rows(stage) > 0; ++i) {
    if (!applied[i].weight) applied[i].weight = s_.output.linear(*stage.linears[i]);
    applied[i].bias = s_.output.bias(*stage.linears[i]);
  }
  if (stage.keep_weights)
    hand_over(stage, applied);
  else
    apply_linears(stage, pieces, applied, s_.backend, s_.cancel);
  if (s_.teacher != nullptr) s_.teacher->forget(stage.site);
}

std::int64_t CalibratingRunner::expert_block(const model::LayerSpec&) {
  return s_.plan.expert_block;
}

// A layer's MLP input is read by its router first and by its shared expert last.
Observation& CalibratingRunner::observation_of(const Stage& stage, Pieces& pieces) {
  std::optional<Observation>& place = is_layer_input(stage) ? layer_input_ : observation_;
  if (!stage.observed_before || !place) place.emplace(observer_.observe(stage, pieces));
  return *place;
}

bool CalibratingRunner::is_layer_input(const Stage& stage) const {
  return stage.site.site == Site::kMlpIn && s_.plan.has_experts(stage.site.layer);
}

void CalibratingRunner::quantize(const Stage& stage, Pieces& pieces,
                                 std::vector<Applied>& applied) {
  const Recipe& recipe = s_.plan.bound.recipe;
  const auto wanted = [&](const LinearSpec* linear) { return s_.plan.bound.quantizes(*linear); };
  const auto refitted = [&](const LinearSpec* linear) { return s_.plan.refits(linear->weight()); };
  const auto count = std::count_if(stage.linears.begin(), stage.linears.end(), wanted);
  const bool works = count > 0 || std::any_of(stage.linears.begin(), stage.linears.end(), refitted);
  if (!works && !is_layer_input(stage)) return;

  const auto start = std::chrono::steady_clock::now();
  Observation& observation = observation_of(stage, pieces);
  if (!works) return;
  std::optional<HeldOutChoice> choice;
  const Sums& sums = settle(stage, observation, choice);
  const stats::Gram& gram = sums.gram;
  const quant::Factor* factor = observation.factor ? &*observation.factor : nullptr;
  const std::int64_t extra =
      stage.observed_only_from < 0 ? 0 : total_rows(stage) - stage.observed_only_from;
  const double shared_seconds =
      seconds_since(start) / static_cast<double>(std::max<std::int64_t>(count, 1));
  for (std::size_t i = 0; i < stage.linears.size(); ++i) {
    const LinearSpec& linear = *stage.linears[i];
    if (!wanted(&linear) && !refitted(&linear)) continue;
    applied[i].weight = made(stage, linear, i, [&] {
      double share = recipe.refinement.teacher_share;
      if (choice && s_.teacher != nullptr)
        share = choice->share(s_.source.linear(linear)->matrix());
      const Aim aim{sums.pull(share),
                    observation.taught_factor ? &*observation.taught_factor : factor};
      if (refitted(&linear)) return refit_one(linear, aim);
      auto weight = recipe.method == Method::kVptq ? quantize_vectors(linear, gram, aim, extra)
                                                   : quantize_one(linear, gram, factor, aim, extra);
      records_.back().seconds += shared_seconds;
      emit_weight(records_.back(), s_.events);
      return weight;
    });
  }
}

template <typename Make>
model::WeightHandle CalibratingRunner::made(const Stage& stage, const LinearSpec& linear,
                                            std::size_t turn, Make make) {
  if (!s_.ranks.share(stage)) return make();
  const int root = s_.ranks.turn(turn);
  const model::WeightHandle own = s_.ranks.rank() == root ? make() : nullptr;
  return s_.ranks.broadcast(root, own, {linear.out_features, linear.in_features}, s_.backend);
}

const Sums& CalibratingRunner::settle(const Stage& stage, Observation& observation,
                                      std::optional<HeldOutChoice>& choice) {
  const Recipe& recipe = s_.plan.bound.recipe;
  const bool expert = stage.site.site == Site::kExpertIn;
  base::check(!expert || layer_input_.has_value(),
              "a layer's input is observed before its experts");
  const Observation* layer = expert ? &*layer_input_ : nullptr;
  if (expert && (stage.observed_only_from == 0 || total_rows(stage) == 0))
    warn(fmt::format(
        "{}: no token was routed here; its Gram leans on the likeliest tokens and the layer's",
        stats::to_string(stage.site)));
  Lean lean = expert ? usual_lean(observation.all, recipe.refinement.lean) : Lean{};
  double damping = recipe.rel_damp;
  if (recipe.method == Method::kGptq && recipe.refinement.held_out) {
    choice.emplace(s_.backend, recipe, observation, layer, lean);
    if (!choice->possible()) choice.reset();
  }
  if (choice && !observation.factor) {
    std::vector<HeldOutChoice::Linear> linears;
    for (const LinearSpec* linear : stage.linears)
      if (s_.plan.bound.quantizes(*linear))
        linears.push_back({s_.source.linear(*linear), s_.plan.bound.grid(*linear)});
    choice->choose(linears);
    damping = choice->damping();
    lean = choice->lean();
  }
  leaning_.reset();
  if (lean.any()) leaning_.emplace(lean_on(s_.backend, observation.all, layer->all, lean));
  const Sums& used = leaning_ ? *leaning_ : observation.all;
  const bool factored =
      recipe.method == Method::kGptq || (recipe.method == Method::kVptq && s_.teacher != nullptr);
  if (factored && !observation.factor) {
    observation.factor.emplace(quant::factor_gram(s_.backend, used.gram, {recipe.order, damping}));
    const std::optional<stats::Gram>& taught = used.taught_gram;
    if (taught && taught->tokens() > 0)
      observation.taught_factor.emplace(
          quant::factor_gram(s_.backend, *taught, {recipe.order, damping}));
  }
  return used;
}

// Before anything of the layer is quantized.
void CalibratingRunner::learn_metrics(const Stage& stage) {
  metrics_.clear();
  const Recipe& recipe = s_.plan.bound.recipe;
  if (!recipe.refinement.output_metric || recipe.method != Method::kGptq) return;
  const model::LayerSpec& layer = s_.plan.layer(stage.site.layer);
  model::ForwardContext context{s_.backend, s_.source, s_.store, s_.sequences, *this};
  for (const model::LinearMetric& metric : model::attention_metrics(context, layer, kMetricTokens))
    if (s_.plan.bound.quantizes(*metric.linear))
      metrics_.emplace(metric.linear,
                       quant::factor_metric(s_.backend, metric.metric.matrix(), kMetricDamping));
}

const quant::OutputMetric* CalibratingRunner::metric_of(const LinearSpec& linear) const {
  const auto found = metrics_.find(&linear);
  return found == metrics_.end() ? nullptr : &found->second;
}

model::WeightHandle CalibratingRunner::refit_one(const LinearSpec& linear, const Aim& aim) {
  base::check(aim.pull.input != nullptr, "a teacher sees what every router reads");
  const auto weight = s_.source.linear(linear);
  const tensor::Tensor moved =
      quant::teacher_target(s_.backend, weight->matrix(), *aim.factor, aim.pull);
  return s_.writer.refitted(linear.weight(), moved);
}

model::WeightHandle CalibratingRunner::aimed(const LinearSpec& linear, const Aim& aim) {
  auto weight = s_.source.linear(linear);
  if (aim.factor == nullptr || aim.pull.input == nullptr) return weight;
  return std::make_shared<const tensor::Tensor>(
      quant::teacher_target(s_.backend, weight->matrix(), *aim.factor, aim.pull));
}

model::WeightHandle CalibratingRunner::quantize_one(const LinearSpec& linear,
                                                    const stats::Gram& gram,
                                                    const quant::Factor* factor, const Aim& aim,
                                                    std::int64_t extra_tokens) {
  const auto start = std::chrono::steady_clock::now();
  const auto& bound = s_.plan.bound;
  const model::WeightHandle weight = aimed(linear, aim);
  const tensor::ConstMatrixView target = weight->matrix();
  tensor::Tensor decoded =
      s_.backend.memory().allocate({linear.out_features, linear.in_features}, tensor::Dtype::kF32);
  const Refinement& refinement = bound.recipe.refinement;
  const quant::RefineArgs refine{refinement.weighted_scales, refinement.refit_scales,
                                 refinement.descent_passes, metric_of(linear)};
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
  const double reach = reach_of(s_.backend, target, quantized);
  s_.writer.packed(linear, std::move(quantized));
  records_.push_back({linear.module, std::string(name_of(bound.recipe.method)), gram.tokens(),
                      extra_tokens, report.proxy_error, report.proxy_error_rtn, report.damping,
                      reach, seconds_since(start)});
  if (report.factor_attempts > 1)
    warn(fmt::format("{}: the Hessian needed {} times damping {}", linear.module,
                     report.factor_attempts, report.damping));
  return std::make_shared<const tensor::Tensor>(std::move(decoded));
}

model::WeightHandle CalibratingRunner::quantize_vectors(const LinearSpec& linear,
                                                        const stats::Gram& gram, const Aim& aim,
                                                        std::int64_t extra_tokens) {
  const auto start = std::chrono::steady_clock::now();
  const model::WeightHandle weight = aimed(linear, aim);
  VectorRecord made =
      quantize_to_vectors(s_.backend, s_.plan.bound, linear, weight->matrix(), gram, s_.events);
  auto decoded = std::make_shared<const tensor::Tensor>(decode_on(s_.backend, made.codes));
  s_.writer.packed(linear, std::move(made.codes));
  made.record.extra_tokens = extra_tokens;
  made.record.seconds = seconds_since(start);
  if (made.factor_attempts > 1)
    warn(fmt::format("{}: the Hessian needed {} times damping {}", linear.module,
                     made.factor_attempts, made.record.damping));
  records_.push_back(std::move(made.record));
  return decoded;
}

std::vector<std::int32_t> CalibratingRunner::extra_rows(const model::LayerSpec& layer, int expert,
                                                        std::span<const std::int32_t> routed,
                                                        std::span<const float> scores) {
  const auto& moe = std::get<model::MoeSpec>(layer.mlp);
  const auto& spec = moe.experts[static_cast<std::size_t>(expert)];
  const LinearSpec& first = spec.in.front();
  if (!s_.plan.bound.quantizes(first) && !s_.plan.bound.quantizes(spec.down)) return {};
  const std::int64_t stated = s_.plan.bound.recipe.min_expert_tokens;
  const std::int64_t wanted = stated > 0 ? stated : first.in_features;
  return top_up(moe, expert, routed, scores, wanted, s_.events);
}

void CalibratingRunner::warn(std::string text) {
  s_.events.emit({"warning", {{"text", text}}});
  warnings_.push_back(std::move(text));
}

}  // namespace whit::pipeline
