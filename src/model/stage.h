#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "compute/backend.h"
#include "model/spec.h"
#include "model/weights.h"
#include "stats/site.h"

namespace whit::model {

// One hidden state and the linears that read it: the unit in which a block is evaluated. The rows
// of a stage are cut into fixed pieces; a runner may visit them more than once, so produce() is a
// pure function of the activation store. A calibrating runner visits all pieces to observe, freezes
// the statistics, quantizes the linears, and visits them again to apply.
struct Stage {
  stats::TapId site;
  std::int64_t width = 0;                  // columns of the hidden state
  std::vector<const LinearSpec*> linears;  // evaluated by the runner, in this order
  std::vector<std::int64_t> piece_rows;    // rows of each piece
  // Token of each row (all pieces, in order) of an expert; empty: see piece_tokens.
  std::span<const std::int32_t> token_rows;
  // Of a stage over all tokens: the token at which each piece begins, the strand (see Shares) that
  // it belongs to, and how many strands all ranks have together. 0: an expert's, one rank's alone.
  std::vector<std::int64_t> piece_tokens;
  std::vector<std::int64_t> piece_strands;
  std::int64_t strands = 0;
  // Router weights of each row (all pieces, in order); empty: none.
  std::vector<float> row_weights;
  // Rows from here on exist for statistics only (topped-up experts). -1: none. They are applied and
  // consumed like the others: the expert's next stage observes what becomes of them.
  std::int64_t observed_only_from = -1;
  // An earlier stage of this site had the same hidden state: statistics have it already.
  bool observed_before = false;

  // Fills x[piece_rows[piece], width].
  std::function<void(std::size_t piece, tensor::MatrixView x)> produce;
  // Where set, takes the linears' weights as they are applied, in the linears' place: nothing is
  // consumed. Of linears without a bias.
  std::function<void(std::span<const WeightHandle> weights)> keep_weights;
  // Takes outputs y[i][piece_rows[piece], linears[i]->out_features].
  std::function<void(std::size_t piece, std::span<const tensor::MatrixView> y)> consume;
};

// Evaluates stages. The plain one only applies; the pipeline's also calibrates and quantizes.
class StageRunner {
 public:
  virtual ~StageRunner() = default;
  // Independent stages, e.g. one block of experts; results are as if run in order.
  virtual void run(std::span<Stage> stages) = 0;
  // How many experts the forward should hand over at once, for `layer`.
  virtual std::int64_t expert_block(const LayerSpec& layer) = 0;
  // Further token rows that expert `expert` should see for statistics only, given how many rows
  // are routed to it; scores: [T,E] sigmoid scores. Ascending rows. Empty for a plain forward.
  virtual std::vector<std::int32_t> extra_rows(const LayerSpec& layer, int expert,
                                               std::span<const std::int32_t> routed,
                                               std::span<const float> scores) = 0;
  // Whether extra_rows needs scores (they cost T*E floats).
  virtual bool wants_scores() const = 0;
};

}  // namespace whit::model
