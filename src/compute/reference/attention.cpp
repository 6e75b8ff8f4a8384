#include "compute/reference/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "compute/host/attention_shape.h"

namespace whit::compute::reference {

namespace {

double dot(const float* a, const float* b, std::int64_t size) {
  double sum = 0;
  for (std::int64_t i = 0; i < size; ++i)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

void attend_one(const AttentionArgs& args, std::int64_t head, std::int64_t query, float* out) {
  const std::int64_t kv_head = head / (args.heads / args.kv_heads);
  const ConstMatrixView k = host::head_of(args.k, kv_head);
  const ConstMatrixView v = host::head_of(args.v, kv_head);
  const float* q = host::head_of(args.q, head).row<float>(query);
  const std::int64_t position = k.rows - args.q.data.rows + query;
  const std::int64_t first = host::first_visible(position, args.window);
  std::vector<double> p(static_cast<std::size_t>(position + 1 - first));
  double largest = -std::numeric_limits<double>::infinity();
  for (std::int64_t j = first; j <= position; ++j) {
    double score = dot(q, k.row<float>(j), args.k.dim);
    if (args.k_shared)
      score +=
          dot(q + args.k.dim, host::head_of(*args.k_shared, 0).row<float>(j), args.k_shared->dim);
    score *= static_cast<double>(args.scale);
    if (args.softcap > 0) {
      const double cap = static_cast<double>(args.softcap);
      score = cap * std::tanh(score / cap);
    }
    if (args.key_bias.data != nullptr)
      score += static_cast<double>(args.key_bias.row<float>(head)[j]);
    p[static_cast<std::size_t>(j - first)] = score;
    largest = std::max(largest, score);
  }
  double sum = 0;
  for (double& score : p) sum += score = std::exp(score - largest);
  for (std::int64_t c = 0; c < args.v.dim; ++c) {
    double value = 0;
    for (std::int64_t j = first; j <= position; ++j)
      value += p[static_cast<std::size_t>(j - first)] * static_cast<double>(v.row<float>(j)[c]);
    out[c] = static_cast<float>(value / sum);
  }
}

}  // namespace

void attend(const AttentionArgs& args, MatrixView out) {
  host::check_attention(args, out);
  for (std::int64_t query = 0; query < out.rows; ++query)
    for (std::int64_t head = 0; head < args.heads; ++head)
      attend_one(args, head, query, out.row<float>(query) + head * args.v.dim);
}

}  // namespace whit::compute::reference
