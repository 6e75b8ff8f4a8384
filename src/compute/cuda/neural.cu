#include <memory>

#include "compute/cuda/attention.h"
#include "compute/cuda/element.cuh"
#include "compute/cuda/kernel.cuh"
#include "compute/cuda/parts.h"
#include "compute/cuda/routing.h"
#include "compute/host/activate_shape.h"

namespace whit::compute::cuda {

namespace {

__device__ float activated(Activation act, float x) {
  switch (act) {
    case Activation::kSilu:
      return x / (1.0F + expf(-x));
    case Activation::kGelu:
      return 0.5F * x * erfcf(-0.70710678F * x);
    case Activation::kGeluTanh:
      // (1 + tanh y) / 2 = 1 / (1 + exp(-2y)), which keeps its digits where tanh is near -1.
      return x / (1.0F + expf(-1.59576912F * (x + 0.044715F * x * x * x)));
    case Activation::kRelu:
      return x > 0.0F ? x : 0.0F;
    case Activation::kTanh:
      return tanhf(x);
  }
  return 0.0F;
}

template <typename T>
void embed_as(const Context& context, ConstMatrixView table, const std::int32_t* ids,
              MatrixView out) {
  const auto from = rows_of<T>(table);
  const auto to = rows_of<float>(out);
  each(context, out.rows, out.cols, "embed", [=] __device__(std::int64_t t, std::int64_t j) {
    to[t][j] = Element<T>::decode(from[ids[t]][j]);
  });
}

template <typename T>
void gather_as(const Context& context, ConstMatrixView in, const std::int32_t* row,
               MatrixView out) {
  const auto from = rows_of<T>(in);
  const auto to = rows_of<float>(out);
  if (in_fours(in, out))
    return each(context, out.rows, out.cols / 4, "gather_rows",
                [=] __device__(std::int64_t i, std::int64_t four) {
                  store_four(to[i] + four * 4, load_four(from[row[i]] + four * 4));
                });
  each(context, out.rows, out.cols, "gather_rows", [=] __device__(std::int64_t i, std::int64_t j) {
    to[i][j] = Element<T>::decode(from[row[i]][j]);
  });
}

template <typename T>
void scatter_as(const Context& context, ConstMatrixView x, const std::int32_t* row,
                const float* share, MatrixView inout) {
  const auto from = rows_of<float>(x);
  const auto to = rows_of<T>(inout);
  if (in_fours(x, inout))
    return each(context, x.rows, x.cols / 4, "scatter_add_rows",
                [=] __device__(std::int64_t i, std::int64_t four) {
                  T* sums = to[row[i]] + four * 4;
                  const float4 sum = load_four(sums);
                  const float4 more = load_four(from[i] + four * 4);
                  const float by = share[i];
                  store_four(sums, make_float4(sum.x + by * more.x, sum.y + by * more.y,
                                               sum.z + by * more.z, sum.w + by * more.w));
                });
  each(context, x.rows, x.cols, "scatter_add_rows",
       [=] __device__(std::int64_t i, std::int64_t j) {
         T& sum = to[row[i]][j];
         sum = Element<T>::encode(Element<T>::decode(sum) + share[i] * from[i][j]);
       });
}

class CudaNeural final : public Neural {
 public:
  explicit CudaNeural(const Context& context) : context_(context) {}

  void embed(const TensorView& table, std::span<const std::int32_t> ids, MatrixView out) override {
    const ConstMatrixView rows = tensor::as_matrix(table);
    require(out.rows == static_cast<std::int64_t>(ids.size()) && out.cols == rows.cols,
          "embed: extents");
    for (const std::int32_t id : ids)
      if (id < 0 || id >= rows.rows)
        fail_token(id, rows.rows);
    const Temporary<std::int32_t> list(context_, ids);
    with_float_type(rows.dtype, "embed",
                    [&]<typename T>() { embed_as<T>(context_, rows, list.data(), out); });
  }

  void norm(ConstMatrixView x, const NormArgs& args, MatrixView out) override {
    require(x.rows == out.rows && x.cols == out.cols, "norm: extents");
    const auto from = rows_of<float>(x);
    const auto to = rows_of<float>(out);
    const std::int64_t cols = x.cols;
    each_row(context_, x.rows, cols, "norm", [=] __device__(std::int64_t t) {
      const float* row = from[t];
      double middle = 0;
      if (args.centered) {
        for (std::int64_t j = threadIdx.x; j < cols; j += blockDim.x)
          middle += static_cast<double>(row[j]);
        middle = block_reduce(middle, Plus{}) / static_cast<double>(cols);
      }
      double squares = 0;
      for (std::int64_t j = threadIdx.x; j < cols; j += blockDim.x) {
        const double value = static_cast<double>(row[j]) - middle;
        squares += value * value;
      }
      squares = block_reduce(squares, Plus{}) / static_cast<double>(cols);
      const auto factor = static_cast<float>(1.0 / sqrt(squares + static_cast<double>(args.eps)));
      for (std::int64_t j = threadIdx.x; j < cols; j += blockDim.x) {
        const float value =
            args.centered ? static_cast<float>(static_cast<double>(row[j]) - middle) : row[j];
        float result = value * factor;
        if (args.weight != nullptr) result *= args.weight[j];
        if (args.bias != nullptr) result += args.bias[j];
        to[t][j] = result;
      }
    });
  }

