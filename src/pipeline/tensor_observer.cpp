#include "pipeline/tensor_observer.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "compute/host/attention_shape.h"
#include "pipeline/scores.h"

namespace whit::pipeline {

using compute::AttentionArgs;
using compute::HeadView;
using compute::host::head_of;
using model::LayerSpec;
using model::LinearSpec;
using tensor::ConstMatrixView;
using From = IncTensor::From;
using Kind = IncNode::Kind;

namespace {

bool is_cache(Kind kind) {
  return kind == Kind::kKeyCache || kind == Kind::kValueCache || kind == Kind::kLatentKeyCache ||
         kind == Kind::kLatentValueCache;
}

void append_row(std::vector<float>& values, const tensor::Tensor& from, std::int64_t row) {
  const std::int64_t width = from.shape()[1];
  const float* first = from.as<float>() + row * width;
  values.insert(values.end(), first, first + width);
}

}  // namespace

TensorObserver::TensorObserver(compute::Backend& backend, const IncLayout& layout,
                               const model::Sequences& sequences, bool values, Take take)
    : backend_(backend), sequences_(sequences), values_(values), take_(std::move(take)) {
  for (const IncNode& node : layout.nodes()) {
    if (node.kind == Kind::kToBlocks || node.kind == Kind::kFromBlocks) continue;
    layout.visit(node, [&](const std::string& module, const std::string& slot,
                           const IncTensor& tensor) { add(node, module, slot, tensor); });
  }
}

void TensorObserver::add(const IncNode& node, const std::string& module, const std::string& slot,
                         const IncTensor& tensor) {
  Target target{module, slot, tensor, is_cache(node.kind)};
  switch (tensor.from) {
    case From::kConstant:
      return;
    case From::kHidden:
      hidden_[tensor.linears.front()->reads].push_back(std::move(target));
      return;
    case From::kOperand:
      operands_[{node.layer->index, tensor.operand}].push_back(std::move(target));
      return;
    case From::kProducts:
    case From::kWeights: {
      auto& all = tensor.from == From::kProducts ? products_ : weights_;
      auto& joined = all[tensor.linears.front()];
      if (joined == nullptr) joined = std::make_shared<Joined>();
      joined->linears = tensor.linears;
      joined->targets.push_back(std::move(target));
      for (const LinearSpec* linear : tensor.linears) all[linear] = joined;
    }
  }
}

const std::vector<TensorObserver::Target>* TensorObserver::targets_of(const LayerSpec& layer,
                                                                      Operand which) const {
  const auto found = operands_.find({layer.index, which});
  return found == operands_.end() ? nullptr : &found->second;
}

std::int64_t TensorObserver::rows(const stats::TapId& site) const {
  const auto found = rows_.find(site);
  return found == rows_.end() ? 0 : found->second;
}

bool TensorObserver::is_expander(const LinearSpec& linear) const {
  return linear.role == model::Role::kAttnKvB &&
         operands_.contains({linear.reads.layer, Operand::kAbsorbedQuery});
}
bool TensorObserver::wants_weight(const LinearSpec& linear) const {
  return weights_.contains(&linear) || is_expander(linear);
}
bool TensorObserver::wants_output(const LinearSpec& linear) const {
  return products_.contains(&linear);
}
bool TensorObserver::wants_mixture(const LayerSpec& layer) const {
  return targets_of(layer, Operand::kMixture) != nullptr;
}

tensor::Tensor TensorObserver::host(ConstMatrixView x) const {
  tensor::Tensor dense = backend_.memory().allocate({x.rows, x.cols}, tensor::Dtype::kF32);
  backend_.memory().copy(x, dense.matrix());
  return backend_.memory().download(dense.view());
}

void TensorObserver::emit(const std::vector<Target>& targets, std::int64_t sequence,
                          tensor::Shape shape, const std::vector<float>& values) const {
  for (const Target& target : targets) {
    ObservedTensor seen{target.module, target.slot, sequence, shape, {}, {}};
    if (target.tensor.from == From::kWeights) seen.linears = target.tensor.linears;
    if (values_) seen.values = values;
    if (target.tensor.factor != 1)
      for (float& value : seen.values)
        value = static_cast<float>(double{value} * target.tensor.factor);
    take_(seen);
  }
}

std::int64_t TensorObserver::sequence_of(std::int64_t token) const {
  const auto& starts = sequences_.starts;
  return std::upper_bound(starts.begin(), starts.end(), token) - starts.begin() - 1;
}

void TensorObserver::flush(Series& series, const std::vector<Target>& targets, std::int64_t width) {
  if (series.rows > 0) {
    tensor::Shape shape{series.rows, width};
    const bool part = targets.front().tensor.from == From::kHidden &&
                      targets.front().tensor.linears.front()->reads.expert >= 0;
    if (!part) shape.insert(shape.begin(), 1);
    emit(targets, series.sequence, shape, series.values);
  }
  series = {};
}

void TensorObserver::collect(Series& series, const std::vector<Target>& targets,
                             ConstMatrixView x) {
  base::check(static_cast<std::int64_t>(tokens_.size()) == x.rows, "every row has its token");
  const tensor::Tensor rows = values_ ? host(x) : tensor::Tensor();
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const std::int64_t sequence = sequence_of(tokens_[static_cast<std::size_t>(i)]);
    if (sequence != series.sequence) flush(series, targets, x.cols);
    series.sequence = sequence;
    ++series.rows;
    if (values_) append_row(series.values, rows, i);
  }
  if (last_piece_) flush(series, targets, x.cols);
}

