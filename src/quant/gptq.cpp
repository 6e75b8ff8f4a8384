#include "quant/gptq.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "quant/damped_error.h"
#include "quant/grid.h"
#include "quant/output_metric.h"
#include "quant/refine.h"

namespace whit::quant {

namespace {

using compute::Transpose;
using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;

bool is_identity(std::span<const std::int32_t> order) {
  for (std::size_t i = 0; i < order.size(); ++i)
    if (order[i] != static_cast<std::int32_t>(i)) return false;
  return true;
}

// One weight on its way through the columns in processing order.
class Sweep {
 public:
  Sweep(compute::Backend& backend, ConstMatrixView w, const Factor& factor,
        const compute::GridArgs& args, const Grid& grid, std::int64_t block_size)
      : backend_(backend),
        factor_(factor),
        args_(args),
        grid_(grid),
        block_size_(std::min(block_size, w.cols)),
        original_(w),
        permuted_(!is_identity(factor.order)),
        error_(backend.memory().allocate({w.rows, w.cols}, Dtype::kF32)),
        codes_(backend.memory().allocate({w.rows, w.cols}, Dtype::kI8)),
        block_(backend.memory().allocate({w.rows, block_size_}, Dtype::kF32)) {
    for (const std::int32_t column : factor.order)
      column_group_.push_back(static_cast<std::int32_t>(column / args.group_size));
    if (!permuted_) return;
    inverse_ = inverse_of(factor.order);
    spare_ = backend.memory().allocate({w.rows, w.cols}, Dtype::kF32);
    backend.linalg().permute(w, {}, factor.order, spare_.matrix());
  }

  // measure: also collect what `error` needs.
  void run(bool measure) {
    if (measure && !backend_.prefers_large_products()) {
      turned_ = std::make_unique<ColumnSquares>(backend_, original_.cols, block_size_);
      plain_ = std::make_unique<ColumnSquares>(backend_, original_.cols, block_size_);
    }
    for (std::int64_t b = 0; b < original_.cols; b += block_size_) sweep_one(b);
  }

  Tensor take_codes() {
    if (!permuted_) return std::move(codes_);
    Tensor codes = backend_.memory().allocate(codes_.shape(), Dtype::kI8);
    backend_.linalg().permute(codes_.matrix(), {}, inverse_, codes.matrix());
    codes_ = Tensor();
    return codes;
  }

  // tr(W H Wᵀ). Must precede the two below, which use up the permuted weight.
  double whole(const stats::Gram& gram) { return error_of(weight(), gram, original_); }

  // tr((W-Ŵ) H (W-Ŵ)ᵀ) of the sweep: the residuals that it rounded are (W-Ŵ) U.
  double error(const stats::Gram& gram) {
    if (turned_ != nullptr) {
      const DampedError sum{turned_->weighted_sum(factor_.pivots),
                            plain_->weighted_sum(factor_.added)};
      if (sum.trusted()) return sum.undamped();
    }
    if (!permuted_) return exact_error(backend_, error_.matrix(), gram);
    backend_.linalg().permute(error_.matrix(), {}, inverse_, spare_.matrix());
    return exact_error(backend_, spare_.matrix(), gram);
  }

  // The same for other codes or another grid. Uses up the sweep's error.
  double error_of_other(const stats::Gram& gram, const scheme::GroupedInt& other) {
    Tensor& lost = permuted_ ? spare_ : error_;
    backend_.codec().decode_grouped(other, lost.matrix());
    backend_.linalg().scale_add(-1.0F, lost.matrix(), 1.0F, original_);
    if (backend_.prefers_large_products()) return exact_error(backend_, lost.matrix(), gram);
    if (permuted_) backend_.linalg().permute(lost.matrix(), {}, factor_.order, error_.matrix());
    return error_of(error_.matrix(), gram, lost.matrix());
  }

 private:
  ConstMatrixView weight() const { return permuted_ ? spare_.matrix() : original_; }

