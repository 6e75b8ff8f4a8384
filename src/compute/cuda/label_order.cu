#include "compute/cuda/label_order.h"

#include <cub/device/device_radix_sort.cuh>

#include "compute/cuda/kernel.cuh"

namespace whit::compute::cuda {

int bits_for(std::int64_t value) {
  int bits = 0;
  while (value >> bits != 0) ++bits;
  return bits;
}

namespace {

void number(const Context& context, std::int64_t count, std::int32_t* numbers) {
  each(context, 1, count, "numbering", [=] __device__(std::int64_t, std::int64_t i) {
    numbers[i] = static_cast<std::int32_t>(i);
  });
}

}  // namespace

KeyOrder::KeyOrder(const Context& context, const Temporary<std::uint32_t>& keys, int bits)
    : sorted_(context, keys.count()), places_(context, keys.count()) {
  const std::int64_t count = keys.count();
  if (count == 0) return;
  const Temporary<std::int32_t> numbers(context, count);
  number(context, count, numbers.data());
  const auto sort = [&](void* scratch, std::size_t& bytes) {
    check(cub::DeviceRadixSort::SortPairs(scratch, bytes, keys.data(), sorted_.data(), numbers.data(),
                                          places_.data(), count, 0, bits, context.stream()),
          "sort of labels");
  };
  std::size_t bytes = 0;
  sort(nullptr, bytes);
  const Temporary<std::uint8_t> scratch(context, static_cast<std::int64_t>(bytes));
  sort(scratch.data(), bytes);
}

void find_clusters(const Context& context, const KeyOrder& order, std::int64_t clusters,
                   std::int32_t* first) {
  const std::uint32_t* keys = order.keys();
  const std::int64_t count = order.count();
  each(context, 1, clusters + 1, "finding clusters",
       [=] __device__(std::int64_t, std::int64_t cluster) {
         std::int64_t low = 0;
         std::int64_t high = count;
         while (low < high) {
           const std::int64_t middle = (low + high) / 2;
           if (static_cast<std::int64_t>(keys[middle]) < cluster)
             low = middle + 1;
           else
             high = middle;
         }
         first[cluster] = static_cast<std::int32_t>(low);
       });
}

}  // namespace whit::compute::cuda