void TensorObserver::input(const model::Stage& stage, ConstMatrixView x) {
  piece_ = stage_ == &stage ? piece_ + 1 : 0;
  stage_ = &stage;
  last_piece_ = piece_ + 1 == stage.piece_rows.size();
  if (last_piece_) stage_ = nullptr;
  tokens_.resize(static_cast<std::size_t>(x.rows));
  std::int64_t before = 0;
  for (std::size_t p = 0; p < piece_; ++p) before += stage.piece_rows[p];
  for (std::int64_t i = 0; i < x.rows; ++i)
    tokens_[static_cast<std::size_t>(i)] =
        stage.token_rows.empty() ? stage.piece_tokens[piece_] + i
                                 : stage.token_rows[static_cast<std::size_t>(before + i)];
  if (stage.observed_before) return;
  rows_[stage.site] += x.rows;
  const auto found = hidden_.find(stage.site);
  if (found != hidden_.end()) collect(series_[stage.site], found->second, x);
}

void TensorObserver::output(const LinearSpec& linear, ConstMatrixView y) {
  Joined& joined = *products_.at(&linear);
  joined.parts.push_back(host(y));
  if (joined.parts.size() < joined.linears.size()) return;
  std::int64_t width = 0;
  for (const auto& part : joined.parts) width += part.shape()[1];
  tensor::Tensor whole({y.rows, width}, tensor::Dtype::kF32);
  std::int64_t column = 0;
  for (const auto& part : joined.parts) {
    const std::int64_t cols = part.shape()[1];
    for (std::int64_t i = 0; i < y.rows; ++i)
      std::copy_n(part.as<float>() + i * cols, cols, whole.as<float>() + i * width + column);
    column += cols;
  }
  joined.parts.clear();
  const tensor::Tensor device = backend_.memory().upload(whole.view());
  collect(joined.series, joined.targets, device.matrix());
}

void TensorObserver::weight(const LinearSpec& linear, ConstMatrixView w) {
  if (is_expander(linear)) {
    expansion_ = backend_.memory().allocate({w.rows, w.cols}, tensor::Dtype::kF32);
    backend_.memory().copy(w, expansion_.matrix());
  }
  const auto found = weights_.find(&linear);
  if (found == weights_.end()) return;
  Joined& joined = *found->second;
  joined.parts.push_back(host(w));
  if (joined.parts.size() < joined.linears.size()) return;
  std::vector<float> values;
  std::int64_t rows = 0;
  for (const auto& part : joined.parts) {
    rows += part.shape()[0];
    values.insert(values.end(), part.as<float>(), part.as<float>() + part.elements());
  }
  joined.parts.clear();
  emit(joined.targets, 0, {rows, w.cols}, values);
}

// Heads of queries, keys or values, sequence by sequence.
void TensorObserver::heads(const LayerSpec& layer, Operand which, const AttentionArgs& args,
                           std::span<const std::int64_t> starts) {
  const auto* targets = targets_of(layer, which);
  if (targets == nullptr) return;
  const bool query = which == Operand::kQuery;
  const HeadView& view = query ? args.q : which == Operand::kKey ? args.k : args.v;
  const HeadView* shared = which == Operand::kKey && args.k_shared ? &*args.k_shared : nullptr;
  const std::int64_t count = query ? args.heads : args.kv_heads;
  const std::int64_t width = view.dim + (shared == nullptr ? 0 : shared->dim);
  const std::int64_t first = sequence_of(tokens_.front());
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    const std::int64_t rows = starts[s + 1] - starts[s];
    if (rows == 0) continue;
    std::vector<float> by_head, by_row(static_cast<std::size_t>(rows * count * width));
    for (std::int64_t h = 0; h < count; ++h) {
      const auto take = [&](const HeadView& of, std::int64_t head) {
        return host(head_of(of, head).rows_of(starts[s], rows));
      };
      const tensor::Tensor own = take(view, h);
      const tensor::Tensor all = shared == nullptr ? tensor::Tensor() : take(*shared, 0);
      for (std::int64_t i = 0; i < rows; ++i) {
        append_row(by_head, own, i);
        if (shared != nullptr) append_row(by_head, all, i);
        std::copy_n(by_head.end() - width, width, by_row.begin() + (i * count + h) * width);
      }
    }
    const std::int64_t sequence = first + static_cast<std::int64_t>(s);
    for (const Target& target : *targets)
      emit({target}, sequence,
           target.cache ? tensor::Shape{rows, count, width} : tensor::Shape{1, count, rows, width},
           target.cache ? by_row : by_head);
  }
}