  void sweep_one(std::int64_t b) {
    const std::int64_t rows = original_.rows;
    const std::int64_t size = std::min(block_size_, original_.cols - b);
    const ConstMatrixView u = factor_.u.matrix();
    const ConstMatrixView t0 = weight().sub(0, rows, b, size);
    const MatrixView t = block_.matrix().sub(0, rows, 0, size);
    const MatrixView error = error_.matrix().sub(0, rows, b, size);
    backend_.memory().copy(t0, t);
    if (b > 0)
      backend_.linalg().gemm(1.0F, error_.matrix().sub(0, rows, 0, b), Transpose::kNo,
                             u.sub(0, b, b, size), Transpose::kNo, 1.0F, t);
    compute::SweepArgs sweep;
    sweep.bits = args_.bits;
    sweep.u = u.sub(b, size, b, size);
    sweep.scales = grid_.scales_view();
    sweep.zeros = grid_.zeros_view();
    sweep.column_group = std::span(column_group_)
                             .subspan(static_cast<std::size_t>(b), static_cast<std::size_t>(size));
    backend_.codec().sweep_block(sweep, t0, t, codes_.matrix().sub(0, rows, b, size), error);
    if (turned_ == nullptr) return;
    // (W-Ŵ)U of this block: the feedback of earlier ones, and its own errors through its own U.
    backend_.linalg().scale_add(1.0F, t, -1.0F, t0);
    backend_.linalg().gemm(1.0F, error, Transpose::kNo, sweep.u, Transpose::kNo, 1.0F, t);
    turned_->observe(b, t);
    plain_->observe(b, error);
  }

  double error_of(ConstMatrixView x, const stats::Gram& gram, ConstMatrixView in_original_order) {
    if (backend_.prefers_large_products()) return exact_error(backend_, in_original_order, gram);
    const DampedError sum = damped_error(backend_, x, factor_, block_size_, block_.matrix());
    return sum.trusted() ? sum.undamped() : exact_error(backend_, in_original_order, gram);
  }

  compute::Backend& backend_;
  const Factor& factor_;
  const compute::GridArgs& args_;
  const Grid& grid_;
  std::int64_t block_size_;
  ConstMatrixView original_;
  bool permuted_;
  std::vector<std::int32_t> column_group_;  // of each processing position
  std::vector<std::int32_t> inverse_;
  Tensor spare_;  // the permuted weight, later whatever needs [N,K]; empty where the order is plain
  Tensor error_;
  Tensor codes_;
  Tensor block_;
  std::unique_ptr<ColumnSquares> turned_, plain_;
};

}  // namespace

scheme::GroupedInt gptq(compute::Backend& backend, ConstMatrixView w, const stats::Gram& gram,
                        const Factor& factor, const compute::GridArgs& args,
                        std::int64_t block_size, WeightReport* report,
                        const RefineArgs& refinement) {
  base::check(w.cols == factor.width() && w.cols == gram.width(), "gptq: width of the factor");
  base::check(gram.tokens() == factor.tokens, "gptq: the factor's Gram");
  base::check(block_size > 0, "gptq: block size");
  Grid grid = fit_grid(backend, w, args,
                       refinement.weighted_scales ? std::span<const float>(factor.diagonal)
                                                  : std::span<const float>{});
  std::optional<Sweep> sweep(std::in_place, backend, w, factor, args, grid, block_size);
  sweep->run(report != nullptr);
  if (report == nullptr) {
    Tensor codes = sweep->take_codes();
    sweep.reset();
    scheme::GroupedInt weight = assemble(backend, std::move(grid), std::move(codes), args);
    refine(backend, w, gram, factor, refinement, weight);
    if (refinement.metric != nullptr)
      sweep_under_metric(backend, w, gram, factor, *refinement.metric, block_size,
                         refinement.descent_passes, weight);
    return weight;
  }

  Tensor rounded = round_codes(backend, w, args, grid);
  Tensor codes = sweep->take_codes();
  scheme::GroupedInt weight = assemble(backend, std::move(grid), std::move(rounded), args);
  const double whole = sweep->whole(gram);
  const auto relative = [&](double lost) { return whole == 0 ? 0.0 : lost / whole; };
  report->proxy_error_swept = relative(sweep->error(gram));
  report->proxy_error_rtn = relative(sweep->error_of_other(gram, weight));
  weight.codes = std::move(codes);
  refine(backend, w, gram, factor, refinement, weight);
  if (refinement.metric != nullptr)
    sweep_under_metric(backend, w, gram, factor, *refinement.metric, block_size,
                       refinement.descent_passes, weight);
  report->proxy_error = refinement.after_sweep() ? relative(sweep->error_of_other(gram, weight))
                                                 : report->proxy_error_swept;
  report->damping = factor.damping;
  report->factor_attempts = factor.attempts;
  report->dead_columns = static_cast<std::int64_t>(factor.dead.size());
  return weight;
}

}  // namespace whit::quant
