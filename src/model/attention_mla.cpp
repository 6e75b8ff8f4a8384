#include <algorithm>

#include "model/blocks.h"
#include "model/rotary.h"

namespace whit::model {

using compute::HeadView;
using tensor::ConstMatrixView;
using tensor::MatrixView;
using Access = ActivationStore::Access;

namespace {

class Mla {
 public:
  Mla(LayerRun& run, const MlaSpec& spec)
      : run_(run), spec_(spec), rotary_(run, spec.rope), kv_norm_(run.context, spec.kv_a_norm) {
    if (spec.q_a_norm) q_norm_ = Norm(run.context, *spec.q_a_norm);
    for (const Tile& tile : run.tiles)
      for_sequences(run, tile, [&](std::int64_t, std::int64_t rows, std::int64_t) {
        longest_ = std::max(longest_, rows);
      });
  }

  void run() {
    const std::int64_t tokens = run_.tokens();
    store().create(Slot::kKvLatent, tokens, spec_.kv_rank + spec_.rope_dim);
    if (spec_.q_a)
      store().create(Slot::kQueryLatent, tokens, spec_.q_a->out_features);
    else
      store().create(Slot::kQuery, tokens, query_width());
    project_in();
    if (recomputed()) return attend_when_asked();
    attended_ =
        run_.context.backend.memory().allocate({longest_, out_width()}, tensor::Dtype::kF32);
    if (spec_.q_a) {
      store().create(Slot::kQuery, tokens, query_width());
      expand_query();
      store().drop(Slot::kQueryLatent);
    }
    expand_keys_and_attend();
    store().drop(Slot::kKvLatent);
    project_out();
    store().drop(Slot::kQuery);
  }

 private:
  ActivationStore& store() { return run_.context.store; }
  std::int64_t qk_dim() const { return spec_.nope_dim + spec_.rope_dim; }
  std::int64_t out_width() const { return spec_.heads * spec_.v_dim; }
  std::int64_t query_width() const { return std::max(spec_.heads * qk_dim(), out_width()); }

  std::unique_ptr<Lease> lease(Slot slot, const Tile& tile, Access access) {
    return store().lease(slot, tile.first_row, tile.rows, access);
  }

  void project_in() {
    const LinearSpec& query = spec_.q_a ? *spec_.q_a : spec_.q_b;
    Stage stage = tile_stage(run_, spec_.kv_a.reads, run_.hidden(), {&query, &spec_.kv_a});
    stage.produce = normed_hidden(run_, run_.inside(run_.layer.attention_norm));
    stage.consume = [this](std::size_t piece, std::span<const MatrixView> y) {
      const Tile& tile = run_.tiles[piece];
      store_latent(tile, y[1]);
      if (!spec_.q_a) return store_query(tile, y[0]);
      const auto out = lease(Slot::kQueryLatent, tile, Access::kWrite);
      q_norm_.apply(y[0], out->view());
    };
    run_.context.runner.run({&stage, 1});
  }

  void store_latent(const Tile& tile, ConstMatrixView kv) {
    const auto out = lease(Slot::kKvLatent, tile, Access::kWrite);
    const MatrixView latent = out->view();
    kv_norm_.apply(kv.sub(0, tile.rows, 0, spec_.kv_rank),
                   latent.sub(0, tile.rows, 0, spec_.kv_rank));
    const MatrixView key = latent.sub(0, tile.rows, spec_.kv_rank, spec_.rope_dim);
    run_.context.backend.memory().copy(kv.sub(0, tile.rows, spec_.kv_rank, spec_.rope_dim), key);
    rotary_.rotate(tile, key, 1, 0, spec_.rope_dim);
    if (Observer* observer = run_.context.observer) observer->latent(run_.layer, latent);
    if (const Serving::Cache* cache = cache_rounding(run_))
      run_.context.backend.codec().round_fp8(latent, cache->key);
  }

  void store_query(const Tile& tile, MatrixView q) {
    rotary_.rotate(tile, q, spec_.heads, spec_.nope_dim, qk_dim());
    const auto out = lease(Slot::kQuery, tile, Access::kWrite);
    run_.context.backend.memory().copy(q, out->view().sub(0, tile.rows, 0, q.cols));
  }

  void expand_query() {
    Stage stage = tile_stage(run_, spec_.q_b.reads, spec_.q_b.in_features, {&spec_.q_b});
    stage.produce = copied_slot(run_, Slot::kQueryLatent);
    stage.consume = [this](std::size_t piece, std::span<const MatrixView> y) {
      store_query(run_.tiles[piece], y[0]);
    };
    run_.context.runner.run({&stage, 1});
  }

  void expand_keys_and_attend() {
    Stage stage = tile_stage(run_, spec_.kv_b.reads, spec_.kv_rank, {&spec_.kv_b});
    stage.produce = copied_slot(run_, Slot::kKvLatent);
    stage.consume = [this](std::size_t piece, std::span<const MatrixView> y) {
      const Tile& tile = run_.tiles[piece];
      const auto query = lease(Slot::kQuery, tile, Access::kUpdate);
      const auto latent = lease(Slot::kKvLatent, tile, Access::kRead);
      const ConstMatrixView shared =
          latent->view().sub(0, tile.rows, spec_.kv_rank, spec_.rope_dim);
      if (Observer* observer = run_.context.observer)
        observer->attention(run_.layer, args_of(query->view(), y[0], shared),
                            starts_in(run_, tile));
      for_sequences(run_, tile, [&](std::int64_t row0, std::int64_t rows, std::int64_t) {
        attend(query->view().rows_of(row0, rows), y[0].rows_of(row0, rows),
               shared.rows_of(row0, rows));
      });
    };
    run_.context.runner.run({&stage, 1});
  }

