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
using stats::Range;
using tensor::ConstMatrixView;

namespace {

// Of absorbed queries at once.
constexpr std::int64_t kMetFloats = 1 << 22;

constexpr std::array<std::string_view, 10> kOperandNames{
    "query",        "key",     "value",  "absorbed query", "latent key",
    "latent value", "mixture", "scores", "logits",         "probabilities"};

template <typename Map, typename Key>
const Maxima& find_in(const Map& map, const Key& key) {
  static const Maxima kNever;
  const auto found = map.find(key);
  return found == map.end() ? kNever : found->second;
}

std::string operand_name(const model::LayerSpec& layer, Operand operand) {
  return fmt::format("layer {} {}", layer.index,
                     kOperandNames.at(static_cast<std::size_t>(operand)));
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
    : backend_(backend), wanted_(std::move(wanted)), gathered_(backend) {}

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

void MaximaObserver::fold(Maxima& into, Range range, const std::string& name) const {
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
}

void MaximaObserver::settle() {
  gathered_.settle([&](Maxima& into, const std::string& name, Range range) {
    fold(into, std::move(range), name);
  });
}

void MaximaObserver::fold_operand(const model::LayerSpec& layer, Operand operand, Range range,
                                  std::int64_t rows) {
  Maxima& into = operands_[{layer.index, operand}];
  into.rows += rows;
  fold(into, std::move(range), operand_name(layer, operand));
}

template <typename Name>
void MaximaObserver::gather_columns(Maxima& into, ConstMatrixView x, const Name& name) {
  into.rows += x.rows;
  const auto describe = [&] { return GatheredMaxima::Description{name(), nullptr}; };
  backend_.linalg().column_max_abs(x, gathered_.lists(&into, {x.cols}, describe).front());
}

template <typename Join>
const GatheredMaxima::Lists& MaximaObserver::lists(const model::LayerSpec& layer, Operand operand,
                                                   std::int64_t rows,
                                                   std::initializer_list<std::int64_t> widths,
                                                   const Join& join) {
  Maxima& into = operands_[{layer.index, operand}];
  into.rows += rows;
  return gathered_.lists(&into, widths, [&] {
    return GatheredMaxima::Description{operand_name(layer, operand), join()};
  });
}

void MaximaObserver::gather_columns(const model::LayerSpec& layer, Operand operand,
                                    ConstMatrixView x) {
  const auto as_it_is = [] { return GatheredMaxima::Join(); };
  backend_.linalg().column_max_abs(x, lists(layer, operand, x.rows, {x.cols}, as_it_is).front());
}

void MaximaObserver::gather_heads(const model::LayerSpec& layer, Operand operand,
                                  const HeadView& view, std::int64_t heads) {
  const ConstMatrixView extent = extent_of(view, heads);
  const auto join = [&]() -> GatheredMaxima::Join {
    return [=](const auto& found) { return over_heads(found[0], view, heads); };
  };
  const auto& there = lists(layer, operand, extent.rows, {extent.cols}, join);
  backend_.linalg().column_max_abs(extent, there[0]);
}

void MaximaObserver::gather_keys(const model::LayerSpec& layer,
                                 const compute::AttentionArgs& args) {
  if (!args.k_shared) return gather_heads(layer, Operand::kKey, args.k, args.kv_heads);
  const ConstMatrixView own = extent_of(args.k, args.kv_heads);
  const ConstMatrixView shared = extent_of(*args.k_shared, 1);
  const auto join = [&]() -> GatheredMaxima::Join {
    return [k = args.k, heads = args.kv_heads, common = *args.k_shared](const auto& found) {
      Range range = over_heads(found[0], k, heads);
      append_channels(range, over_heads(found[1], common, 1));
      return range;
    };
  };
  const auto& there = lists(layer, Operand::kKey, args.q.data.rows, {own.cols, shared.cols}, join);
  backend_.linalg().column_max_abs(own, there[0]);
  backend_.linalg().column_max_abs(shared, there[1]);
}

void MaximaObserver::input(const model::Stage& stage, ConstMatrixView x) {
  if (stage.observed_before) return;
  const stats::TapId& site = stage.site;
  rows_[site] += x.rows;
  if (wanted_.inputs.contains(site))
    gather_columns(inputs_[site], x, [&] { return stats::to_string(site); });
}

void MaximaObserver::weight(const model::LinearSpec& linear, ConstMatrixView w) {
  if (gathered_.full()) settle();
  if (wanted_.weights.contains(&linear)) {
    Maxima& into = weights_[&linear];
    into.rows += w.rows;
    const auto describe = [&] { return GatheredMaxima::Description{linear.weight(), nullptr}; };
    backend_.linalg().row_max_abs(w, gathered_.lists(&into, {w.rows}, describe).front());
  }
  if (!is_expander(linear)) return;
  expander_ = &linear;
  expansion_ = backend_.memory().allocate({w.rows, w.cols}, tensor::Dtype::kF32);
  backend_.memory().copy(w, expansion_.matrix());
}

void MaximaObserver::output(const model::LinearSpec& linear, ConstMatrixView y) {
  gather_columns(outputs_[&linear], y, [&] { return linear.module; });
}

// q_nope W_UK of every head, then the rotated part, as the cache's rows are laid out.
void MaximaObserver::gather_absorbed(const model::LayerSpec& layer, const HeadView& q) {
  const auto& spec = std::get<model::MlaSpec>(layer.attention);
  base::check(expander_ == &spec.kv_b, "the latent's expansion is the layer's");
  const tensor::ConstMatrixView expansion = expansion_.matrix();
  const std::int64_t rows = q.data.rows;
  HeadView rotated = q;
  rotated.first_col += spec.nope_dim;
  rotated.dim = spec.rope_dim;
  const ConstMatrixView extent = extent_of(rotated, spec.heads);
  const auto join = [&]() -> GatheredMaxima::Join {
    return [rotated, heads = spec.heads](const auto& found) {
      Range range = found[0];
      append_channels(range, over_heads(found[1], rotated, heads));
      return range;
    };
  };
  const auto& there =
      lists(layer, Operand::kAbsorbedQuery, rows, {spec.kv_rank, extent.cols}, join);
  // Some heads one below the other.
  const std::int64_t together = std::clamp<std::int64_t>(
      kMetFloats / std::max<std::int64_t>(rows * spec.kv_rank, 1), 1, spec.heads);
  tensor::Tensor met =
      backend_.memory().allocate({together * rows, spec.kv_rank}, tensor::Dtype::kF32);
  for (std::int64_t first = 0; first < spec.heads; first += together) {
    const std::int64_t count = std::min(together, spec.heads - first);
    for (std::int64_t i = 0; i < count; ++i)
      absorb_query(backend_, spec, q, first + i, 0, expansion,
                   met.matrix().rows_of(i * rows, rows));
    backend_.linalg().column_max_abs(met.matrix().rows_of(0, count * rows), there[0]);
  }
  backend_.linalg().column_max_abs(extent, there[1]);
}

void MaximaObserver::attention(const model::LayerSpec& layer, const compute::AttentionArgs& args,
                               std::span<const std::int64_t> starts) {
  if (wanted_.operand(layer, Operand::kQuery))
    gather_heads(layer, Operand::kQuery, args.q, args.heads);
  if (wanted_.operand(layer, Operand::kKey)) gather_keys(layer, args);
  if (wanted_.operand(layer, Operand::kValue))
    gather_heads(layer, Operand::kValue, args.v, args.kv_heads);
  if (wanted_.operand(layer, Operand::kAbsorbedQuery)) gather_absorbed(layer, args.q);
  // The first query of a sequence sees one key only.
  if (wanted_.operand(layer, Operand::kProbabilities))
    fold_operand(layer, Operand::kProbabilities, {1}, args.q.data.rows);
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
  if (wanted_.operand(layer, Operand::kLatentKey)) gather_columns(layer, Operand::kLatentKey, x);
  if (!wanted_.operand(layer, Operand::kLatentValue)) return;
  const auto rank = std::get<model::MlaSpec>(layer.attention).kv_rank;
  gather_columns(layer, Operand::kLatentValue, x.sub(0, x.rows, 0, rank));
}

void MaximaObserver::mixture(const model::LayerSpec& layer, ConstMatrixView y) {
  gather_columns(layer, Operand::kMixture, y);
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
