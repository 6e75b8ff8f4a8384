#include "compute/cuda/screen.cuh"

namespace whit::compute::cuda {

namespace {

void lay_out(const Context& context, const Book& book, int held, float* rows, int* largest) {
  each(context, book.count, 1, "laying out a codebook",
       [=] __device__(std::int64_t c, std::int64_t) {
         float* to = rows + c * (held + 4);
         const float* from = book.plain[c];
         double square = 0;
         for (int d = 0; d < held; ++d) {
           const float value = d < book.length ? from[d] : 0.0F;
           to[d] = value;
           square += static_cast<double>(value) * static_cast<double>(value);
         }
         to[held] = static_cast<float>(square / 2);
         for (int d = 1; d < 4; ++d) to[held + d] = 0.0F;
         // Bits of numbers that are not negative stand in the order of the numbers.
         atomicMax(largest, __float_as_int(static_cast<float>(sqrt(square) * (1 + 1e-6))));
       });
}

}  // namespace

HeldBook::HeldBook(const Context& context, ConstMatrixView centroids)
    : rows_(context, centroids.rows * (held_entries(centroids.cols) + 4)), largest_(context, 1) {
  require(centroids.rows <= INT32_MAX, "centroids that 32 bits count");
  require(centroids.cols <= kLongestHeld, "centroids that registers hold");
  view_ = {reinterpret_cast<const float4*>(rows_.data()), rows_of<float>(centroids),
           largest_.data(), static_cast<int>(centroids.rows), static_cast<int>(centroids.cols)};
  largest_.clear();
  lay_out(context, view_, held_entries(centroids.cols), rows_.data(),
          reinterpret_cast<int*>(largest_.data()));
}

void find_largest(const Context& context, Rows<const float> x, std::int64_t rows, int length,
                  std::int32_t* largest) {
  constexpr std::int64_t kRows = 4096;
  each_row(context, base::ceil_div(rows, kRows), kRows, "largest entry",
           [=] __device__(std::int64_t piece) {
             const std::int64_t end = (piece + 1) * kRows < rows ? (piece + 1) * kRows : rows;
             float most = 0;
             for (std::int64_t i = piece * kRows + threadIdx.x; i < end; i += blockDim.x)
               for (int d = 0; d < length; ++d) most = fmaxf(most, fabsf(x[i][d]));
             most = block_reduce(most, Larger{});
             if (threadIdx.x == 0) atomicMax(largest, __float_as_int(most));
           });
}

}  // namespace whit::compute::cuda
