#include "model/attention_metric.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "model/blocks.h"
#include "model/heads.h"
#include "model/rotary.h"

namespace whit::model {

using compute::HeadView;
using compute::Transpose;
using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;
using Access = ActivationStore::Access;

namespace {

// SplitMix64 (Steele, Lea, Flood 2014) as a function of a counter.
std::uint64_t mixed(std::uint64_t counter) {
  std::uint64_t z = (counter + 1) * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

// What attention reads, from a stream that the layer has not touched yet.
Produce layer_input(LayerRun& run) {
  const bool first = run.layer.norm_place != NormPlace::kSum;
  return normed_hidden(run, first ? run.layer.attention_norm : std::nullopt);
}

// What both kinds of attention need on their way back.
class Probe {
 public:
  Probe(LayerRun& run, std::vector<LinearMetric>& metrics) : run_(run), metrics_(metrics) {}

 protected:
  compute::Backend& backend() { return run_.context.backend; }
  WeightHandle weight(const LinearSpec& spec) { return run_.context.weights.linear(spec); }

  Tensor allocate(std::int64_t rows, std::int64_t cols) {
    return backend().memory().allocate({rows, cols}, Dtype::kF32);
  }

  Tensor applied(const LinearSpec& spec, ConstMatrixView x) {
    const WeightHandle w = weight(spec);
    const WeightHandle bias = run_.context.weights.bias(spec);
    Tensor y = allocate(x.rows, spec.out_features);
    backend().linalg().linear(x, w->matrix(), bias ? bias->as<float>() : nullptr, y.matrix());
    return y;
  }

  // dy through a linear, back to its input.
  Tensor taken_back(const LinearSpec& spec, ConstMatrixView dy) {
    const WeightHandle w = weight(spec);
    Tensor dx = allocate(dy.rows, spec.in_features);
    backend().linalg().gemm(1.0F, dy, Transpose::kNo, w->matrix(), Transpose::kNo, 0.0F,
                            dx.matrix());
    return dx;
  }

  // Random signs over the rms of the residual stream, taken back through the norm of the output, if
  // there is one, and the output projection, which reads `in`.
  Tensor projected(const Tile& tile, const LinearSpec& o, const Tensor& in) {
    const auto lease =
        run_.context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kRead);
    const std::int64_t hidden = run_.hidden();
    Tensor stream = allocate(tile.rows, hidden);
    backend().memory().copy(lease->view().sub(0, tile.rows, 0, hidden), stream.matrix());
    const std::vector<double> squares =
        backend().linalg().row_dots(stream.matrix(), stream.matrix(), hidden);
    Tensor signs({tile.rows, hidden}, Dtype::kF32);
    for (std::int64_t t = 0; t < tile.rows; ++t) {
      const double mean = squares[static_cast<std::size_t>(t)] / static_cast<double>(hidden);
      const auto size = static_cast<float>(1.0 / std::sqrt(mean + 1e-12));
      for (std::int64_t k = 0; k < hidden; ++k) {
        const auto at = static_cast<std::uint64_t>((tile.first_row + t) * hidden + k);
        signs.as<float>()[t * hidden + k] = (mixed(at) & 1) != 0 ? size : -size;
      }
    }
    Tensor on_device = backend().memory().upload(signs.view());
    if (const Norm norm(run_.context, run_.layer.attention_out_norm); norm)
      norm.apply_back(applied(o, in.matrix()).matrix(), on_device.matrix(), on_device.matrix());
    return taken_back(o, on_device.matrix());
  }

  void add(const LinearSpec& spec, ConstMatrixView dy) {
    const std::int64_t block = metric_block(run_.layer, spec);
    const auto found = std::find_if(metrics_.begin(), metrics_.end(),
                                    [&](const LinearMetric& m) { return m.linear == &spec; });
    LinearMetric& metric =
        found != metrics_.end()
            ? *found
            : metrics_.emplace_back(LinearMetric{&spec, allocate(spec.out_features, block)});
    for (std::int64_t n = 0; n < spec.out_features; n += block)
      backend().linalg().gram(dy.sub(0, dy.rows, n, block), {},
                              metric.metric.matrix().rows_of(n, block));
  }

  LayerRun& run_;
  std::vector<LinearMetric>& metrics_;
};

class GqaProbe : public Probe {
 public:
  GqaProbe(LayerRun& run, const GqaSpec& spec, std::vector<LinearMetric>& metrics)
      : Probe(run, metrics),
        spec_(spec),
        split_(spec),
        rotary_(run, spec.rope),
        alibi_(run, spec.alibi),
        q_norm_(run.context, spec.q_norm),
        k_norm_(run.context, spec.k_norm),
        normed_(layer_input(run)) {}