// The queries of latent attention as they meet the cached latent, then their rotated part.
void TensorObserver::absorbed(const LayerSpec& layer, const AttentionArgs& args,
                              std::span<const std::int64_t> starts) {
  const auto* targets = targets_of(layer, Operand::kAbsorbedQuery);
  if (targets == nullptr) return;
  const auto& spec = std::get<model::MlaSpec>(layer.attention);
  const std::int64_t first = sequence_of(tokens_.front());
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    const std::int64_t rows = starts[s + 1] - starts[s];
    if (rows == 0) continue;
    std::vector<float> values;
    for (std::int64_t h = 0; h < spec.heads; ++h) {
      tensor::Tensor met = backend_.memory().allocate({rows, spec.kv_rank}, tensor::Dtype::kF32);
      absorb_query(backend_, spec, args.q, h, starts[s], expansion_.matrix(), met.matrix());
      const tensor::Tensor latent = host(met.matrix());
      const ConstMatrixView query = head_of(args.q, h).rows_of(starts[s], rows);
      const tensor::Tensor rotated = host(query.sub(0, rows, spec.nope_dim, spec.rope_dim));
      for (std::int64_t i = 0; i < rows; ++i) {
        append_row(values, latent, i);
        append_row(values, rotated, i);
      }
    }
    emit(*targets, first + static_cast<std::int64_t>(s),
         {1, spec.heads, rows, spec.kv_rank + spec.rope_dim}, values);
  }
}

void TensorObserver::scores(const LayerSpec& layer, const AttentionArgs& args,
                            std::span<const std::int64_t> starts) {
  const auto* scores = targets_of(layer, Operand::kScores);
  const auto* logits = targets_of(layer, Operand::kLogits);
  const auto* probabilities = targets_of(layer, Operand::kProbabilities);
  if (scores == nullptr && logits == nullptr && probabilities == nullptr) return;
  const std::int64_t first = sequence_of(tokens_.front());
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    const std::int64_t rows = starts[s + 1] - starts[s];
    if (rows == 0) continue;
    SequenceScores all;
    for (std::int64_t h = 0; values_ && h < args.heads; ++h) {
      const auto one = sequence_scores(backend_, args, h, starts[s], rows);
      all.scores.insert(all.scores.end(), one.scores.begin(), one.scores.end());
      all.logits.insert(all.logits.end(), one.logits.begin(), one.logits.end());
      all.probabilities.insert(all.probabilities.end(), one.probabilities.begin(),
                               one.probabilities.end());
    }
    const std::int64_t sequence = first + static_cast<std::int64_t>(s);
    const tensor::Shape shape{1, args.heads, rows, rows};
    if (scores != nullptr) emit(*scores, sequence, shape, all.scores);
    if (logits != nullptr) emit(*logits, sequence, shape, all.logits);
    if (probabilities != nullptr) emit(*probabilities, sequence, shape, all.probabilities);
  }
}

void TensorObserver::attention(const LayerSpec& layer, const AttentionArgs& args,
                               std::span<const std::int64_t> starts) {
  for (const auto which : {Operand::kQuery, Operand::kKey, Operand::kValue})
    heads(layer, which, args, starts);
  absorbed(layer, args, starts);
  scores(layer, args, starts);
}

void TensorObserver::latent(const LayerSpec& layer, ConstMatrixView rows) {
  const auto& spec = std::get<model::MlaSpec>(layer.attention);
  latents(layer, Operand::kLatentKey, rows);
  latents(layer, Operand::kLatentValue, rows.sub(0, rows.rows, 0, spec.kv_rank));
}

void TensorObserver::latents(const LayerSpec& layer, Operand which, ConstMatrixView rows) {
  const auto* targets = targets_of(layer, which);
  if (targets == nullptr) return;
  Series series;
  last_piece_ = true;  // sequences end with their tile
  collect(series, *targets, rows);
}

void TensorObserver::mixture(const LayerSpec& layer, ConstMatrixView y) {
  const auto* targets = targets_of(layer, Operand::kMixture);
  if (targets == nullptr) return;
  std::int64_t& before = mixture_rows_[layer.index];
  tokens_.resize(static_cast<std::size_t>(y.rows));
  for (std::int64_t& token : tokens_) token = before++;
  Series series;
  last_piece_ = true;
  collect(series, *targets, y);
}

}  // namespace whit::pipeline
