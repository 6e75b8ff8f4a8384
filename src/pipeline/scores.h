#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compute/backend.h"
#include "model/spec.h"

namespace whit::pipeline {

// q_nope W_UK of one head of latent attention, as it meets the cached latent: out [rows, kv_rank]
// of the queries from first_row on; `expansion`: the weight of kv_b.
void absorb_query(compute::Backend& backend, const model::MlaSpec& spec, const compute::HeadView& q,
                  std::int64_t head, std::int64_t first_row, tensor::ConstMatrixView expansion,
                  tensor::MatrixView out);

// Largest magnitudes of what the queries of whole sequences make of the keys that they see.
struct ScoreMaxima {
  double scores = 0;  // scaled products
  double logits = 0;  // the same, capped and biased
};

// Sequences lie one below the other: `starts` are the rows at which they begin, then the number of
// rows. A NaN is larger than every number.
ScoreMaxima score_maxima(compute::Backend& backend, const compute::AttentionArgs& args,
                         std::span<const std::int64_t> starts);

// One head of one sequence on the host: [rows, rows], 0 where a query does not see a key.
struct SequenceScores {
  std::vector<float> scores, logits, probabilities;
};
SequenceScores sequence_scores(compute::Backend& backend, const compute::AttentionArgs& args,
                               std::int64_t head, std::int64_t start, std::int64_t rows);

}  // namespace whit::pipeline
