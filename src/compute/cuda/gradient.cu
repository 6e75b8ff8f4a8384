#include <memory>
#include <optional>

#include "compute/cuda/kernel.cuh"
#include "compute/cuda/parts.h"
#include "compute/cuda/product.h"
#include "compute/host/attention_shape.h"

namespace whit::compute::cuda {

namespace {

// A matrix of its own.
class Square {
 public:
  Square(const Context& context, std::int64_t size, tensor::Device device)
      : memory_(context, size * size),
        view_{reinterpret_cast<std::byte*>(memory_.data()), tensor::Dtype::kF32, size, size, size,
              device} {}
  MatrixView view() const { return view_; }

 private:
  Temporary<float> memory_;
  MatrixView view_;
};

struct Softmax {
  Rows<float> p;   // scaled scores, then weights
  Rows<float> dp;  // gradient of the weights, then of the unscaled scores
  Rows<const float> key_bias;
  std::int64_t head, window;
  float scale, softcap;
};

void through_softmax(const Context& context, const Softmax& s, std::int64_t tokens) {
  each_row(context, tokens, tokens, "gradient of a softmax", [=] __device__(std::int64_t i) {
    float* p = s.p[i];
    float* dp = s.dp[i];
    const std::int64_t first = s.window > 0 && i + 1 > s.window ? i + 1 - s.window : 0;
    const auto score = [&](std::int64_t j) {
      float value = p[j];
      if (s.softcap > 0) value = s.softcap * tanhf(value / s.softcap);
      return value;
    };
    const auto biased = [&](std::int64_t j) {
      return score(j) + (s.key_bias.data == nullptr ? 0.0F : s.key_bias[s.head][j]);
    };
    float largest = -INFINITY;
    for (std::int64_t j = first + threadIdx.x; j <= i; j += blockDim.x)
      largest = fmaxf(largest, biased(j));
    largest = block_reduce(largest, Larger{});
    double sum = 0;
    double along = 0;
    for (std::int64_t j = first + threadIdx.x; j <= i; j += blockDim.x) {
      const auto weight = static_cast<double>(expf(biased(j) - largest));
      sum += weight;
      along += weight * static_cast<double>(dp[j]);
    }
    sum = block_reduce(sum, Plus{});
    const auto mean = static_cast<float>(block_reduce(along, Plus{}) / sum);
    for (std::int64_t j = threadIdx.x; j < tokens; j += blockDim.x) {
      if (j < first || j > i) {
        p[j] = 0;
        dp[j] = 0;
        continue;
      }
      const float weight = static_cast<float>(static_cast<double>(expf(biased(j) - largest)) / sum);
      float slope = 1;
      if (s.softcap > 0) {
        const float tanh = score(j) / s.softcap;
        slope = 1.0F - tanh * tanh;
      }
      p[j] = weight;
      dp[j] = s.scale * weight * (dp[j] - mean) * slope;
    }
  });
}

class AttentionGradient {
 public:
  AttentionGradient(const Context& context, const AttentionArgs& args, ConstMatrixView dout,
                    const AttentionGradients& out)
      : context_(context),
        args_(args),
        dout_(dout),
        out_(out),
        p_(context, dout.rows, dout.device),
        dp_(context, dout.rows, dout.device) {}

  void run() const {
    for (std::int64_t head = 0; head < args_.heads; ++head) one(head);
  }

 private:
  static MatrixView part(MatrixView m, std::int64_t head, std::int64_t dim) {
    return m.sub(0, m.rows, head * dim, dim);
  }

  void product(float alpha, ConstMatrixView a, Transpose ta, ConstMatrixView b, Transpose tb,
               float beta, MatrixView c) const {
    multiply(context_, Product::kExact, alpha, a, ta, b, tb, beta, c);
  }

