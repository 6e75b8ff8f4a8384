#include "model/heads.h"

namespace whit::model {

using tensor::ConstMatrixView;
using tensor::MatrixView;

namespace {

std::vector<std::int32_t> columns_by_kind(const GqaSpec& spec) {
  std::vector<std::int32_t> columns;
  if (spec.layout != QkvLayout::kGroups) return columns;
  const std::int64_t queries = spec.heads / spec.kv_heads;
  const auto add = [&](std::int64_t group, std::int64_t head) {
    for (std::int64_t c = 0; c < spec.head_dim; ++c)
      columns.push_back(
          static_cast<std::int32_t>((group * (queries + 2) + head) * spec.head_dim + c));
  };
  for (std::int64_t h = 0; h < spec.heads; ++h) add(h / queries, h % queries);
  for (const std::int64_t kind : {queries, queries + 1})
    for (std::int64_t g = 0; g < spec.kv_heads; ++g) add(g, kind);
  return columns;
}

}  // namespace

QkvSplit::QkvSplit(const GqaSpec& spec) : spec_(&spec), columns_(columns_by_kind(spec)) {
  back_.resize(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i)
    back_[static_cast<std::size_t>(columns_[i])] = static_cast<std::int32_t>(i);
}

Qkv QkvSplit::split(compute::Backend& backend, std::span<const MatrixView> y,
                    tensor::Tensor& regrouped) const {
  if (spec_->layout == QkvLayout::kSeparate) return {y[0], y[1], y[2]};
  MatrixView all = y[0];
  if (spec_->layout == QkvLayout::kGroups) {
    regrouped = backend.memory().allocate({all.rows, all.cols}, tensor::Dtype::kF32);
    backend.linalg().permute(y[0], {}, columns_, regrouped.matrix());
    all = regrouped.matrix();
  }
  const std::int64_t q = spec_->q_width();
  const std::int64_t kv = spec_->kv_width();
  return {all.sub(0, all.rows, 0, q), all.sub(0, all.rows, q, kv),
          all.sub(0, all.rows, q + kv, kv)};
}

std::vector<tensor::Tensor> QkvSplit::join(compute::Backend& backend, const Qkv& qkv) const {
  std::vector<tensor::Tensor> joined;
  const std::int64_t rows = qkv[0].rows;
  for (const LinearSpec& linear : spec_->qkv)
    joined.push_back(backend.memory().allocate({rows, linear.out_features}, tensor::Dtype::kF32));
  std::int64_t col = 0;
  for (std::size_t i = 0; i < qkv.size(); ++i) {
    tensor::Tensor& target = joined[joined.size() == 1 ? 0 : i];
    backend.memory().copy(qkv[i], target.matrix().sub(0, rows, col, qkv[i].cols));
    if (joined.size() == 1) col += qkv[i].cols;
  }
  if (spec_->layout != QkvLayout::kGroups) return joined;
  tensor::Tensor grouped = backend.memory().allocate(joined.front().shape(), tensor::Dtype::kF32);
  backend.linalg().permute(joined.front().matrix(), {}, back_, grouped.matrix());
  joined.front() = std::move(grouped);
  return joined;
}

void norm_heads(const std::optional<NormSpec>& spec, const Norm& norm, MatrixView x) {
  if (!spec) return;
  const std::int64_t width = spec->weight.size;
  for (std::int64_t col = 0; col < x.cols; col += width) {
    const MatrixView head = x.sub(0, x.rows, col, width);
    norm.apply(head, head);
  }
}

void norm_heads_back(const std::optional<NormSpec>& spec, const Norm& norm, ConstMatrixView x,
                     MatrixView dy) {
  if (!spec) return;
  const std::int64_t width = spec->weight.size;
  for (std::int64_t col = 0; col < x.cols; col += width) {
    const MatrixView head = dy.sub(0, x.rows, col, width);
    norm.apply_back(x.sub(0, x.rows, col, width), head, head);
  }
}

compute::AttentionArgs attention_args(const GqaSpec& spec, const Alibi& alibi, ConstMatrixView q,
                                      ConstMatrixView k, ConstMatrixView v) {
  const auto heads = [&](ConstMatrixView data) {
    return compute::HeadView{data, 0, spec.head_dim, spec.head_dim};
  };
  compute::AttentionArgs args;
  args.heads = spec.heads;
  args.kv_heads = spec.kv_heads;
  args.q = heads(q);
  args.k = heads(k);
  args.v = heads(v);
  args.scale = spec.scale;
  args.softcap = spec.softcap;
  args.window = spec.window;
  args.key_bias = alibi.key_bias();
  return args;
}

}  // namespace whit::model
