#include "model/alibi.h"
#include "model/blocks.h"
#include "model/heads.h"
#include "model/mlp.h"
#include "model/rotary.h"

namespace whit::model {

using tensor::ConstMatrixView;
using tensor::MatrixView;

namespace {

class Gqa {
 public:
  Gqa(LayerRun& run, const GqaSpec& spec)
      : run_(run),
        spec_(spec),
        split_(spec),
        rotary_(run, spec.rope),
        alibi_(run, spec.alibi),
        q_norm_(run.context, spec.q_norm),
        k_norm_(run.context, spec.k_norm) {}

  void run() {
    ForwardContext& context = run_.context;
    context.store.create(Slot::kQuery, run_.tokens(), spec_.q_width());

    Stage in = tile_stage(run_, spec_.qkv.front().reads, run_.hidden(), pointers_to(spec_.qkv));
    in.produce = normed_hidden(run_, run_.inside(run_.layer.attention_norm));
    in.consume = [this](std::size_t piece, std::span<const MatrixView> y) {
      project(run_.tiles[piece], y);
    };
    context.runner.run({&in, 1});

    Stage out = tile_stage(run_, spec_.o.reads, spec_.q_width(), {&spec_.o});
    out.produce = copied_slot(run_, Slot::kQuery);
    out.consume = added_to_hidden(run_, run_.layer.attention_out_norm);
    context.runner.run({&out, 1});
    context.store.drop(Slot::kQuery);
  }

 private:
  void project(const Tile& tile, std::span<const MatrixView> y) {
    tensor::Tensor regrouped;
    const auto [q, k, v] = split_.split(run_.context.backend, y, regrouped);
    norm_heads(spec_.q_norm, q_norm_, q);
    norm_heads(spec_.k_norm, k_norm_, k);
    rotary_.rotate(tile, q, spec_.heads, 0, spec_.head_dim);
    rotary_.rotate(tile, k, spec_.kv_heads, 0, spec_.head_dim);
    if (const Serving::Cache* cache = cache_rounding(run_)) {
      run_.context.backend.codec().round_fp8(k, cache->key);
      run_.context.backend.codec().round_fp8(v, cache->value);
    }
    const auto out = run_.context.store.lease(Slot::kQuery, tile.first_row, tile.rows,
                                              ActivationStore::Access::kWrite);
    const Qkv all{q, k, v};
    if (Observer* observer = run_.context.observer)
      observer->attention(run_.layer, attention_args(spec_, alibi_, q, k, v),
                          starts_in(run_, tile));
    for_sequences(run_, tile, [&](std::int64_t row0, std::int64_t rows, std::int64_t) {
      attend({all[0].rows_of(row0, rows), all[1].rows_of(row0, rows), all[2].rows_of(row0, rows)},
             out->view().rows_of(row0, rows));
    });
  }

  // One sequence; q and k are rotated.
  void attend(const Qkv& qkv, MatrixView out) {
    ConstMatrixView keys = qkv[1];
    ConstMatrixView values = qkv[2];
    if (KvCache* cache = run_.context.cache) {
      const auto layer = static_cast<std::size_t>(run_.layer.index);
      keys = cache->append(layer, 0, keys);
      values = cache->append(layer, 1, values);
    }
    run_.context.backend.neural().attention(attention_args(spec_, alibi_, qkv[0], keys, values),
                                            out);
  }

  LayerRun& run_;
  const GqaSpec& spec_;
  QkvSplit split_;
  Rotary rotary_;
  Alibi alibi_;
  Norm q_norm_, k_norm_;
};

}  // namespace

void run_attention(LayerRun& run, const GqaSpec& spec) {
  Gqa(run, spec).run();
}

}  // namespace whit::model
