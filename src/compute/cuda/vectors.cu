#include <memory>

#include "compute/cuda/book.cuh"
#include "compute/cuda/label_order.h"
#include "compute/cuda/nearest.h"
#include "compute/cuda/parts.h"
#include "compute/cuda/staging.h"
#include "compute/cuda/vector_sweep.h"
#include "compute/host/vector_codes.h"

namespace whit::compute::cuda {

namespace {

constexpr unsigned kThreads = 128;

constexpr int kTogether = 64;  // vectors of a cluster that are fetched at once
constexpr int kEntries = 32;   // of their sums

// A block a cluster and 32 entries of its sum, the cluster's vectors in ascending order: fetched by
// all threads, added by one an entry. The entry behind the vector's own is the weight.
__global__ void __launch_bounds__(kThreads)
    sums_kernel(Rows<const float> x, const float* weights, const std::int32_t* places,
                const std::int32_t* first, int length, double* sums) {
  __shared__ double terms[kTogether][kEntries + 1];
  const std::int64_t cluster = blockIdx.x;
  const int begin = static_cast<int>(blockIdx.y) * kEntries;
  const int width = min(kEntries, length + 1 - begin);
  const int mine = static_cast<int>(threadIdx.x);
  const std::int32_t end = first[cluster + 1];
  double sum = 0;
  for (std::int32_t at = first[cluster]; at < end; at += kTogether) {
    const int count = min(kTogether, end - at);
    for (int i = mine; i < count * width; i += static_cast<int>(kThreads)) {
      const int d = begin + i % width;
      const std::int32_t row = places[at + i / width];
      const double weight = weights == nullptr ? 1.0 : static_cast<double>(weights[row]);
      const double value = d == length ? 1.0 : static_cast<double>(x[row][d]);
      terms[i / width][i % width] = __dmul_rn(weight, value);
    }
    __syncthreads();
    if (mine < width)
      for (int i = 0; i < count; ++i) sum = __dadd_rn(sum, terms[i][mine]);
    __syncthreads();
  }
  if (mine < width) sums[cluster * (length + 1) + begin + mine] = sum;
}

class CudaVectors final : public Vectors {
 public:
  explicit CudaVectors(const Context& context) : context_(context), staging_(context, context.stream()) {}

  void nearest(ConstMatrixView x, ConstMatrixView centroids, std::span<std::int32_t> labels,
               std::span<double> squares) override {
    host::check_nearest(x, centroids, labels, squares);
    const Temporary<std::int32_t> there(context_, x.rows);
    const Temporary<double> squares_there(context_, squares.empty() ? 0 : x.rows);
    find_nearest(context_, x, centroids, there.data(),
                 squares.empty() ? nullptr : squares_there.data());
    download(there.data(), labels);
    download(squares_there.data(), squares);
  }

  double assign(ConstMatrixView x, std::span<const float> weights, ConstMatrixView centroids,
                std::span<std::int32_t> labels) override {
    host::check_nearest(x, centroids, labels, {});
    require(weights.empty() || static_cast<std::int64_t>(weights.size()) == x.rows,
            "assign: one weight a vector");
    const Temporary<std::int32_t> there(context_, x.rows);
    const Temporary<double> squares(context_, x.rows);
    const Temporary<float> weights_there(context_, static_cast<std::int64_t>(weights.size()));
    upload(weights, weights_there.data());
    find_nearest(context_, x, centroids, there.data(), squares.data());
    constexpr auto kPiece = static_cast<std::int64_t>(host::kSummedVectors);
    const Temporary<double> sums(context_, base::ceil_div(x.rows, kPiece));
    const float* weight = weights.empty() ? nullptr : weights_there.data();
    const double* square = squares.data();
    double* to = sums.data();
    const std::int64_t rows = x.rows;
    each(context_, 1, sums.count(), "what is lost", [=] __device__(std::int64_t, std::int64_t j) {
      const std::int64_t end = (j + 1) * kPiece < rows ? (j + 1) * kPiece : rows;
      double sum = 0;
#pragma unroll 8
      for (std::int64_t i = j * kPiece; i < end; ++i)
        sum = __dadd_rn(sum, weight == nullptr
                                 ? square[i]
                                 : __dmul_rn(static_cast<double>(weight[i]), square[i]));
      to[j] = sum;
    });
    download(there.data(), labels);
    double total = 0;
    for (const double sum : sums.read()) total += sum;
    return total;
  }

  std::vector<double> weighted_sums(ConstMatrixView x, std::span<const float> weights,
                                    std::span<const std::int32_t> labels,
                                    std::int64_t clusters) override {
    host::check_sums(x, weights, labels);
    require(x.rows <= INT32_MAX, "vectors that 32 bits count");
    const Temporary<std::uint32_t> keys(context_, x.rows);
    upload(labels, keys.data());
    const Temporary<float> weights_there(context_, static_cast<std::int64_t>(weights.size()));
    upload(weights, weights_there.data());
    const KeyOrder order(context_, keys, bits_for(clusters));
    const Temporary<std::int32_t> first(context_, clusters + 1);
    find_clusters(context_, order, clusters, first.data());
    const Temporary<std::int32_t> strays(context_, 1);
    strays.clear();
    const std::uint32_t* key = keys.data();
    std::int32_t* stray = strays.data();
    each(context_, 1, x.rows, "labels", [=] __device__(std::int64_t, std::int64_t i) {
      if (static_cast<std::int64_t>(key[i]) >= clusters) *stray = 1;
    });
    const Temporary<double> sums(context_, clusters * (x.cols + 1));
    if (clusters > 0) {
      const auto groups = base::ceil_div<std::int64_t>(x.cols + 1, kEntries);
      const dim3 grid(static_cast<unsigned>(clusters), static_cast<unsigned>(groups));
      sums_kernel<<<grid, kThreads, 0, context_.stream()>>>(
          rows_of<float>(x), weights.empty() ? nullptr : weights_there.data(), order.places(),
          first.data(), static_cast<int>(x.cols), sums.data());
      context_.launched("sums of clusters");
    }
    std::vector<double> result(static_cast<std::size_t>(sums.count()));
    download(sums.data(), std::span<double>(result));
    require(strays.read()[0] == 0, "weighted_sums: labels within the clusters");
    return result;
  }

  void sweep(const VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t, MatrixView indices,
             MatrixView residual_indices, MatrixView error) override {
    host::check_vector_sweep(args, t0, t, indices, residual_indices, error);
    sweep_vectors(context_, args, t0, t, indices, residual_indices, error);
  }

 private:
  template <typename T>
  void upload(std::span<const T> host, void* device) {
    staging_.upload(reinterpret_cast<const std::byte*>(host.data()),
                    static_cast<std::byte*>(device), host.size_bytes());
  }
  template <typename T>
  void download(const T* device, std::span<T> host) {
    staging_.download(reinterpret_cast<const std::byte*>(device),
                      reinterpret_cast<std::byte*>(host.data()), host.size_bytes());
  }

  const Context& context_;
  Staging staging_;
};

}  // namespace

std::unique_ptr<Vectors> make_vectors(const Context& context) {
  return std::make_unique<CudaVectors>(context);
}

}  // namespace whit::compute::cuda
