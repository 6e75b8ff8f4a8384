#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "compute/cpu/activation.h"
#include "compute/cpu/blas.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/parts.h"
#include "compute/cpu/vector.h"
#include "compute/host/attention_shape.h"

namespace whit::compute::cpu {

namespace {

constexpr std::int64_t kRowsAtOnce = 64;

// All query heads that share one head of keys and values. Rows are one sequence.
class HeadGradient {
 public:
  HeadGradient(const AttentionArgs& args, ConstMatrixView dout, const AttentionGradients& out,
               std::int64_t kv_head, float* scratch)
      : args_(args),
        dout_(dout),
        out_(out),
        kv_head_(kv_head),
        length_(args.q.data.rows),
        p_(scratch),
        dp_(scratch + kRowsAtOnce * length_),
        slopes_(scratch + 2 * kRowsAtOnce * length_),
        k_(host::head_of(args.k, kv_head)),
        v_(host::head_of(args.v, kv_head)),
        dk_(part(out.k, kv_head, args.k.dim)),
        dv_(part(out.v, kv_head, args.v.dim)) {}

  // dks: [T, k_shared.dim] of this group of heads, or null.
  void run(float* dks) {
    const std::int64_t group = args_.heads / args_.kv_heads;
    bool first = true;
    for (std::int64_t head = kv_head_ * group; head < (kv_head_ + 1) * group; ++head)
      for (std::int64_t row = 0; row < length_; row += kRowsAtOnce) {
        some_queries(head, row, std::min(kRowsAtOnce, length_ - row), first ? 0.0F : 1.0F, dks);
        first = false;
      }
  }

 private:
  static MatrixView part(MatrixView m, std::int64_t head, std::int64_t dim) {
    return m.sub(0, m.rows, head * dim, dim);
  }

  void some_queries(std::int64_t head, std::int64_t row, std::int64_t count, float beta,
                    float* dks) {
    const ConstMatrixView q = host::head_of(args_.q, head).rows_of(row, count);
    const ConstMatrixView dout = dout_.sub(row, count, head * args_.v.dim, args_.v.dim);
    const MatrixView dq = part(out_.q, head, args_.q.dim).rows_of(row, count);
    const Tile p{p_, length_};
    const Tile dp{dp_, length_};
    gemm_tile(count, length_, k_.cols, args_.scale, tile_at(q, 0, 0), Transpose::kNo,
              tile_at(k_, 0, 0), Transpose::kYes, 0.0F, p);
    if (args_.k_shared) {
      const ConstMatrixView shared = host::head_of(*args_.k_shared, 0);
      gemm_tile(count, length_, shared.cols, args_.scale, tile_at(q, 0, k_.cols), Transpose::kNo,
                tile_at(shared, 0, 0), Transpose::kYes, 1.0F, p);
    }
    gemm_tile(count, length_, v_.cols, 1.0F, tile_at(dout, 0, 0), Transpose::kNo, tile_at(v_, 0, 0),
              Transpose::kYes, 0.0F, dp);
    for (std::int64_t i = 0; i < count; ++i)
      through_softmax(head, row + i, p_ + i * length_, dp_ + i * length_);
    gemm_tile(length_, v_.cols, count, 1.0F, p, Transpose::kYes, tile_at(dout, 0, 0),
              Transpose::kNo, beta, tile_at(dv_, 0, 0));
    gemm_tile(length_, k_.cols, count, 1.0F, dp, Transpose::kYes, tile_at(q, 0, 0), Transpose::kNo,
              beta, tile_at(dk_, 0, 0));
    gemm_tile(count, k_.cols, length_, 1.0F, dp, Transpose::kNo, tile_at(k_, 0, 0), Transpose::kNo,
              0.0F, tile_at(dq, 0, 0));
    if (!args_.k_shared) return;
    const ConstMatrixView shared = host::head_of(*args_.k_shared, 0);
    gemm_tile(length_, shared.cols, count, 1.0F, dp, Transpose::kYes, tile_at(q, 0, k_.cols),
              Transpose::kNo, beta, {dks, shared.cols});
    gemm_tile(count, shared.cols, length_, 1.0F, dp, Transpose::kNo, tile_at(shared, 0, 0),
              Transpose::kNo, 0.0F, tile_at(dq, 0, k_.cols));
  }