  bool recomputed() const { return can_recompute(spec_) && may_recompute(run_.context); }

  void attend_when_asked() {
    const WeightHandle query = weight_of(spec_.q_b, Slot::kQueryLatent);
    const WeightHandle key_value = weight_of(spec_.kv_b, Slot::kKvLatent);
    Stage stage = tile_stage(run_, spec_.o.reads, out_width(), {&spec_.o});
    stage.produce = [&](std::size_t piece, MatrixView x) {
      attend_tile(run_.tiles[piece], *query, *key_value, x);
    };
    stage.consume = added_to_hidden(run_, run_.layer.attention_out_norm);
    run_.context.runner.run({&stage, 1});
    store().drop(Slot::kQueryLatent);
    store().drop(Slot::kKvLatent);
  }

  // As the runner applies it.
  WeightHandle weight_of(const LinearSpec& linear, Slot slot) {
    Stage stage = tile_stage(run_, linear.reads, linear.in_features, {&linear});
    stage.produce = copied_slot(run_, slot);
    return weights_of(run_, std::move(stage)).front();
  }

  // What the output linear reads of one tile.
  void attend_tile(const Tile& tile, const tensor::Tensor& query_weight,
                   const tensor::Tensor& key_value_weight, MatrixView x) {
    tensor::Tensor query = expanded(tile, Slot::kQueryLatent, query_weight);
    rotary_.rotate(tile, query.matrix(), spec_.heads, spec_.nope_dim, qk_dim());
    const tensor::Tensor kv = expanded(tile, Slot::kKvLatent, key_value_weight);
    const auto latent = lease(Slot::kKvLatent, tile, Access::kRead);
    const ConstMatrixView shared = latent->view().sub(0, tile.rows, spec_.kv_rank, spec_.rope_dim);
    for_sequences(run_, tile, [&](std::int64_t row0, std::int64_t rows, std::int64_t) {
      run_.context.backend.neural().attention(
          args_of(query.matrix().rows_of(row0, rows), kv.matrix().rows_of(row0, rows),
                  shared.rows_of(row0, rows)),
          x.rows_of(row0, rows));
    });
  }

  // A latent's first columns times a weight.
  tensor::Tensor expanded(const Tile& tile, Slot slot, const tensor::Tensor& weight) {
    const ConstMatrixView w = weight.matrix();
    compute::Backend& backend = run_.context.backend;
    tensor::Tensor x = backend.memory().allocate({tile.rows, w.cols}, tensor::Dtype::kF32);
    backend.memory().copy(lease(slot, tile, Access::kRead)->view().sub(0, tile.rows, 0, w.cols),
                          x.matrix());
    tensor::Tensor y = backend.memory().allocate({tile.rows, w.rows}, tensor::Dtype::kF32);
    backend.linalg().linear(x.matrix(), w, nullptr, y.matrix());
    return y;
  }

  // kv holds [nope | v] per head.
  compute::AttentionArgs args_of(ConstMatrixView query, ConstMatrixView kv,
                                 ConstMatrixView shared_key) const {
    const std::int64_t kv_dim = spec_.nope_dim + spec_.v_dim;
    compute::AttentionArgs args;
    args.heads = spec_.heads;
    args.kv_heads = spec_.heads;
    args.q = HeadView{query, 0, qk_dim(), qk_dim()};
    args.k = HeadView{kv, 0, kv_dim, spec_.nope_dim};
    args.k_shared = HeadView{shared_key, 0, 0, spec_.rope_dim};
    args.v = HeadView{kv, spec_.nope_dim, kv_dim, spec_.v_dim};
    args.scale = spec_.scale;
    return args;
  }

  // One sequence: query rows become the attention's output rows.
  void attend(MatrixView query, ConstMatrixView kv, ConstMatrixView shared_key) {
    if (KvCache* cache = run_.context.cache) {
      const auto layer = static_cast<std::size_t>(run_.layer.index);
      kv = cache->append(layer, 0, kv);
      shared_key = cache->append(layer, 1, shared_key);
    }
    const MatrixView out = attended_.matrix().rows_of(0, query.rows);
    run_.context.backend.neural().attention(args_of(query, kv, shared_key), out);
    run_.context.backend.memory().copy(out, query.sub(0, query.rows, 0, out_width()));
  }

  void project_out() {
    Stage stage = tile_stage(run_, spec_.o.reads, out_width(), {&spec_.o});
    stage.produce = copied_slot(run_, Slot::kQuery);
    stage.consume = added_to_hidden(run_, run_.layer.attention_out_norm);
    run_.context.runner.run({&stage, 1});
  }

  LayerRun& run_;
  const MlaSpec& spec_;
  Rotary rotary_;
  Norm kv_norm_, q_norm_;
  std::int64_t longest_ = 0;
  tensor::Tensor attended_;
};

}  // namespace

void run_attention(LayerRun& run, const MlaSpec& spec) {
  Mla(run, spec).run();
}

}  // namespace whit::model
