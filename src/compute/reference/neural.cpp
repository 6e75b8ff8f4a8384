#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"
#include "compute/host/activate_shape.h"
#include "compute/host/element.h"
#include "compute/host/routing.h"
#include "compute/reference/attention.h"
#include "compute/reference/parts.h"

namespace whit::compute::reference {

namespace {

using base::check;

std::int64_t size_of(std::span<const std::int32_t> list) {
  return static_cast<std::int64_t>(list.size());
}

double activated(Activation act, double x) {
  switch (act) {
    case Activation::kSilu:
      return x / (1.0 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::kGeluTanh: {
      const double u = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return x / (1.0 + std::exp(-2.0 * u));
    }
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kTanh:
      return std::tanh(x);
  }
  return x;
}

class ReferenceNeural final : public Neural {
 public:
  void embed(const TensorView& table, std::span<const std::int32_t> ids, MatrixView out) override {
    const ConstMatrixView rows = tensor::as_matrix(table);
    check(out.rows == size_of(ids) && out.cols == rows.cols, "embed: extents");
    for (std::int64_t t = 0; t < out.rows; ++t) {
      const std::int32_t id = ids[static_cast<std::size_t>(t)];
      if (id < 0 || id >= rows.rows)
        base::fail(base::ErrorKind::kInput, "token id", "{}; expected 0 to {}", id, rows.rows - 1);
      for (std::int64_t j = 0; j < out.cols; ++j) out.row<float>(t)[j] = host::element(rows, id, j);
    }
  }

  void norm(ConstMatrixView x, const NormArgs& args, MatrixView out) override {
    check(x.rows == out.rows && x.cols == out.cols, "norm: extents");
    const auto width = static_cast<double>(x.cols);
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const float* in = x.row<float>(t);
      double middle = 0;
      for (std::int64_t j = 0; args.centered && j < x.cols; ++j)
        middle += static_cast<double>(in[j]) / width;
      double squares = 0;
      for (std::int64_t j = 0; j < x.cols; ++j)
        squares += std::pow(static_cast<double>(in[j]) - middle, 2);
      const double factor = 1.0 / std::sqrt(squares / width + static_cast<double>(args.eps));
      for (std::int64_t j = 0; j < x.cols; ++j) {
        const double weight = args.weight == nullptr ? 1 : static_cast<double>(args.weight[j]);
        const double bias = args.bias == nullptr ? 0 : static_cast<double>(args.bias[j]);
        out.row<float>(t)[j] =
            static_cast<float>(weight * (static_cast<double>(in[j]) - middle) * factor + bias);
      }
    }
  }

  void rope(MatrixView x, std::int64_t heads, std::int64_t first_col, std::int64_t head_stride,
            ConstMatrixView cos_sin, bool interleaved,
            std::span<const std::int32_t> positions) override {
    check(size_of(positions) == x.rows, "rope: one position a row");
    const std::int64_t half = cos_sin.cols / 2;
    check(first_col + (heads - 1) * head_stride + 2 * half <= x.cols, "rope: columns");
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const std::int32_t position = positions[static_cast<std::size_t>(t)];
      check(position >= 0 && position < cos_sin.rows, "rope: position");
      const float* angles = cos_sin.row<float>(position);
      for (std::int64_t h = 0; h < heads; ++h) {
        float* head = x.row<float>(t) + first_col + h * head_stride;
        for (std::int64_t i = 0; i < half; ++i) {
          float& a = head[interleaved ? 2 * i : i];
          float& b = head[interleaved ? 2 * i + 1 : i + half];
          const double c = static_cast<double>(angles[i]);
          const double s = static_cast<double>(angles[half + i]);
          const double first = static_cast<double>(a);
          const double second = static_cast<double>(b);
          a = static_cast<float>(first * c - second * s);
          b = static_cast<float>(second * c + first * s);
        }
      }
    }
  }

  void attention(const AttentionArgs& args, MatrixView out) override { attend(args, out); }

