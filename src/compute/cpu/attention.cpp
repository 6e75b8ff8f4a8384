#include "compute/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "compute/cpu/activation.h"
#include "compute/cpu/blas.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/vector.h"
#include "compute/host/attention_shape.h"

namespace whit::compute::cpu {

namespace {

constexpr std::int64_t kQueries = 128;
constexpr std::int64_t kKeys = 512;

// One head and one block of queries.
class HeadBlock {
 public:
  HeadBlock(const AttentionArgs& args, std::int64_t head, std::int64_t first, std::int64_t count,
            MatrixView out, float* scratch)
      : args_(args),
        q_(host::head_of(args.q, head).rows_of(first, count)),
        k_(host::head_of(args.k, head / (args.heads / args.kv_heads))),
        v_(host::head_of(args.v, head / (args.heads / args.kv_heads))),
        out_(out.sub(first, count, head * args.v.dim, args.v.dim)),
        first_position_(k_.rows - args.q.data.rows + first),
        bias_(args.key_bias.data == nullptr ? nullptr : args.key_bias.row<float>(head)),
        scores_(scratch),
        largest_(scratch + kQueries * kKeys),
        sums_(largest_ + kQueries) {}

  void run() {
    std::fill_n(largest_, q_.rows, -std::numeric_limits<float>::infinity());
    std::fill_n(sums_, q_.rows, 0.0F);
    const std::int64_t end = first_position_ + q_.rows;
    const std::int64_t start = host::first_visible(first_position_, args_.window) / kKeys * kKeys;
    for (std::int64_t key = start; key < end; key += kKeys) {
      const std::int64_t count = std::min(kKeys, end - key);
      score(key, count);
      for (std::int64_t i = 0; i < q_.rows; ++i) softmax_row(i, key, count, key == start);
      gemm_tile(q_.rows, args_.v.dim, count, 1.0F, {scores_, kKeys}, Transpose::kNo,
                tile_at(v_, key, 0), Transpose::kNo, key == start ? 0.0F : 1.0F,
                tile_at(out_, 0, 0));
    }
    for (std::int64_t i = 0; i < q_.rows; ++i)
      scaled_copy(1.0F / sums_[i], out_.row<float>(i), out_.row<float>(i), args_.v.dim);
  }

 private:
  void score(std::int64_t key, std::int64_t count) {
    const Tile scores{scores_, kKeys};
    gemm_tile(q_.rows, count, args_.k.dim, args_.scale, tile_at(q_, 0, 0), Transpose::kNo,
              tile_at(k_, key, 0), Transpose::kYes, 0.0F, scores);
    if (!args_.k_shared) return;
    const ConstMatrixView shared = host::head_of(*args_.k_shared, 0);
    gemm_tile(q_.rows, count, shared.cols, args_.scale, tile_at(q_, 0, args_.k.dim), Transpose::kNo,
              tile_at(shared, key, 0), Transpose::kYes, 1.0F, scores);
  }

  // Turns the scores of query i into weights under the running maximum; rescales what it has.
  void softmax_row(std::int64_t i, std::int64_t key, std::int64_t count, bool first_block) {
    float* row = scores_ + i * kKeys;
    const std::int64_t position = first_position_ + i;
    const std::int64_t end = std::clamp<std::int64_t>(position + 1 - key, 0, count);
    const std::int64_t begin =
        std::clamp<std::int64_t>(host::first_visible(position, args_.window) - key, 0, end);
    std::fill_n(row, begin, 0.0F);
    std::fill_n(row + end, count - end, 0.0F);
    if (begin == end) return;
    if (args_.softcap > 0) softcap_row(row + begin, args_.softcap, end - begin);
    if (bias_ != nullptr) add_to(row + begin, bias_ + key + begin, end - begin);
    const float before = largest_[i];
    const float now = std::max(before, max_of(row + begin, end - begin));
    const float kept = first_block ? 0.0F : std::exp(before - now);
    const double sum = exp_row(row + begin, now, end - begin);
    sums_[i] = static_cast<float>(static_cast<double>(sums_[i]) * static_cast<double>(kept) + sum);
    largest_[i] = now;
    if (!first_block && kept != 1.0F)
      scaled_copy(kept, out_.row<float>(i), out_.row<float>(i), args_.v.dim);
  }

  const AttentionArgs& args_;
  ConstMatrixView q_;
  ConstMatrixView k_;
  ConstMatrixView v_;
  MatrixView out_;
  std::int64_t first_position_;
  const float* bias_;
  float* scores_;
  float* largest_;
  float* sums_;
};

}  // namespace

void attend(int threads, const AttentionArgs& args, MatrixView out) {
  host::check_attention(args, out);
  const std::int64_t blocks = base::ceil_div(out.rows, kQueries);
  Scratch scratch(threads, kQueries * (kKeys + 2));
  parallel_for(threads, blocks * args.heads, [&](std::int64_t i) {
    // The last queries see the most keys: they go first.
    const std::int64_t first = (blocks - 1 - i / args.heads) * kQueries;
    HeadBlock(args, i % args.heads, first, std::min(kQueries, out.rows - first), out,
              scratch.mine())
        .run();
  });
}

}  // namespace whit::compute::cpu
