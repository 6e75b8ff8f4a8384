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

constexpr unsigned kThreads = 256;

// One entry of one cluster's sum a thread, the cluster's vectors in ascending order.
__global__ void __launch_bounds__(kThreads)
    sums_kernel(Rows<const float> x, const float* weights, const std::int32_t* places,
                const std::int32_t* first, std::int64_t clusters, int length, double* sums) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t cluster = at / (length + 1);
  const int d = static_cast<int>(at % (length + 1));
  if (cluster >= clusters) return;
  const std::int32_t end = first[cluster + 1];
  double sum = 0;
#pragma unroll 8
  for (std::int32_t i = first[cluster]; i < end; ++i) {
    const std::int32_t row = places[i];
    const double weight = weights == nullptr ? 1.0 : static_cast<double>(weights[row]);
    const double value = d == length ? 1.0 : static_cast<double>(x[row][d]);
    sum = __dadd_rn(sum, __dmul_rn(weight, value));
  }
  sums[at] = sum;
}

class CudaVectors final : public Vectors {
 public:
  explicit CudaVectors(const Context& context) : context_(context), staging_(context, context.stream()) {}

  void nearest(ConstMatrixView x, ConstMatrixView centroids, std::span<std::int32_t> labels,
               std::span<double> squares) override {
    host::check_nearest(x, centroids, labels, squares);
    const Temporary<std::int32_t> there(context_, x.rows);
    const Temporary<double> squares_there(context_, squares.empty() ? 0 : x.rows);
    upload(std::span<const std::int32_t>(labels), there.data());
    // Lists of guesses are whole or empty; a look at a few tells which.
    bool guessed = true;
    for (std::size_t i = 0; i < labels.size(); i += 1 + labels.size() / 64)
      guessed = guessed && labels[i] >= 0 && labels[i] < centroids.rows;
    find_nearest(context_, x, centroids, guessed, there.data(),
                 squares.empty() ? nullptr : squares_there.data());
    download(there.data(), labels);
    download(squares_there.data(), squares);
  }

  std::vector<double> weighted_sums(ConstMatrixView x, std::span<const float> weights,
                                    std::span<const std::int32_t> labels,
                                    std::int64_t clusters) override {
    host::check_sums(x, weights, labels, clusters);
    require(x.rows <= INT32_MAX, "vectors that 32 bits count");
    const Temporary<std::uint32_t> keys(context_, x.rows);
    upload(labels, keys.data());
    const Temporary<float> weights_there(context_, static_cast<std::int64_t>(weights.size()));
    upload(weights, weights_there.data());
    const KeyOrder order(context_, keys, bits_for(clusters));
    const Temporary<std::int32_t> first(context_, clusters + 1);
    find_clusters(context_, order, 0, clusters, first.data());
    const std::int64_t entries = clusters * (x.cols + 1);
    const Temporary<double> sums(context_, entries);
    if (entries > 0) {
      const auto blocks = base::ceil_div<std::int64_t>(entries, kThreads);
      sums_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, context_.stream()>>>(
          rows_of<float>(x), weights.empty() ? nullptr : weights_there.data(), order.places(),
          first.data(), clusters, static_cast<int>(x.cols), sums.data());
      context_.launched("sums of clusters");
    }
    std::vector<double> result(static_cast<std::size_t>(entries));
    download(sums.data(), std::span<double>(result));
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
