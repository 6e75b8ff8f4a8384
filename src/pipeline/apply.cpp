#include "pipeline/apply.h"

#include <algorithm>

namespace whit::pipeline {

namespace {

void multiply(compute::Backend& backend, tensor::ConstMatrixView x, const Applied& linear,
              tensor::MatrixView y) {
  if (x.rows == 0) return;
  backend.linalg().linear(x, linear.weight->matrix(),
                          linear.bias ? linear.bias->as<float>() : nullptr, y);
}

}  // namespace

void apply_linears(model::Stage& stage, Pieces& pieces, const std::vector<Applied>& applied,
                   compute::Backend& backend, const base::CancelToken& cancel) {
  std::int64_t first = 0;
  for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
    cancel.throw_if_cancelled();
    const std::int64_t rows = stage.piece_rows[piece];
    const std::int64_t plain =
        stage.observed_only_from < 0
            ? rows
            : std::clamp<std::int64_t>(stage.observed_only_from - first, 0, rows);
    std::vector<tensor::Tensor> outputs(applied.size());
    std::vector<tensor::MatrixView> views(applied.size());
    pieces.with(piece, [&](tensor::MatrixView x) {
      for (std::size_t i = 0; i < applied.size(); ++i) {
        outputs[i] =
            backend.memory().allocate({rows, stage.linears[i]->out_features}, tensor::Dtype::kF32);
        views[i] = outputs[i].matrix();
        multiply(backend, x.rows_of(0, plain), applied[i], views[i].rows_of(0, plain));
        multiply(backend, x.rows_of(plain, rows - plain), applied[i],
                 views[i].rows_of(plain, rows - plain));
      }
    });
    stage.consume(piece, views);
    first += rows;
  }
}

}  // namespace whit::pipeline
