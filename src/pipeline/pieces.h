#pragma once

#include <numeric>
#include <utility>
#include <vector>

#include "compute/backend.h"
#include "model/stage.h"

namespace whit::pipeline {

inline std::int64_t first_row_of(const model::Stage& stage, std::size_t piece) {
  return std::accumulate(stage.piece_rows.begin(),
                         stage.piece_rows.begin() + static_cast<std::ptrdiff_t>(piece),
                         std::int64_t{0});
}

inline std::int64_t total_rows(const model::Stage& stage) {
  return first_row_of(stage, stage.piece_rows.size());
}

// The token of a piece's first row, or of an expert's piece its first row in the stage.
inline std::int64_t row_of_piece(const model::Stage& stage, std::size_t piece) {
  return stage.piece_tokens.empty() ? first_row_of(stage, piece) : stage.piece_tokens[piece];
}

// The pieces of one stage: computed once and kept where there is memory for it, else computed
// again.
class Pieces {
 public:
  Pieces(const model::Stage& stage, compute::Backend& backend, bool keep)
      : stage_(stage), backend_(backend), kept_(keep ? stage.piece_rows.size() : 0) {}

  // Calls visit(x) with the hidden state of a piece.
  template <typename Visit>
  void with(std::size_t piece, Visit visit) {
    if (!kept_.empty() && !kept_[piece].empty()) return visit(kept_[piece].matrix());
    tensor::Tensor x =
        backend_.memory().allocate({stage_.piece_rows[piece], stage_.width}, tensor::Dtype::kF32);
    stage_.produce(piece, x.matrix());
    visit(x.matrix());
    if (!kept_.empty()) kept_[piece] = std::move(x);
  }

 private:
  const model::Stage& stage_;
  compute::Backend& backend_;
  std::vector<tensor::Tensor> kept_;
};

}  // namespace whit::pipeline