  void visit(std::size_t piece, const Tile& tile) {
    Tensor x = allocate(tile.rows, run_.hidden());
    normed_(piece, x.matrix());
    std::vector<Tensor> outputs;
    std::vector<MatrixView> views;
    for (const LinearSpec& linear : spec_.qkv) {
      outputs.push_back(applied(linear, x.matrix()));
      views.push_back(outputs.back().matrix());
    }
    Tensor regrouped;
    const Qkv qkv = split_.split(backend(), views, regrouped);
    const Tensor raw_q = copied(qkv[0]);
    const Tensor raw_k = copied(qkv[1]);
    norm_heads(spec_.q_norm, q_norm_, qkv[0]);
    norm_heads(spec_.k_norm, k_norm_, qkv[1]);
    rotary_.rotate(tile, qkv[0], spec_.heads, 0, spec_.head_dim);
    rotary_.rotate(tile, qkv[1], spec_.kv_heads, 0, spec_.head_dim);

    const Tensor dout = projected(tile, spec_.o, attended(tile, qkv));
    Tensor dq = allocate(tile.rows, spec_.q_width());
    Tensor dk = allocate(tile.rows, spec_.kv_width());
    Tensor dv = allocate(tile.rows, spec_.kv_width());
    for_sequences(run_, tile, [&](std::int64_t row0, std::int64_t rows, std::int64_t) {
      backend().gradient().attention(args_of(qkv, row0, rows), dout.matrix().rows_of(row0, rows),
                                     {dq.matrix().rows_of(row0, rows),
                                      dk.matrix().rows_of(row0, rows),
                                      {},
                                      dv.matrix().rows_of(row0, rows)});
    });
    rotary_.rotate_back(tile, dq.matrix(), spec_.heads, 0, spec_.head_dim);
    rotary_.rotate_back(tile, dk.matrix(), spec_.kv_heads, 0, spec_.head_dim);
    norm_heads_back(spec_.q_norm, q_norm_, raw_q.matrix(), dq.matrix());
    norm_heads_back(spec_.k_norm, k_norm_, raw_k.matrix(), dk.matrix());
    const auto gradients = split_.join(backend(), {dq.matrix(), dk.matrix(), dv.matrix()});
    for (std::size_t i = 0; i < gradients.size(); ++i) add(spec_.qkv[i], gradients[i].matrix());
  }

 private:
  Tensor copied(ConstMatrixView m) {
    Tensor copy = allocate(m.rows, m.cols);
    backend().memory().copy(m, copy.matrix());
    return copy;
  }

  compute::AttentionArgs args_of(const Qkv& qkv, std::int64_t row0, std::int64_t rows) const {
    return attention_args(spec_, alibi_, qkv[0].rows_of(row0, rows), qkv[1].rows_of(row0, rows),
                          qkv[2].rows_of(row0, rows));
  }

  // What the output projection reads; nothing where no norm of its output asks for it.
  Tensor attended(const Tile& tile, const Qkv& qkv) {
    if (!run_.layer.attention_out_norm) return {};
    Tensor out = allocate(tile.rows, spec_.q_width());
    for_sequences(run_, tile, [&](std::int64_t row0, std::int64_t rows, std::int64_t) {
      backend().neural().attention(args_of(qkv, row0, rows), out.matrix().rows_of(row0, rows));
    });
    return out;
  }

