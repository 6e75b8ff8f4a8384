#include <memory>

#include "compute/cuda/gram.h"
#include "compute/cuda/kernel.cuh"
#include "compute/cuda/parts.h"
#include "compute/cuda/product.h"

namespace whit::compute::cuda {

namespace {

// Rows at most this long are gathered out of shared memory.
constexpr std::int64_t kStagedBytes = 96 * 1024;
constexpr unsigned kPermuteThreads = 512;

// Indices may be null: as they stand.
template <typename T>
__global__ void permute_kernel(Rows<const T> from, std::int64_t width, const std::int32_t* rows,
                               const std::int32_t* cols, std::int64_t height, std::int64_t out_cols,
                               Rows<T> to) {
  extern __shared__ __align__(16) unsigned char memory[];
  T* staged = reinterpret_cast<T*>(memory);
  for (std::int64_t i = blockIdx.x; i < height; i += gridDim.x) {
    const T* row = from[rows == nullptr ? i : rows[i]];
    for (std::int64_t j = threadIdx.x; j < width; j += blockDim.x) staged[j] = row[j];
    __syncthreads();
    for (std::int64_t j = threadIdx.x; j < out_cols; j += blockDim.x)
      to[i][j] = staged[cols == nullptr ? j : cols[j]];
    __syncthreads();
  }
}

template <typename T>
void permute_as(const Context& context, ConstMatrixView in, const std::int32_t* rows,
                const std::int32_t* cols, MatrixView out) {
  const auto from = rows_of<T>(in);
  const auto to = rows_of<T>(out);
  const auto bytes = in.cols * static_cast<std::int64_t>(sizeof(T));
  if (out.rows > 0 && out.cols > 0 && bytes <= kStagedBytes) {
    check(cudaFuncSetAttribute(permute_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(kStagedBytes)),
          "permute's shared memory");
    const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(out.rows, 1 << 20));
    permute_kernel<T><<<blocks, kPermuteThreads, static_cast<std::size_t>(bytes),
                        context.stream()>>>(from, in.cols, rows, cols, out.rows, out.cols, to);
    return context.launched("permute");
  }
  each(context, out.rows, out.cols, "permute", [=] __device__(std::int64_t i, std::int64_t j) {
    to[i][j] = from[rows == nullptr ? i : rows[i]][cols == nullptr ? j : cols[j]];
  });
}

void check_indices(std::span<const std::int32_t> list, std::int64_t size, const char* what) {
  for (const std::int32_t i : list) require(i >= 0 && i < size, what);
}

std::int64_t count_of(std::span<const std::int32_t> list, std::int64_t otherwise) {
  return list.empty() ? otherwise : static_cast<std::int64_t>(list.size());
}

class CudaLinalg final : public Linalg {
 public:
  explicit CudaLinalg(const Context& context) : context_(context) {}

  void gemm(float alpha, ConstMatrixView a, Transpose ta, ConstMatrixView b, Transpose tb,
            float beta, MatrixView c) override {
    const bool at = ta == Transpose::kYes;
    const bool bt = tb == Transpose::kYes;
    require((at ? a.cols : a.rows) == c.rows && (bt ? b.rows : b.cols) == c.cols &&
                    (bt ? b.cols : b.rows) == (at ? a.rows : a.cols),
                "gemm: extents");
    multiply(context_, Product::kExact, alpha, a, ta, b, tb, beta, c);
  }

  void linear(ConstMatrixView x, ConstMatrixView w, const float* bias, MatrixView y) override {
    require(x.rows == y.rows && w.rows == y.cols && x.cols == w.cols, "linear: extents");
    if (w.dtype != tensor::Dtype::kF32)
      fail_dtype("linear", w.dtype, "F32");
    multiply(context_, usual_product(), 1.0F, x, Transpose::kNo, w, Transpose::kYes, 0.0F, y);
    if (bias == nullptr) return;
    const auto to = rows_of<float>(y);
    each(context_, y.rows, y.cols, "bias",
         [=] __device__(std::int64_t i, std::int64_t j) { to[i][j] += bias[j]; });
  }

  void gram(ConstMatrixView x, std::span<const float> row_weights, MatrixView g) override {
    require(g.rows == x.cols && g.cols == x.cols, "gram: extents");
    require(row_weights.empty() || static_cast<std::int64_t>(row_weights.size()) == x.rows,
                "gram: one weight a row");
    add_gram(context_, x, row_weights, g);
  }

  void permute(ConstMatrixView in, std::span<const std::int32_t> rows,
               std::span<const std::int32_t> cols, MatrixView out) override {
    require(out.rows == count_of(rows, in.rows) && out.cols == count_of(cols, in.cols),
                "permute: extents");
    check_indices(rows, in.rows, "permute: row index");
    check_indices(cols, in.cols, "permute: column index");
    require(in.dtype == out.dtype &&
                    (in.dtype == tensor::Dtype::kF32 || in.dtype == tensor::Dtype::kI8),
                "permute: dtype");
    const Temporary<std::int32_t> r(context_, rows);
    const Temporary<std::int32_t> c(context_, cols);
    const std::int32_t* ri = rows.empty() ? nullptr : r.data();
    const std::int32_t* ci = cols.empty() ? nullptr : c.data();
    if (in.dtype == tensor::Dtype::kI8)
      permute_as<std::int8_t>(context_, in, ri, ci, out);
    else
      permute_as<float>(context_, in, ri, ci, out);
  }

