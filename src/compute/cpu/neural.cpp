#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compute/cpu/activation.h"
#include "compute/cpu/attention.h"
#include "compute/cpu/decode.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/parts.h"
#include "compute/cpu/vector.h"
#include "compute/host/activate_shape.h"
#include "compute/host/routing.h"

namespace whit::compute::cpu {

namespace {

using base::check;

std::int64_t size_of(std::span<const std::int32_t> list) {
  return static_cast<std::int64_t>(list.size());
}

class CpuNeural final : public Neural {
 public:
  explicit CpuNeural(int threads) : threads_(threads) {}

  void embed(const TensorView& table, std::span<const std::int32_t> ids, MatrixView out) override {
    const ConstMatrixView rows = tensor::as_matrix(table);
    check(out.rows == size_of(ids) && out.cols == rows.cols, "embed: extents");
    for (const std::int32_t id : ids)
      if (id < 0 || id >= rows.rows)
        base::fail(base::ErrorKind::kInput, "token id", "{}; expected 0 to {}", id, rows.rows - 1);
    over_rows(out.rows, out.cols, [&](std::int64_t t) {
      decode_row(rows.rows_of(ids[static_cast<std::size_t>(t)], 1), out.row<float>(t));
    });
  }

  void norm(ConstMatrixView x, const NormArgs& args, MatrixView out) override {
    check(x.rows == out.rows && x.cols == out.cols, "norm: extents");
    const auto width = static_cast<double>(x.cols);
    over_rows(x.rows, x.cols, [&](std::int64_t t) {
      const float* from = x.row<float>(t);
      float* to = out.row<float>(t);
      if (args.centered) {
        shifted_copy(from, sum_of(from, x.cols) / width, to, x.cols);
        from = to;
      }
      const double mean = sum_of_squares(from, x.cols) / width;
      const auto factor = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(args.eps)));
      if (args.weight != nullptr)
        norm_row(from, args.weight, factor, to, x.cols);
      else
        scaled_copy(factor, from, to, x.cols);
      if (args.bias != nullptr) add_to(to, args.bias, x.cols);
    });
  }

  void rope(MatrixView x, std::int64_t heads, std::int64_t first_col, std::int64_t head_stride,
            ConstMatrixView cos_sin, bool interleaved,
            std::span<const std::int32_t> positions) override {
    check(size_of(positions) == x.rows, "rope: one position a row");
    const std::int64_t half = cos_sin.cols / 2;
    check(first_col + (heads - 1) * head_stride + 2 * half <= x.cols, "rope: columns");
    for (const std::int32_t p : positions) check(p >= 0 && p < cos_sin.rows, "rope: position");
    over_rows(x.rows, heads * half * 2, [&](std::int64_t t) {
      const float* angles = cos_sin.row<float>(positions[static_cast<std::size_t>(t)]);
      for (std::int64_t h = 0; h < heads; ++h) {
        float* head = x.row<float>(t) + first_col + h * head_stride;
        if (interleaved)
          rotate_pairs(head, angles, angles + half, half);
        else
          rotate_halves(head, head + half, angles, angles + half, half);
      }
    });
  }

  void attention(const AttentionArgs& args, MatrixView out) override {
    attend(threads_, args, out);
  }

  void activate(Activation act, ConstMatrixView x, ConstMatrixView times, MatrixView out) override {
    host::check_activate(x, times, out);
    over_rows(out.rows, out.cols, [&](std::int64_t t) {
      activate_row(act, x.row<float>(t), times.data == nullptr ? nullptr : times.row<float>(t),
                   out.row<float>(t), out.cols);
    });
  }

  void add(MatrixView x, ConstMatrixView y) override {
    check(x.rows == y.rows && x.cols == y.cols, "add: extents");
    over_rows(x.rows, x.cols,
              [&](std::int64_t t) { add_to(x.row<float>(t), y.row<float>(t), x.cols); });
  }

  Routing route(ConstMatrixView logits, const float* bias, const RoutingArgs& args,
                std::vector<float>* scores_out) override {
    const std::int64_t experts = logits.cols;
    host::check_routing(experts, args);
    Routing routing;
    routing.top_k = args.top_k;
    routing.experts.resize(static_cast<std::size_t>(logits.rows * args.top_k));
    routing.weights.resize(routing.experts.size());
    if (scores_out != nullptr) scores_out->resize(static_cast<std::size_t>(logits.rows * experts));
    Scratch scratch(threads_, experts);
    over_rows(logits.rows, experts * 16, [&](std::int64_t t) {
      float* scores = scores_out != nullptr ? scores_out->data() + t * experts : scratch.mine();
      host::route_token(logits.row<float>(t), bias, experts, args, scores,
                        routing.experts.data() + t * args.top_k,
                        routing.weights.data() + t * args.top_k);
    });
    return routing;
  }

  void gather_rows(ConstMatrixView in, std::span<const std::int32_t> rows,
                   MatrixView out) override {
    check(out.rows == size_of(rows) && out.cols == in.cols, "gather_rows: extents");
    for (const std::int32_t r : rows) check(r >= 0 && r < in.rows, "gather_rows: row index");
    over_rows(out.rows, out.cols, [&](std::int64_t i) {
      decode_row(in.rows_of(rows[static_cast<std::size_t>(i)], 1), out.row<float>(i));
    });
  }

  void scatter_add_rows(ConstMatrixView x, std::span<const std::int32_t> rows,
                        std::span<const float> weights, MatrixView inout) override {
    check(x.rows == size_of(rows) && rows.size() == weights.size() && x.cols == inout.cols,
          "scatter_add_rows: extents");
    for (const std::int32_t r : rows)
      check(r >= 0 && r < inout.rows, "scatter_add_rows: row index");
    over_rows(x.rows, x.cols, [&](std::int64_t i) {
      const std::size_t at = static_cast<std::size_t>(i);
      if (inout.dtype == tensor::Dtype::kBF16)
        return add_scaled_bf16(weights[at], x.row<float>(i), inout.row<std::uint16_t>(rows[at]),
                               x.cols);
      add_scaled(weights[at], x.row<float>(i), inout.row<float>(rows[at]), x.cols);
    });
  }

  void log_softmax(MatrixView logits) override {
    over_rows(logits.rows, logits.cols, [&](std::int64_t t) {
      float* row = logits.row<float>(t);
      const float largest = max_of(row, logits.cols);
      const double sum = sum_exp(row, largest, logits.cols);
      shifted_copy(row, static_cast<double>(largest) + std::log(sum), row, logits.cols);
    });
  }

 private:
  // Rows are independent; a thread takes enough of them to be worth waking.
  template <typename Body>
  void over_rows(std::int64_t rows, std::int64_t work_per_row, const Body& body) const {
    constexpr std::int64_t kWorthWaking = 16384;
    const std::int64_t piece =
        std::max<std::int64_t>(1, kWorthWaking / std::max<std::int64_t>(work_per_row, 1));
    parallel_pieces(threads_, rows, piece, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t i = begin; i < begin + count; ++i) body(i);
    });
  }

  int threads_;
};

}  // namespace

std::unique_ptr<Neural> make_neural(int threads) {
  return std::make_unique<CpuNeural>(threads);
}

}  // namespace whit::compute::cpu