  const GqaSpec& spec_;
  QkvSplit split_;
  Rotary rotary_;
  Alibi alibi_;
  Norm q_norm_, k_norm_;
  Produce normed_;
};

class MlaProbe : public Probe {
 public:
  MlaProbe(LayerRun& run, const MlaSpec& spec, std::vector<LinearMetric>& metrics)
      : Probe(run, metrics),
        spec_(spec),
        rotary_(run, spec.rope),
        normed_(layer_input(run)),
        kv_norm_(run.context, spec.kv_a_norm),
        q_norm_(run.context, spec.q_a_norm) {
    base::check(!run.layer.attention_out_norm, "latent attention's output is added as it is");
  }

  void visit(std::size_t piece, const Tile& tile) {
    Tensor x = allocate(tile.rows, run_.hidden());
    normed_(piece, x.matrix());
    const Tensor kv_a = applied(spec_.kv_a, x.matrix());
    Tensor q_a;
    if (spec_.q_a) {
      q_a = applied(*spec_.q_a, x.matrix());
      x = allocate(tile.rows, spec_.q_a->out_features);
      q_norm_.apply(q_a.matrix(), x.matrix());
    }
    Tensor q = applied(spec_.q_b, x.matrix());
    rotary_.rotate(tile, q.matrix(), spec_.heads, spec_.nope_dim, qk_dim());
    Tensor latent = allocate(tile.rows, spec_.kv_rank);
    kv_norm_.apply(latent_of(kv_a), latent.matrix());
    Tensor key = allocate(tile.rows, spec_.rope_dim);
    backend().memory().copy(kv_a.matrix().sub(0, tile.rows, spec_.kv_rank, spec_.rope_dim),
                            key.matrix());
    rotary_.rotate(tile, key.matrix(), 1, 0, spec_.rope_dim);
    const Tensor kv = applied(spec_.kv_b, latent.matrix());

    const Tensor dout = projected(tile, spec_.o, {});
    Tensor dq = allocate(tile.rows, q.shape()[1]);
    Tensor dkv = allocate(tile.rows, kv.shape()[1]);
    Tensor dkey = allocate(tile.rows, spec_.rope_dim);
    for_sequences(run_, tile, [&](std::int64_t row0, std::int64_t rows, std::int64_t) {
      attend_back(q.matrix().rows_of(row0, rows), kv.matrix().rows_of(row0, rows),
                  key.matrix().rows_of(row0, rows), dout.matrix().rows_of(row0, rows),
                  dq.matrix().rows_of(row0, rows), dkv.matrix().rows_of(row0, rows),
                  dkey.matrix().rows_of(row0, rows));
    });
    rotary_.rotate_back(tile, dq.matrix(), spec_.heads, spec_.nope_dim, qk_dim());
    rotary_.rotate_back(tile, dkey.matrix(), 1, 0, spec_.rope_dim);
    add(spec_.q_b, dq.matrix());
    add(spec_.kv_b, dkv.matrix());
    if (spec_.q_a) {
      const Tensor dx = taken_back(spec_.q_b, dq.matrix());
      Tensor da = allocate(tile.rows, spec_.q_a->out_features);
      q_norm_.apply_back(q_a.matrix(), dx.matrix(), da.matrix());
      add(*spec_.q_a, da.matrix());
    }
    const Tensor dlatent = taken_back(spec_.kv_b, dkv.matrix());
    Tensor da = allocate(tile.rows, spec_.kv_a.out_features);
    kv_norm_.apply_back(latent_of(kv_a), dlatent.matrix(),
                        da.matrix().sub(0, tile.rows, 0, spec_.kv_rank));
    backend().memory().copy(dkey.matrix(),
                            da.matrix().sub(0, tile.rows, spec_.kv_rank, spec_.rope_dim));
    add(spec_.kv_a, da.matrix());
  }

 private:
  std::int64_t qk_dim() const { return spec_.nope_dim + spec_.rope_dim; }