  void one(std::int64_t head) const {
    const std::int64_t group = args_.heads / args_.kv_heads;
    const std::int64_t kv_head = head / group;
    const float keep = head % group == 0 ? 0.0F : 1.0F;
    const ConstMatrixView whole = host::head_of(args_.q, head);
    const ConstMatrixView q = whole.sub(0, whole.rows, 0, args_.k.dim);
    const ConstMatrixView k = host::head_of(args_.k, kv_head);
    const ConstMatrixView v = host::head_of(args_.v, kv_head);
    const ConstMatrixView dout = dout_.sub(0, dout_.rows, head * args_.v.dim, args_.v.dim);
    const MatrixView dq = part(out_.q, head, args_.q.dim);
    const MatrixView p = p_.view();
    const MatrixView dp = dp_.view();
    constexpr Transpose kNo = Transpose::kNo;
    constexpr Transpose kYes = Transpose::kYes;
    product(args_.scale, q, kNo, k, kYes, 0.0F, p);
    if (args_.k_shared)
      product(args_.scale, whole.sub(0, whole.rows, args_.k.dim, args_.k_shared->dim), kNo,
              host::head_of(*args_.k_shared, 0), kYes, 1.0F, p);
    product(1.0F, dout, kNo, v, kYes, 0.0F, dp);
    through_softmax(context_,
                    {rows_of<float>(p), rows_of<float>(dp), rows_of<float>(args_.key_bias), head,
                     args_.window, args_.scale, args_.softcap},
                    dout_.rows);
    product(1.0F, p, kYes, dout, kNo, keep, part(out_.v, kv_head, args_.v.dim));
    product(1.0F, dp, kYes, q, kNo, keep, part(out_.k, kv_head, args_.k.dim));
    product(1.0F, dp, kNo, k, kNo, 0.0F, dq.sub(0, dq.rows, 0, args_.k.dim));
    if (!args_.k_shared) return;
    const ConstMatrixView shared = host::head_of(*args_.k_shared, 0);
    product(1.0F, dp, kYes, whole.sub(0, whole.rows, args_.k.dim, shared.cols), kNo,
            head == 0 ? 0.0F : 1.0F, out_.k_shared);
    product(1.0F, dp, kNo, shared, kNo, 0.0F, dq.sub(0, dq.rows, args_.k.dim, shared.cols));
  }

  const Context& context_;
  const AttentionArgs& args_;
  ConstMatrixView dout_;
  const AttentionGradients& out_;
  Square p_, dp_;
};

class CudaGradient final : public Gradient {
 public:
  explicit CudaGradient(const Context& context) : context_(context) {}

  void attention(const AttentionArgs& args, ConstMatrixView out_gradient,
                 const AttentionGradients& out) override {
    host::check_attention_gradient(args, out_gradient, out);
    if (out_gradient.rows > 0) AttentionGradient(context_, args, out_gradient, out).run();
  }

  void norm(ConstMatrixView x, const NormArgs& args, ConstMatrixView out_gradient,
            MatrixView out) override {
    host::check_norm_gradient(x, out_gradient, out);
    const auto from = rows_of<float>(x);
    const auto dy = rows_of<float>(out_gradient);
    const auto to = rows_of<float>(out);
    const std::int64_t cols = x.cols;
    each_row(context_, x.rows, cols, "gradient of a norm", [=] __device__(std::int64_t t) {
      const auto size = static_cast<double>(cols);
      const auto weighted = [&](std::int64_t k) {
        return (args.weight == nullptr ? 1.0 : static_cast<double>(args.weight[k])) *
               static_cast<double>(dy[t][k]);
      };
      double middle = 0;
      double mean = 0;
      for (std::int64_t k = threadIdx.x; args.centered && k < cols; k += blockDim.x) {
        middle += static_cast<double>(from[t][k]);
        mean += weighted(k);
      }
      if (args.centered) {
        middle = block_reduce(middle, Plus{}) / size;
        mean = block_reduce(mean, Plus{}) / size;
      }
      double squares = 0;
      double along = 0;
      for (std::int64_t k = threadIdx.x; k < cols; k += blockDim.x) {
        const double centered = static_cast<double>(from[t][k]) - middle;
        squares += centered * centered;
        along += weighted(k) * centered;
      }
      squares = block_reduce(squares, Plus{});
      along = block_reduce(along, Plus{});
      const double rms = 1.0 / sqrt(squares / size + static_cast<double>(args.eps));
      for (std::int64_t k = threadIdx.x; k < cols; k += blockDim.x)
        to[t][k] = static_cast<float>(
            rms * (weighted(k) - mean -
                   (static_cast<double>(from[t][k]) - middle) * along * rms * rms / size));
    });
  }

 private:
  const Context& context_;
};

}  // namespace

std::unique_ptr<Gradient> make_gradient(const Context& context) {
  return std::make_unique<CudaGradient>(context);
}

}  // namespace whit::compute::cuda