  void rope(MatrixView x, std::int64_t heads, std::int64_t first_col, std::int64_t head_stride,
            ConstMatrixView cos_sin, bool interleaved,
            std::span<const std::int32_t> positions) override {
    require(static_cast<std::int64_t>(positions.size()) == x.rows, "rope: one position a row");
    const std::int64_t half = cos_sin.cols / 2;
    require(first_col + (heads - 1) * head_stride + 2 * half <= x.cols, "rope: columns");
    for (const std::int32_t p : positions) require(p >= 0 && p < cos_sin.rows, "rope: position");
    const Temporary<std::int32_t> list(context_, positions);
    const std::int32_t* position = list.data();
    const auto to = rows_of<float>(x);
    const auto angles = rows_of<float>(cos_sin);
    each(context_, x.rows, heads * half, "rope", [=] __device__(std::int64_t t, std::int64_t at) {
      const std::int64_t i = at % half;
      float* head = to[t] + first_col + at / half * head_stride;
      float& a = interleaved ? head[2 * i] : head[i];
      float& b = interleaved ? head[2 * i + 1] : head[i + half];
      const float cosine = angles[position[t]][i];
      const float sine = angles[position[t]][half + i];
      const float x0 = a;
      const float x1 = b;
      a = x0 * cosine - x1 * sine;
      b = x1 * cosine + x0 * sine;
    });
  }

  void attention(const AttentionArgs& args, MatrixView out) override {
    attend(context_, args, out);
  }

  void activate(Activation act, ConstMatrixView x, ConstMatrixView times, MatrixView out) override {
    host::check_activate(x, times, out);
    const auto from = rows_of<float>(x);
    const auto factor = rows_of<float>(times);
    const auto to = rows_of<float>(out);
    if (in_fours(x, out) && (times.data == nullptr || in_fours(times)))
      return each(context_, out.rows, out.cols / 4, "activate",
                  [=] __device__(std::int64_t i, std::int64_t four) {
                    float4 v = load_four(from[i] + four * 4);
                    v = make_float4(activated(act, v.x), activated(act, v.y), activated(act, v.z),
                                    activated(act, v.w));
                    if (factor.data != nullptr) {
                      const float4 f = load_four(factor[i] + four * 4);
                      v = make_float4(v.x * f.x, v.y * f.y, v.z * f.z, v.w * f.w);
                    }
                    store_four(to[i] + four * 4, v);
                  });
    each(context_, out.rows, out.cols, "activate", [=] __device__(std::int64_t i, std::int64_t j) {
      const float value = activated(act, from[i][j]);
      to[i][j] = factor.data == nullptr ? value : value * factor[i][j];
    });
  }

  void add(MatrixView x, ConstMatrixView y) override {
    require(x.rows == y.rows && x.cols == y.cols, "add: extents");
    const auto to = rows_of<float>(x);
    const auto from = rows_of<float>(y);
    each(context_, x.rows, x.cols, "add",
         [=] __device__(std::int64_t i, std::int64_t j) { to[i][j] += from[i][j]; });
  }

  Routing route(ConstMatrixView logits, const float* bias, const RoutingArgs& args,
                std::vector<float>* scores_out) override {
    return cuda::route(context_, logits, bias, args, scores_out);
  }

  void gather_rows(ConstMatrixView in, std::span<const std::int32_t> rows,
                   MatrixView out) override {
    require(out.rows == static_cast<std::int64_t>(rows.size()) && out.cols == in.cols,
          "gather_rows: extents");
    for (const std::int32_t r : rows) require(r >= 0 && r < in.rows, "gather_rows: row index");
    const Temporary<std::int32_t> list(context_, rows);
    if (in.dtype == tensor::Dtype::kBF16) return gather_as<BF16>(context_, in, list.data(), out);
    gather_as<float>(context_, in, list.data(), out);
  }

  void scatter_add_rows(ConstMatrixView x, std::span<const std::int32_t> rows,
                        std::span<const float> weights, MatrixView inout) override {
    require(x.rows == static_cast<std::int64_t>(rows.size()) && rows.size() == weights.size() &&
              x.cols == inout.cols,
          "scatter_add_rows: extents");
    for (const std::int32_t r : rows)
      require(r >= 0 && r < inout.rows, "scatter_add_rows: row index");
    const Temporary<std::int32_t> list(context_, rows);
    const Temporary<float> shares(context_, weights);
    if (inout.dtype == tensor::Dtype::kBF16)
      return scatter_as<BF16>(context_, x, list.data(), shares.data(), inout);
    scatter_as<float>(context_, x, list.data(), shares.data(), inout);
  }

  void log_softmax(MatrixView logits) override {
    const auto to = rows_of<float>(logits);
    const std::int64_t cols = logits.cols;
    each_row(context_, logits.rows, cols, "log_softmax", [=] __device__(std::int64_t t) {
      float* row = to[t];
      float largest = -INFINITY;
      for (std::int64_t j = threadIdx.x; j < cols; j += blockDim.x)
        largest = fmaxf(largest, row[j]);
      const auto top = static_cast<double>(block_reduce(largest, Larger{}));
      double sum = 0;
      for (std::int64_t j = threadIdx.x; j < cols; j += blockDim.x)
        sum += static_cast<double>(expf(static_cast<float>(static_cast<double>(row[j]) - top)));
      const double shift = top + log(block_reduce(sum, Plus{}));
      for (std::int64_t j = threadIdx.x; j < cols; j += blockDim.x)
        row[j] = static_cast<float>(static_cast<double>(row[j]) - shift);
    });
  }

 private:
  const Context& context_;
};

}  // namespace

std::unique_ptr<Neural> make_neural(const Context& context) {
  return std::make_unique<CudaNeural>(context);
}

}  // namespace whit::compute::cuda
