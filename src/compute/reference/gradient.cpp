#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "compute/host/attention_shape.h"
#include "compute/reference/parts.h"

namespace whit::compute::reference {

namespace {

double at(ConstMatrixView m, std::int64_t i, std::int64_t j) {
  return static_cast<double>(m.row<float>(i)[j]);
}

void add(MatrixView m, std::int64_t i, std::int64_t j, double value) {
  m.row<float>(i)[j] = static_cast<float>(at(m, i, j) + value);
}

// One query of one head, its keys of both kinds side by side.
class OneQuery {
 public:
  OneQuery(const AttentionArgs& args, ConstMatrixView dout, const AttentionGradients& out,
           std::int64_t head, std::int64_t query)
      : args_(args),
        out_(out),
        head_(head),
        kv_head_(head / (args.heads / args.kv_heads)),
        query_(query),
        first_(host::first_visible(query, args.window)),
        q_(host::head_of(args.q, head)),
        v_(host::head_of(args.v, kv_head_)),
        dout_(dout.sub(0, dout.rows, head * args.v.dim, args.v.dim)) {}

  void run() {
    std::vector<double> p, slopes;
    double largest = -INFINITY;
    for (std::int64_t j = first_; j <= query_; ++j) {
      double score = 0;
      for (std::int64_t c = 0; c < args_.q.dim; ++c) score += at(q_, query_, c) * key(j, c);
      score *= static_cast<double>(args_.scale);
      double slope = 1;
      if (const auto cap = static_cast<double>(args_.softcap); cap > 0) {
        const double tanh = std::tanh(score / cap);
        score = cap * tanh;
        slope = 1 - tanh * tanh;
      }
      if (args_.key_bias.data != nullptr) score += at(args_.key_bias, head_, j);
      p.push_back(score);
      slopes.push_back(slope);
      largest = std::max(largest, p.back());
    }
    double sum = 0;
    for (double& value : p) sum += value = std::exp(value - largest);
    for (double& value : p) value /= sum;
    std::vector<double> dp;
    double mean = 0;
    for (std::int64_t j = first_; j <= query_; ++j) {
      double value = 0;
      for (std::int64_t c = 0; c < args_.v.dim; ++c) value += at(dout_, query_, c) * at(v_, j, c);
      dp.push_back(value);
      mean += value * p[static_cast<std::size_t>(j - first_)];
    }
    for (std::int64_t j = first_; j <= query_; ++j) {
      const auto i = static_cast<std::size_t>(j - first_);
      spread(j, p[i], static_cast<double>(args_.scale) * slopes[i] * p[i] * (dp[i] - mean));
    }
  }

 private:
  double key(std::int64_t j, std::int64_t c) const {
    return c < args_.k.dim ? at(host::head_of(args_.k, kv_head_), j, c)
                           : at(host::head_of(*args_.k_shared, 0), j, c - args_.k.dim);
  }

  void spread(std::int64_t j, double p, double ds) {
    for (std::int64_t c = 0; c < args_.v.dim; ++c)
      add(out_.v, j, kv_head_ * args_.v.dim + c, p * at(dout_, query_, c));
    for (std::int64_t c = 0; c < args_.q.dim; ++c) {
      add(out_.q, query_, head_ * args_.q.dim + c, ds * key(j, c));
      const double to_key = ds * at(q_, query_, c);
      if (c < args_.k.dim)
        add(out_.k, j, kv_head_ * args_.k.dim + c, to_key);
      else
        add(out_.k_shared, j, c - args_.k.dim, to_key);
    }
  }

  const AttentionArgs& args_;
  const AttentionGradients& out_;
  std::int64_t head_, kv_head_, query_, first_;
  ConstMatrixView q_, v_, dout_;
};

void clear(MatrixView m) {
  for (std::int64_t i = 0; i < m.rows; ++i) std::fill_n(m.row<float>(i), m.cols, 0.0F);
}

class ReferenceGradient final : public Gradient {
 public:
  void attention(const AttentionArgs& args, ConstMatrixView out_gradient,
                 const AttentionGradients& out) override {
    host::check_attention_gradient(args, out_gradient, out);
    for (const MatrixView& m : {out.q, out.k, out.v}) clear(m);
    if (args.k_shared) clear(out.k_shared);
    for (std::int64_t head = 0; head < args.heads; ++head)
      for (std::int64_t query = 0; query < out_gradient.rows; ++query)
        OneQuery(args, out_gradient, out, head, query).run();
  }

  void norm(ConstMatrixView x, const NormArgs& args, ConstMatrixView out_gradient,
            MatrixView out) override {
    host::check_norm_gradient(x, out_gradient, out);
    const auto size = static_cast<double>(x.cols);
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const auto weighted = [&](std::int64_t k) {
        const double weight = args.weight == nullptr ? 1 : static_cast<double>(args.weight[k]);
        return weight * at(out_gradient, t, k);
      };
      double middle = 0;
      for (std::int64_t k = 0; args.centered && k < x.cols; ++k) middle += at(x, t, k) / size;
      double squares = 0, along = 0, mean = 0;
      for (std::int64_t k = 0; k < x.cols; ++k) {
        const double centered = at(x, t, k) - middle;
        squares += centered * centered;
        along += weighted(k) * centered;
        if (args.centered) mean += weighted(k) / size;
      }
      const double rms = 1.0 / std::sqrt(squares / size + static_cast<double>(args.eps));
      for (std::int64_t k = 0; k < x.cols; ++k)
        out.row<float>(t)[k] = static_cast<float>(
            rms * (weighted(k) - mean - (at(x, t, k) - middle) * along * rms * rms / size));
    }
  }
};

}  // namespace

std::unique_ptr<Gradient> make_gradient() {
  return std::make_unique<ReferenceGradient>();
}

}  // namespace whit::compute::reference