  void activate(Activation act, ConstMatrixView x, ConstMatrixView times, MatrixView out) override {
    host::check_activate(x, times, out);
    for (std::int64_t t = 0; t < out.rows; ++t) {
      for (std::int64_t j = 0; j < out.cols; ++j) {
        const double factor =
            times.data == nullptr ? 1.0 : static_cast<double>(times.row<float>(t)[j]);
        out.row<float>(t)[j] =
            static_cast<float>(activated(act, static_cast<double>(x.row<float>(t)[j])) * factor);
      }
    }
  }

  void add(MatrixView x, ConstMatrixView y) override {
    check(x.rows == y.rows && x.cols == y.cols, "add: extents");
    for (std::int64_t t = 0; t < x.rows; ++t)
      for (std::int64_t j = 0; j < x.cols; ++j) x.row<float>(t)[j] += y.row<float>(t)[j];
  }

  Routing route(ConstMatrixView logits, const float* bias, const RoutingArgs& args,
                std::vector<float>* scores_out) override {
    const std::int64_t experts = logits.cols;
    host::check_routing(experts, args);
    Routing routing;
    routing.top_k = args.top_k;
    routing.experts.resize(static_cast<std::size_t>(logits.rows * args.top_k));
    routing.weights.resize(routing.experts.size());
    std::vector<float> scores(static_cast<std::size_t>(logits.rows * experts));
    for (std::int64_t t = 0; t < logits.rows; ++t)
      host::route_token(logits.row<float>(t), bias, experts, args, scores.data() + t * experts,
                        routing.experts.data() + t * args.top_k,
                        routing.weights.data() + t * args.top_k);
    if (scores_out != nullptr) *scores_out = std::move(scores);
    return routing;
  }

  void gather_rows(ConstMatrixView in, std::span<const std::int32_t> rows,
                   MatrixView out) override {
    check(out.rows == size_of(rows) && out.cols == in.cols, "gather_rows: extents");
    for (std::int64_t i = 0; i < out.rows; ++i) {
      const std::int32_t r = rows[static_cast<std::size_t>(i)];
      check(r >= 0 && r < in.rows, "gather_rows: row index");
      for (std::int64_t j = 0; j < in.cols; ++j) out.row<float>(i)[j] = host::element(in, r, j);
    }
  }

  void scatter_add_rows(ConstMatrixView x, std::span<const std::int32_t> rows,
                        std::span<const float> weights, MatrixView inout) override {
    check(x.rows == size_of(rows) && rows.size() == weights.size() && x.cols == inout.cols,
          "scatter_add_rows: extents");
    for (std::int64_t i = 0; i < x.rows; ++i) {
      const std::int32_t r = rows[static_cast<std::size_t>(i)];
      check(r >= 0 && r < inout.rows, "scatter_add_rows: row index");
      const double weight = static_cast<double>(weights[static_cast<std::size_t>(i)]);
      for (std::int64_t j = 0; j < x.cols; ++j) {
        const auto sum = static_cast<float>(static_cast<double>(host::element(inout, r, j)) +
                                            weight * static_cast<double>(x.row<float>(i)[j]));
        if (inout.dtype == tensor::Dtype::kBF16)
          inout.row<std::uint16_t>(r)[j] = numeric::f32_to_bf16(sum);
        else
          inout.row<float>(r)[j] = sum;
      }
    }
  }

  void log_softmax(MatrixView logits) override {
    for (std::int64_t t = 0; t < logits.rows; ++t) {
      float* row = logits.row<float>(t);
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t j = 0; j < logits.cols; ++j)
        largest = std::max(largest, static_cast<double>(row[j]));
      double sum = 0;
      for (std::int64_t j = 0; j < logits.cols; ++j)
        sum += std::exp(static_cast<double>(row[j]) - largest);
      const double shift = largest + std::log(sum);
      for (std::int64_t j = 0; j < logits.cols; ++j)
        row[j] = static_cast<float>(static_cast<double>(row[j]) - shift);
    }
  }
};

}  // namespace

std::unique_ptr<Neural> make_neural() {
  return std::make_unique<ReferenceNeural>();
}

}  // namespace whit::compute::reference
