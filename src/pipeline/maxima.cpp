#include "pipeline/maxima.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "base/error.h"
#include "pipeline/scores.h"

namespace whit::pipeline {

using compute::HeadView;
using compute::Transpose;
using stats::Range;
using tensor::ConstMatrixView;

namespace {

constexpr std::array<std::string_view, 10> kOperandNames{
    "query",        "key",     "value",  "absorbed query", "latent key",
    "latent value", "mixture", "scores", "logits",         "probabilities"};

template <typename Map, typename Key>
const Maxima& find_in(const Map& map, const Key& key) {
  static const Maxima kNever;
  const auto found = map.find(key);
  return found == map.end() ? kNever : found->second;
}

// The part of a matrix that heads lie in.
ConstMatrixView extent_of(const HeadView& view, std::int64_t heads) {
  const std::int64_t last = view.head_stride == 0 ? 0 : (heads - 1) * view.head_stride;
  return view.data.sub(0, view.data.rows, 0, view.first_col + last + view.dim);
}

// Of every channel of a head, over all heads.
Range over_heads(const Range& columns, const HeadView& view, std::int64_t heads) {
  Range range(static_cast<std::size_t>(view.dim));
  for (std::int64_t h = 0; h < (view.head_stride == 0 ? 1 : heads); ++h)
    for (std::size_t c = 0; c < range.size(); ++c)
      range[c] = std::max(
          range[c], columns[static_cast<std::size_t>(view.first_col + h * view.head_stride) + c]);
  return range;
}

void append_channels(Range& range, const Range& more) {
  range.insert(range.end(), more.begin(), more.end());
}

}  // namespace

MaximaObserver::MaximaObserver(compute::Backend& backend, WantedMaxima wanted)
    : backend_(backend), wanted_(std::move(wanted)) {}

const Maxima& MaximaObserver::input(const stats::TapId& site) const {
  return find_in(inputs_, site);
}
const Maxima& MaximaObserver::weight(const model::LinearSpec& linear) const {
  return find_in(weights_, &linear);
}
const Maxima& MaximaObserver::output(const model::LinearSpec& linear) const {
  return find_in(outputs_, &linear);
}
const Maxima& MaximaObserver::operand(int layer, Operand operand) const {
  return find_in(operands_, std::pair{layer, operand});
}

std::int64_t MaximaObserver::rows(const stats::TapId& site) const {
  const auto found = rows_.find(site);
  return found == rows_.end() ? 0 : found->second;
}

bool MaximaObserver::wants_weight(const model::LinearSpec& linear) const {
  return wanted_.weights.contains(&linear) || is_expander(linear);
}
bool MaximaObserver::is_expander(const model::LinearSpec& linear) const {
  return linear.role == model::Role::kAttnKvB &&
         wanted_.operands.contains({linear.reads.layer, Operand::kAbsorbedQuery});
}
bool MaximaObserver::wants_output(const model::LinearSpec& linear) const {
  return wanted_.outputs.contains(&linear);
}
bool MaximaObserver::wants_mixture(const model::LayerSpec& layer) const {
  return wanted_.operand(layer, Operand::kMixture);
}

void MaximaObserver::fold(Maxima& into, Range range, std::int64_t rows,
                          const std::string& name) const {
  for (const double value : range)
    if (!std::isfinite(value))
      base::fail(base::ErrorKind::kInput, name, "{} in calibration; expected finite numbers",
                 value);
  if (!wanted_.per_channel && !range.empty())
    range = {*std::max_element(range.begin(), range.end())};
  if (into.values.empty()) into.values.resize(range.size());
  base::check(into.values.size() == range.size(), "a tensor keeps its number of channels");
  for (std::size_t i = 0; i < range.size(); ++i)
    into.values[i] = std::max(into.values[i], range[i]);
  into.rows += rows;
}

void MaximaObserver::fold_operand(const model::LayerSpec& layer, Operand operand, Range range,
                                  std::int64_t rows) {
  fold(
      operands_[{layer.index, operand}], std::move(range), rows,
      fmt::format("layer {} {}", layer.index, kOperandNames.at(static_cast<std::size_t>(operand))));
}

Range MaximaObserver::columns(ConstMatrixView x) const {
  const std::vector<float> most = backend_.linalg().column_max_abs(x);
  return {most.begin(), most.end()};
}

void MaximaObserver::input(const model::Stage& stage, ConstMatrixView x) {
  if (stage.observed_before) return;
  rows_[stage.site] += x.rows;
  if (wanted_.inputs.contains(stage.site))
    fold(inputs_[stage.site], columns(x), x.rows, stats::to_string(stage.site));
}

void MaximaObserver::weight(const model::LinearSpec& linear, ConstMatrixView w) {
  if (wanted_.weights.contains(&linear)) {
    const std::vector<float> most = backend_.linalg().row_max_abs(w);
    fold(weights_[&linear], {most.begin(), most.end()}, w.rows, linear.weight());
  }
  if (!is_expander(linear)) return;
  expander_ = &linear;
  expansion_ = backend_.memory().allocate({w.rows, w.cols}, tensor::Dtype::kF32);
  backend_.memory().copy(w, expansion_.matrix());
}

void MaximaObserver::output(const model::LinearSpec& linear, ConstMatrixView y) {
  fold(outputs_[&linear], columns(y), y.rows, linear.module);
}

// q_nope W_UK of every head, then the rotated part, as the cache's rows are laid out.
Range MaximaObserver::absorbed_query(const model::MlaSpec& spec, const HeadView& q) {
  base::check(expander_ == &spec.kv_b, "the latent's expansion is the layer's");
  const tensor::ConstMatrixView expansion = expansion_.matrix();
  const std::int64_t rows = q.data.rows;
  tensor::Tensor met = backend_.memory().allocate({rows, spec.kv_rank}, tensor::Dtype::kF32);
  Range range(static_cast<std::size_t>(spec.kv_rank));
  for (std::int64_t h = 0; h < spec.heads; ++h) {
    backend_.linalg().gemm(1, q.data.sub(0, rows, q.first_col + h * q.head_stride, spec.nope_dim),
                           Transpose::kNo,
                           expansion.rows_of(h * (spec.nope_dim + spec.v_dim), spec.nope_dim),
                           Transpose::kNo, 0, met.matrix());
    const std::vector<float> most = backend_.linalg().column_max_abs(met.matrix());
    for (std::size_t c = 0; c < range.size(); ++c) range[c] = std::max(range[c], double{most[c]});
  }
  HeadView rotated = q;
  rotated.first_col += spec.nope_dim;
  rotated.dim = spec.rope_dim;
  append_channels(range, over_heads(columns(extent_of(rotated, spec.heads)), rotated, spec.heads));
  return range;
}

void MaximaObserver::attention(const model::LayerSpec& layer, const compute::AttentionArgs& args,
                               std::span<const std::int64_t> starts) {
  const std::int64_t rows = args.q.data.rows;
  if (wanted_.operand(layer, Operand::kQuery))
    fold_operand(layer, Operand::kQuery,
                 over_heads(columns(extent_of(args.q, args.heads)), args.q, args.heads), rows);
  if (wanted_.operand(layer, Operand::kKey)) {
    Range key = over_heads(columns(extent_of(args.k, args.kv_heads)), args.k, args.kv_heads);
    if (args.k_shared)
      append_channels(key, over_heads(columns(extent_of(*args.k_shared, 1)), *args.k_shared, 1));
    fold_operand(layer, Operand::kKey, std::move(key), rows);
  }
  if (wanted_.operand(layer, Operand::kValue))
    fold_operand(layer, Operand::kValue,
                 over_heads(columns(extent_of(args.v, args.kv_heads)), args.v, args.kv_heads),
                 rows);
  if (wanted_.operand(layer, Operand::kAbsorbedQuery))
    fold_operand(layer, Operand::kAbsorbedQuery,
                 absorbed_query(std::get<model::MlaSpec>(layer.attention), args.q), rows);
  // The first query of a sequence sees one key only.
  if (wanted_.operand(layer, Operand::kProbabilities))
    fold_operand(layer, Operand::kProbabilities, {1}, rows);
  watch_scores(layer, args, starts);
}

void MaximaObserver::watch_scores(const model::LayerSpec& layer, const compute::AttentionArgs& args,
                                  std::span<const std::int64_t> starts) {
  const bool scores = wanted_.operand(layer, Operand::kScores);
  const bool logits = wanted_.operand(layer, Operand::kLogits);
  if (!scores && !logits) return;
  const ScoreMaxima most = score_maxima(backend_, args, starts);
  if (scores) fold_operand(layer, Operand::kScores, {most.scores}, args.q.data.rows);
  if (logits) fold_operand(layer, Operand::kLogits, {most.logits}, args.q.data.rows);
}

void MaximaObserver::latent(const model::LayerSpec& layer, ConstMatrixView x) {
  const auto& spec = std::get<model::MlaSpec>(layer.attention);
  Range range = columns(x);
  if (wanted_.operand(layer, Operand::kLatentKey))
    fold_operand(layer, Operand::kLatentKey, range, x.rows);
  range.resize(static_cast<std::size_t>(spec.kv_rank));
  if (wanted_.operand(layer, Operand::kLatentValue))
    fold_operand(layer, Operand::kLatentValue, std::move(range), x.rows);
}

void MaximaObserver::mixture(const model::LayerSpec& layer, ConstMatrixView y) {
  fold_operand(layer, Operand::kMixture, columns(y), y.rows);
}

void MaximaObserver::merge(const Ranks& ranks) {
  if (!ranks.several()) return;
  const std::string text = to_json().dump();
  const auto all = ranks.communicator().all_gather_v(std::as_bytes(std::span(text)));
  for (std::size_t from = 0; from < all.size(); ++from) {
    if (static_cast<int>(from) == ranks.rank()) continue;
    const auto* data = reinterpret_cast<const char*>(all[from].data());
    merge(nlohmann::json::parse(data, data + all[from].size()));
  }
}

nlohmann::json MaximaObserver::to_json() const {
  using nlohmann::json;
  json all{{"inputs", json::array()},
           {"rows", json::array()},
           {"weights", json::array()},
           {"outputs", json::array()},
           {"operands", json::array()}};
  const auto put = [](json& list, json key, const Maxima& maxima) {
    list.push_back({std::move(key), maxima.values, maxima.rows});
  };
  const auto tap = [](const stats::TapId& site) {
    return json{site.layer, static_cast<int>(site.site), site.expert};
  };
  for (const auto& [site, maxima] : inputs_) put(all["inputs"], tap(site), maxima);
  for (const auto& [site, rows] : rows_) all["rows"].push_back({tap(site), rows});
  for (const auto& [linear, maxima] : weights_) put(all["weights"], linear->module, maxima);
  for (const auto& [linear, maxima] : outputs_) put(all["outputs"], linear->module, maxima);
  for (const auto& [key, maxima] : operands_)
    put(all["operands"], {key.first, static_cast<int>(key.second)}, maxima);
  return all;
}

void MaximaObserver::merge(const nlohmann::json& theirs) {
  const auto join = [](Maxima& into, const nlohmann::json& entry) {
    const auto values = entry.at(1).get<Range>();
    if (into.values.empty()) into.values.resize(values.size());
    base::check(into.values.size() == values.size(), "ranks see tensors of one shape");
    for (std::size_t i = 0; i < values.size(); ++i)
      into.values[i] = std::max(into.values[i], values[i]);
    return entry.at(2).get<std::int64_t>();
  };
  const auto tap = [](const nlohmann::json& key) {
    return stats::TapId{key.at(0).get<int>(), static_cast<stats::Site>(key.at(1).get<int>()),
                        key.at(2).get<int>()};
  };
  std::map<std::string, const model::LinearSpec*, std::less<>> linears;
  for (const auto* watched : {&wanted_.weights, &wanted_.outputs})
    for (const auto* linear : *watched) linears.emplace(linear->module, linear);
  for (const auto& entry : theirs.at("inputs")) {
    Maxima& into = inputs_[tap(entry.at(0))];
    into.rows += join(into, entry);
  }
  for (const auto& entry : theirs.at("rows"))
    rows_[tap(entry.at(0))] += entry.at(1).get<std::int64_t>();
  // A weight has its rows on every rank that looks at it.
  for (const auto& entry : theirs.at("weights")) {
    Maxima& into = weights_[linears.at(entry.at(0).get<std::string>())];
    into.rows = std::max(into.rows, join(into, entry));
  }
  for (const auto& entry : theirs.at("outputs")) {
    Maxima& into = outputs_[linears.at(entry.at(0).get<std::string>())];
    into.rows += join(into, entry);
  }
  for (const auto& entry : theirs.at("operands")) {
    Maxima& into = operands_[{entry.at(0).at(0).get<int>(),
                              static_cast<Operand>(entry.at(0).at(1).get<int>())}];
    into.rows += join(into, entry);
  }
}

}  // namespace whit::pipeline