  std::vector<double> diagonal(ConstMatrixView square) override {
    require(square.rows == square.cols, "diagonal: square");
    const Temporary<float> values(context_, square.rows);
    const auto from = rows_of<float>(square);
    float* to = values.data();
    each(context_, 1, square.rows, "diagonal",
         [=] __device__(std::int64_t, std::int64_t j) { to[j] = from[j][j]; });
    const std::vector<float> host = values.read();
    return {host.begin(), host.end()};
  }

  void add_to_diagonal(MatrixView a, std::span<const double> values) override {
    require(a.rows == a.cols && static_cast<std::int64_t>(values.size()) == a.rows,
                "add_to_diagonal: extents");
    const Temporary<double> more(context_, values);
    const auto to = rows_of<float>(a);
    const double* from = more.data();
    each(context_, 1, a.rows, "add_to_diagonal", [=] __device__(std::int64_t, std::int64_t j) {
      to[j][j] = static_cast<float>(static_cast<double>(to[j][j]) + from[j]);
    });
  }

  void scale_add(float alpha, MatrixView a, float beta, ConstMatrixView b) override {
    require(a.rows == b.rows && a.cols == b.cols, "scale_add: extents");
    const auto to = rows_of<float>(a);
    const auto from = rows_of<float>(b);
    each(context_, a.rows, a.cols, "scale_add", [=] __device__(std::int64_t i, std::int64_t j) {
      to[i][j] = alpha * to[i][j] + beta * from[i][j];
    });
  }

  std::vector<double> quadratic_form(ConstMatrixView d, ConstMatrixView h) override {
    require(h.rows == h.cols && d.cols == h.rows, "quadratic_form: extents");
    const Temporary<float> product(context_, d.rows * d.cols);
    const MatrixView p{reinterpret_cast<std::byte*>(product.data()), tensor::Dtype::kF32,
                       d.rows,          d.cols, d.cols, d.device};
    multiply(context_, usual_product(), 1.0F, d, Transpose::kNo, h, Transpose::kNo, 0.0F, p);
    return row_dots(p, d, std::max<std::int64_t>(d.cols, 1));
  }

  std::vector<double> row_dots(ConstMatrixView a, ConstMatrixView b, std::int64_t width) override {
    require(a.rows == b.rows && a.cols == b.cols && width > 0, "row_dots: extents");
    const std::int64_t pieces = base::ceil_div(a.cols, width);
    const Temporary<double> sums(context_, a.rows * pieces);
    const auto left = rows_of<float>(a);
    const auto right = rows_of<float>(b);
    double* to = sums.data();
    const std::int64_t cols = a.cols;
    each_row(context_, a.rows * pieces, width, "row_dots", [=] __device__(std::int64_t at) {
      const std::int64_t n = at / pieces;
      const std::int64_t first = at % pieces * width;
      const std::int64_t last = first + width < cols ? first + width : cols;
      double sum = 0;
      for (std::int64_t k = first + threadIdx.x; k < last; k += blockDim.x)
        sum += static_cast<double>(left[n][k]) * static_cast<double>(right[n][k]);
      sum = block_reduce(sum, Plus{});
      if (threadIdx.x == 0) to[at] = sum;
    });
    return sums.read();
  }

  void column_max_abs(ConstMatrixView x, MatrixView most) override {
    require(x.dtype == tensor::Dtype::kF32 && most.dtype == tensor::Dtype::kF32,
            "column_max_abs: F32");
    require(most.rows == 1 && most.cols == x.cols, "column_max_abs: extents");
    const auto from = rows_of<float>(x);
    auto* to = reinterpret_cast<std::int32_t*>(most.data);
    const std::int64_t rows = x.rows;
    // Enough threads to fill a GPU, few enough that they do not queue for the same maxima.
    const std::int64_t kept = std::max<std::int64_t>(16, base::ceil_div<std::int64_t>(rows, 512));
    // A maximum is the same in any order.
    each(context_, base::ceil_div(rows, kept), x.cols, "column_max_abs",
         [=] __device__(std::int64_t piece, std::int64_t j) {
           std::int32_t largest = 0;
           const std::int64_t last = (piece + 1) * kept < rows ? (piece + 1) * kept : rows;
#pragma unroll 8
           for (std::int64_t i = piece * kept; i < last; ++i) {
             const std::int32_t bits = magnitude_bits(from[i][j]);
             largest = bits > largest ? bits : largest;
           }
           atomicMax(to + j, largest);
         });
  }

  void row_max_abs(ConstMatrixView x, MatrixView most) override {
    require(x.dtype == tensor::Dtype::kF32 && most.dtype == tensor::Dtype::kF32,
            "row_max_abs: F32");
    require(most.rows == 1 && most.cols == x.rows, "row_max_abs: extents");
    const auto from = rows_of<float>(x);
    auto* to = reinterpret_cast<std::int32_t*>(most.data);
    const std::int64_t cols = x.cols;
    each_row(context_, x.rows, cols, "row_max_abs", [=] __device__(std::int64_t i) {
      std::int32_t largest = 0;
      for (std::int64_t j = threadIdx.x; j < cols; j += blockDim.x) {
        const std::int32_t bits = magnitude_bits(from[i][j]);
        largest = bits > largest ? bits : largest;
      }
      largest = block_reduce(largest, Larger{});
      if (threadIdx.x == 0 && largest > to[i]) to[i] = largest;
    });
  }

 private:
  Product usual_product() const {
    return context_.precision() == Precision::kBF16 ? Product::kBF16 : Product::kExact;
  }

  const Context& context_;
};

}  // namespace

std::unique_ptr<Linalg> make_linalg(const Context& context) {
  return std::make_unique<CudaLinalg>(context);
}

}  // namespace whit::compute::cuda