  // p: scaled scores, then weights; dp: their gradient, then that of the unscaled scores.
  void through_softmax(std::int64_t head, std::int64_t position, float* p, float* dp) const {
    const std::int64_t begin = host::first_visible(position, args_.window);
    const std::int64_t count = position + 1 - begin;
    std::fill_n(p, begin, 0.0F);
    std::fill_n(p + position + 1, length_ - position - 1, 0.0F);
    std::fill_n(dp, begin, 0.0F);
    std::fill_n(dp + position + 1, length_ - position - 1, 0.0F);
    p += begin;
    dp += begin;
    if (args_.softcap > 0) cap_scores(p, count);
    if (args_.key_bias.data != nullptr) add_to(p, args_.key_bias.row<float>(head) + begin, count);
    const double sum = exp_row(p, max_of(p, count), count);
    scaled_copy(static_cast<float>(1.0 / sum), p, p, count);
    const auto mean = static_cast<float>(dot(p, dp, count));
    for (std::int64_t j = 0; j < count; ++j) dp[j] = args_.scale * p[j] * (dp[j] - mean);
    for (std::int64_t j = 0; args_.softcap > 0 && j < count; ++j) dp[j] *= slopes_[j];
  }

  void cap_scores(float* scores, std::int64_t count) const {
    softcap_row(scores, args_.softcap, count);
    for (std::int64_t j = 0; j < count; ++j) {
      const float tanh = scores[j] / args_.softcap;
      slopes_[j] = 1.0F - tanh * tanh;
    }
  }

  const AttentionArgs& args_;
  ConstMatrixView dout_;
  const AttentionGradients& out_;
  std::int64_t kv_head_, length_;
  float *p_, *dp_, *slopes_;
  ConstMatrixView k_, v_;
  MatrixView dk_, dv_;
};

// One row of Gradient::norm; `scratch` holds `size` numbers. dx may be dy.
void norm_row_back(const float* x, const NormArgs& args, const float* dy, std::int64_t size,
                   float* scratch, float* dx) {
  const auto width = static_cast<double>(size);
  const double middle = args.centered ? sum_of(x, size) / width : 0.0;
  shifted_copy(x, middle, scratch, size);
  const double rms =
      1.0 / std::sqrt(sum_of_squares(scratch, size) / width + static_cast<double>(args.eps));
  for (std::int64_t k = 0; k < size; ++k)
    dx[k] = args.weight == nullptr ? dy[k] : args.weight[k] * dy[k];
  const double mean = args.centered ? sum_of(dx, size) / width : 0.0;
  const double along = dot(dx, scratch, size) * rms * rms / width;
  for (std::int64_t k = 0; k < size; ++k)
    dx[k] = static_cast<float>(
        rms * (static_cast<double>(dx[k]) - mean - along * static_cast<double>(scratch[k])));
}

class CpuGradient final : public Gradient {
 public:
  explicit CpuGradient(int threads) : threads_(threads) {}

  void attention(const AttentionArgs& args, ConstMatrixView out_gradient,
                 const AttentionGradients& out) override {
    host::check_attention_gradient(args, out_gradient, out);
    const std::int64_t length = out_gradient.rows;
    const std::int64_t shared = args.k_shared ? length * args.k_shared->dim : 0;
    std::vector<float> parts(static_cast<std::size_t>(shared * args.kv_heads));
    Scratch scratch(threads_, (2 * kRowsAtOnce + 1) * length);
    parallel_for(threads_, args.kv_heads, [&](std::int64_t head) {
      HeadGradient(args, out_gradient, out, head, scratch.mine()).run(parts.data() + head * shared);
    });
    if (shared == 0) return;
    for (std::int64_t t = 0; t < length; ++t) {
      float* row = out.k_shared.row<float>(t);
      std::fill_n(row, args.k_shared->dim, 0.0F);
      for (std::int64_t head = 0; head < args.kv_heads; ++head)
        add_to(row, parts.data() + head * shared + t * args.k_shared->dim, args.k_shared->dim);
    }
  }

  void norm(ConstMatrixView x, const NormArgs& args, ConstMatrixView out_gradient,
            MatrixView out) override {
    host::check_norm_gradient(x, out_gradient, out);
    Scratch scratch(threads_, x.cols);
    parallel_pieces(threads_, x.rows, 16, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t t = begin; t < begin + count; ++t)
        norm_row_back(x.row<float>(t), args, out_gradient.row<float>(t), x.cols, scratch.mine(),
                      out.row<float>(t));
    });
  }

 private:
  int threads_;
};

}  // namespace

std::unique_ptr<Gradient> make_gradient(int threads) {
  return std::make_unique<CpuGradient>(threads);
}

}  // namespace whit::compute::cpu
