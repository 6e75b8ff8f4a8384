#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "model/blocks.h"
#include "model/mlp.h"
#include "model/routing.h"

namespace whit::model {

using tensor::MatrixView;
using Access = ActivationStore::Access;

namespace {

// The rows of one expert: those routed to it, then those that it sees for statistics only.
struct ExpertRows {
  const MlpSpec* spec = nullptr;
  std::vector<std::int32_t> rows;
  std::vector<float> weights;
  std::int64_t routed = 0;
  std::int64_t mid_row0 = 0;  // its first row in kMid
  bool own = true;            // this rank's to compute
  tensor::Tensor out;         // host, [routed, hidden]: what the ranks exchange
  std::int64_t at_once = 0;   // rows of a piece

  std::int64_t count() const { return static_cast<std::int64_t>(rows.size()); }
  std::int64_t first_of(std::size_t piece) const {
    return static_cast<std::int64_t>(piece) * at_once;
  }
  std::int64_t rows_of(std::size_t piece) const {
    return std::min(at_once, count() - first_of(piece));
  }
};

// kHidden += weight of the token's row * y[0].
Consume weighed_into_hidden(LayerRun& run, std::span<const float> weights) {
  return [&run, weights](std::size_t piece, std::span<const MatrixView> y) {
    const Tile& tile = run.tiles[piece];
    std::vector<std::int32_t> rows(static_cast<std::size_t>(tile.rows));
    std::iota(rows.begin(), rows.end(), static_cast<std::int32_t>(tile.first_row));
    run.context.store.scatter_add(
        Slot::kHidden, rows, weights.subspan(static_cast<std::size_t>(tile.first_row), rows.size()),
        y[0]);
  };
}

// Last of the block: its output can make up for what the routed experts lost.
void run_shared(LayerRun& run, const MoeSpec& spec, std::span<const float> weights) {
  const MlpSpec& shared = *spec.shared;
  ForwardContext& context = run.context;
  context.store.create(Slot::kMid, run.tokens(), shared.down.in_features);
  Stage in = tile_stage(run, spec.router.weight.reads, run.hidden(), pointers_to(shared.in));
  in.observed_before = true;
  in.produce = copied_slot(run, Slot::kMlpIn);
  in.consume = activated_into(run, shared, Slot::kMid);
  context.runner.run({&in, 1});

  Stage out = tile_stage(run, shared.down.reads, shared.down.in_features, {&shared.down});
  out.produce = copied_slot(run, Slot::kMid);
  out.consume =
      spec.shared_gate ? weighed_into_hidden(run, weights) : added_to_hidden(run, std::nullopt);
  context.runner.run({&out, 1});
  context.store.drop(Slot::kMid);
}

ExpertRows rows_of_expert(LayerRun& run, const MoeSpec& spec, Dispatch& dispatch,
                          std::size_t expert) {
  ExpertRows result;
  result.spec = &spec.experts[expert];
  result.at_once = run.context.backend.tile_tokens();
  result.own = run.shares.owner_of_expert(expert) == run.shares.rank();
  std::vector<std::int32_t> extra;
  if (result.own)
    extra = run.context.runner.extra_rows(run.layer, static_cast<int>(expert),
                                          dispatch.rows[expert], dispatch.scores);
  result.rows = std::move(dispatch.rows[expert]);
  result.weights = std::move(dispatch.weights[expert]);
  result.routed = result.count();
  for (const std::int32_t row : extra) {
    result.rows.push_back(row);
    result.weights.push_back(weight_if_chosen(dispatch, spec.router, row, expert));
  }
  return result;
}

Stage expert_stage(const ExpertRows& expert, const LinearSpec& first) {
  Stage stage;
  stage.site = first.reads;
  stage.width = first.in_features;
  const std::int64_t pieces = base::ceil_div(expert.count(), expert.at_once);
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    stage.piece_rows.push_back(expert.rows_of(static_cast<std::size_t>(piece)));
  stage.token_rows = expert.rows;
  stage.row_weights = expert.weights;
  if (expert.routed < expert.count()) stage.observed_only_from = expert.routed;
  return stage;
}

Stage gate_and_up(LayerRun& run, const ExpertRows& expert) {
  Stage stage = expert_stage(expert, expert.spec->in.front());
  stage.linears = pointers_to(expert.spec->in);
  stage.produce = [&run, &expert](std::size_t piece, MatrixView x) {
    const std::span<const std::int32_t> rows(expert.rows);
    run.context.store.gather(Slot::kMlpIn,
                             rows.subspan(static_cast<std::size_t>(expert.first_of(piece)),
                                          static_cast<std::size_t>(x.rows)),
                             x);
  };
  stage.consume = [&run, &expert](std::size_t piece, std::span<const MatrixView> y) {
    const auto mid = run.context.store.lease(Slot::kMid, expert.mid_row0 + expert.first_of(piece),
                                             y[0].rows, Access::kWrite);
    mid_of(run.context.backend, *expert.spec, y, mid->view());
  };
  return stage;
}

// What the routed experts add to the stream, and beside it where somebody observes it.
void add_outputs(LayerRun& run, std::span<const std::int32_t> rows, std::span<const float> weights,
                 tensor::ConstMatrixView y) {
  ActivationStore& store = run.context.store;
  store.scatter_add(Slot::kHidden, rows, weights, y);
  if (store.has(Slot::kMoeOut)) store.scatter_add(Slot::kMoeOut, rows, weights, y);
}

// Keeps rows [first, first + y.rows) of an expert's output for the ranks whose tokens they are.
void keep_output(LayerRun& run, ExpertRows& expert, std::int64_t first, MatrixView y) {
  compute::Memory& memory = run.context.backend.memory();
  if (expert.out.empty()) expert.out = tensor::Tensor({expert.routed, y.cols}, tensor::Dtype::kF32);
  tensor::Tensor dense = memory.allocate({y.rows, y.cols}, tensor::Dtype::kF32);
  memory.copy(y, dense.matrix());
  const tensor::Tensor host = memory.download(dense.view());
  std::copy_n(host.as<float>(), host.elements(), expert.out.as<float>() + first * y.cols);
}

// Every rank gets its tokens' rows of what the block's experts made, and adds them in the order of
// the experts, as one process would.
void exchange_outputs(LayerRun& run, std::vector<ExpertRows>& experts, std::size_t first_expert) {
  const Shares& shares = run.shares;
  const auto width = static_cast<std::size_t>(run.hidden());
  std::vector<comm::Bytes> send(static_cast<std::size_t>(shares.count()));
  for (ExpertRows& expert : experts) {
    if (expert.out.empty()) continue;
    for (std::int64_t i = 0; i < expert.routed; ++i) {
      auto& to = send[static_cast<std::size_t>(
          shares.owner_of_row(expert.rows[static_cast<std::size_t>(i)]))];
      const auto* row = reinterpret_cast<const std::byte*>(expert.out.as<float>()) +
                        i * static_cast<std::int64_t>(width * sizeof(float));
      to.insert(to.end(), row, row + width * sizeof(float));
    }
    expert.out = {};
  }
  const std::vector<comm::Bytes> received = shares.ranks().all_to_all_v(std::move(send));
  std::vector<std::size_t> at(received.size());
  for (std::size_t e = 0; e < experts.size(); ++e) {
    std::vector<std::int32_t> rows;
    std::vector<float> weights;
    for (std::size_t i = 0; i < static_cast<std::size_t>(experts[e].routed); ++i) {
      if (shares.owner_of_row(experts[e].rows[i]) != shares.rank()) continue;
      rows.push_back(experts[e].rows[i]);
      weights.push_back(experts[e].weights[i]);
    }
    if (rows.empty()) continue;
    const auto from = static_cast<std::size_t>(shares.owner_of_expert(first_expert + e));
    tensor::Tensor y({static_cast<std::int64_t>(rows.size()), run.hidden()}, tensor::Dtype::kF32);
    const std::size_t bytes = rows.size() * width * sizeof(float);
    base::check(at[from] + bytes <= received[from].size(), "an expert's rank sends what is due");
    std::copy_n(received[from].data() + at[from], bytes, y.data());
    at[from] += bytes;
    add_outputs(run, rows, weights, run.context.backend.memory().upload(y.view()).matrix());
  }
}

Stage down(LayerRun& run, ExpertRows& expert) {
  Stage stage = expert_stage(expert, expert.spec->down);
  stage.linears = {&expert.spec->down};
  stage.produce = [&run, &expert](std::size_t piece, MatrixView x) {
    const auto mid = run.context.store.lease(Slot::kMid, expert.mid_row0 + expert.first_of(piece),
                                             x.rows, Access::kRead);
    run.context.backend.memory().copy(mid->view(), x);
  };
  stage.consume = [&run, &expert](std::size_t piece, std::span<const MatrixView> y) {
    const std::int64_t first = expert.first_of(piece);
    const std::int64_t routed = std::clamp<std::int64_t>(expert.routed - first, 0, y[0].rows);
    if (routed == 0) return;
    if (run.shares.shared()) return keep_output(run, expert, first, y[0].rows_of(0, routed));
    const auto at = static_cast<std::size_t>(first);
    const auto count = static_cast<std::size_t>(routed);
    add_outputs(run, std::span<const std::int32_t>(expert.rows).subspan(at, count),
                std::span<const float>(expert.weights).subspan(at, count), y[0].rows_of(0, routed));
  };
  return stage;
}

void run_block(LayerRun& run, std::vector<ExpertRows>& experts, std::size_t first_expert) {
  std::int64_t total = 0;
  for (ExpertRows& expert : experts) {
    if (!expert.own) continue;
    expert.mid_row0 = total;
    total += expert.count();
  }
  if (total > 0)
    run.context.store.create(Slot::kMid, total, experts.front().spec->down.in_features);
  std::vector<Stage> stages;
  for (const ExpertRows& expert : experts)
    if (expert.own) stages.push_back(gate_and_up(run, expert));
  run.context.runner.run(stages);
  stages.clear();
  for (ExpertRows& expert : experts)
    if (expert.own) stages.push_back(down(run, expert));
  run.context.runner.run(stages);
  if (total > 0) run.context.store.drop(Slot::kMid);
  if (run.shares.shared()) exchange_outputs(run, experts, first_expert);
}

// Hands over what the routed experts added, which has been summed beside the stream.
void show_mixture(LayerRun& run, Observer& observer) {
  for (const Tile& tile : run.tiles)
    observer.mixture(
        run.layer,
        run.context.store.lease(Slot::kMoeOut, tile.first_row, tile.rows, Access::kRead)->view());
  run.context.store.drop(Slot::kMoeOut);
}

}  // namespace

// Outputs go straight into kHidden: the routed experts' in ascending order, then the shared
// expert's, so that no second matrix of the hidden state's size is held.
void run_mlp(LayerRun& run, const MoeSpec& spec) {
  ForwardContext& context = run.context;
  base::check(!run.layer.parallel && !run.layer.mlp_out_norm && run.layer.residual_scale == 1,
              "a mixture's output is added as it is");
  context.store.create(Slot::kMlpIn, run.tokens(), run.hidden());
  Observer* observer = context.observer;
  const bool observed = observer != nullptr && observer->wants_mixture(run.layer);
  if (observed) context.store.create(Slot::kMoeOut, run.tokens(), run.hidden());
  Dispatch dispatch = route_tokens(run, spec, context.runner.wants_scores());
  const auto block =
      static_cast<std::size_t>(std::max<std::int64_t>(context.runner.expert_block(run.layer), 1)) *
      static_cast<std::size_t>(run.shares.count());
  for (std::size_t first = 0; first < spec.experts.size(); first += block) {
    std::vector<ExpertRows> experts;
    for (std::size_t e = first; e < std::min(first + block, spec.experts.size()); ++e)
      experts.push_back(rows_of_expert(run, spec, dispatch, e));
    run_block(run, experts, first);
  }
  if (observed) show_mixture(run, *observer);
  if (spec.shared) run_shared(run, spec, dispatch.shared);
  context.store.drop(Slot::kMlpIn);
}

}  // namespace whit::model