  ConstMatrixView latent_of(const Tensor& kv_a) const {
    return kv_a.matrix().sub(0, kv_a.shape()[0], 0, spec_.kv_rank);
  }

  // One sequence. kv and dkv hold [nope | v] per head.
  void attend_back(ConstMatrixView q, ConstMatrixView kv, ConstMatrixView key, ConstMatrixView dout,
                   MatrixView dq, MatrixView dkv, MatrixView dkey) {
    const std::int64_t kv_dim = spec_.nope_dim + spec_.v_dim;
    compute::AttentionArgs args;
    args.heads = spec_.heads;
    args.kv_heads = spec_.heads;
    args.q = HeadView{q, 0, qk_dim(), qk_dim()};
    args.k = HeadView{kv, 0, kv_dim, spec_.nope_dim};
    args.k_shared = HeadView{key, 0, 0, spec_.rope_dim};
    args.v = HeadView{kv, spec_.nope_dim, kv_dim, spec_.v_dim};
    args.scale = spec_.scale;
    Tensor dk = allocate(q.rows, spec_.heads * spec_.nope_dim);
    Tensor dv = allocate(q.rows, spec_.heads * spec_.v_dim);
    backend().gradient().attention(args, dout, {dq, dk.matrix(), dkey, dv.matrix()});
    for (std::int64_t h = 0; h < spec_.heads; ++h) {
      backend().memory().copy(dk.matrix().sub(0, q.rows, h * spec_.nope_dim, spec_.nope_dim),
                              dkv.sub(0, q.rows, h * kv_dim, spec_.nope_dim));
      backend().memory().copy(dv.matrix().sub(0, q.rows, h * spec_.v_dim, spec_.v_dim),
                              dkv.sub(0, q.rows, h * kv_dim + spec_.nope_dim, spec_.v_dim));
    }
  }

  const MlaSpec& spec_;
  Rotary rotary_;
  Produce normed_;
  Norm kv_norm_, q_norm_;
};

template <typename KindProbe, typename Spec>
void visit_tiles(LayerRun& run, const Spec& spec, std::int64_t tokens,
                 std::vector<LinearMetric>& metrics) {
  KindProbe probe(run, spec, metrics);
  for (std::size_t piece = 0; piece < run.tiles.size() && tokens > 0; ++piece) {
    probe.visit(piece, run.tiles[piece]);
    tokens -= run.tiles[piece].rows;
  }
}

void visit(LayerRun& run, const GqaSpec& spec, std::int64_t tokens,
           std::vector<LinearMetric>& metrics) {
  visit_tiles<GqaProbe>(run, spec, tokens, metrics);
}

void visit(LayerRun& run, const MlaSpec& spec, std::int64_t tokens,
           std::vector<LinearMetric>& metrics) {
  visit_tiles<MlaProbe>(run, spec, tokens, metrics);
}

std::int64_t block_of(const GqaSpec& spec, const LinearSpec& linear) {
  return &linear == &spec.o ? 0 : spec.head_dim;
}

std::int64_t block_of(const MlaSpec& spec, const LinearSpec& linear) {
  if (&linear == &spec.o) return 0;
  if (&linear == &spec.q_b) return spec.nope_dim + spec.rope_dim;
  return &linear == &spec.kv_b ? spec.nope_dim + spec.v_dim : linear.out_features;
}

}  // namespace

std::int64_t metric_block(const LayerSpec& layer, const LinearSpec& linear) {
  if (linear.reads.site != stats::Site::kAttnIn && linear.reads.site != stats::Site::kQLatent &&
      linear.reads.site != stats::Site::kKvLatent)
    return 0;
  return std::visit([&](const auto& attention) { return block_of(attention, linear); },
                    layer.attention);
}

std::vector<LinearMetric> attention_metrics(ForwardContext& context, const LayerSpec& layer,
                                            std::int64_t tokens) {
  LayerRun run(context, layer);
  std::vector<LinearMetric> metrics;
  std::visit([&](const auto& attention) { visit(run, attention, tokens, metrics); },
             layer.attention);
  return metrics;
}

}  // namespace whit::model
